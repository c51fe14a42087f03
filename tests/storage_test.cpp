// Memory that tensors gave back serves others, and no two share any.
#include <doctest/doctest.h>

#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <vector>

#ifdef __GLIBC__
#include <unistd.h>
#endif

#include <ballast/ballast.h>
#include <ballast/core/detail/sanitizer.h>

using namespace ballast;

namespace {

constexpr size_t megabyte = size_t{1} << 20;

char* data(const StorageRef& block) { return static_cast<char*>(block->data); }

}  // namespace

#if !BALLAST_ADDRESS_SANITIZER  // under which nothing is kept for reuse

TEST_CASE("a freed block serves the next one of its size class, small or large") {
  for (const size_t bytes : {size_t{100}, size_t{700} << 10, 5 * megabyte}) {
    CAPTURE(bytes);
    char* const had = data(Storage::allocate(bytes));
    const StorageRef smaller = Storage::allocate(bytes / 2), again = Storage::allocate(bytes - 1);
    CHECK(data(smaller) != had);
    CHECK(data(again) == had);
  }
}

#endif

TEST_CASE("blocks in use don't overlap, and are aligned") {
  std::map<char*, char*> in_use;  // where each begins, with its header, and ends
  std::vector<StorageRef> blocks;
  std::minstd_rand random(7);
  for (int i = 0; i < 4000; ++i) {
    if (blocks.size() < 20 || random() % 2) {
      const size_t bytes = 1 + random() % (random() % 2 ? 4 * megabyte : 2000);
      blocks.push_back(Storage::allocate(bytes));
      char *const begin = data(blocks.back()) - sizeof(Storage), *const end = data(blocks.back()) + bytes;
      REQUIRE(reinterpret_cast<uintptr_t>(begin) % 64 == 0);
      const auto next = in_use.lower_bound(begin);
      if (next != in_use.end()) REQUIRE(end <= next->first);
      if (next != in_use.begin()) REQUIRE(std::prev(next)->second <= begin);
      in_use.emplace(begin, end);
    } else {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      in_use.erase(data(blocks.back()) - sizeof(Storage));
      blocks.pop_back();
    }
    if (i == 2000) release_cached_memory();
  }
}

#if defined(__GLIBC__) && !BALLAST_ADDRESS_SANITIZER && !BALLAST_THREAD_SANITIZER

namespace {

// Of this process, in bytes.
size_t resident_memory() {
  size_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

TEST_CASE("memory that nobody uses goes back to the system when asked") {
  constexpr size_t blocks = 3000, bytes = megabyte / 10;
  std::vector<StorageRef> held;
  for (size_t i = 0; i < blocks; ++i)
    std::memset(held.emplace_back(Storage::allocate(bytes))->data, 1, bytes);
  held.erase(held.begin(), held.end() - 1);  // the last one stays, above the others in the address space
  const size_t before = resident_memory();
  release_cached_memory();
  CHECK(resident_memory() + (blocks - 100) * bytes <= before);
}

#endif
