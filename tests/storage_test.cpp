// Memory that tensors gave back serves others, whatever their sizes, and no two share any.
#include <doctest/doctest.h>

#include <ballast/ballast.h>

#include <fstream>
#include <map>
#include <random>

#include "threads.h"

using namespace ballast;

namespace {

constexpr size_t megabyte = size_t{1} << 20;

char* data(const StorageRef& block) { return static_cast<char*>(block->data); }

}  // namespace

#ifndef __SANITIZE_ADDRESS__  // under which nothing is kept for reuse

TEST_CASE("neighbours that are given back make room for a large block, and a large block for small ones") {
  StorageRef first = Storage::allocate(2 * megabyte), second = Storage::allocate(3 * megabyte),
             behind = Storage::allocate(2 * megabyte);
  char* const begin = data(first);
  REQUIRE(data(second) == begin + 2 * megabyte + sizeof(Storage));
  for (const bool in_order : {true, false}) {
    CAPTURE(in_order);
    (in_order ? first : second) = {};
    (in_order ? second : first) = {};
    StorageRef both = Storage::allocate(5 * megabyte);
    CHECK(data(both) == begin);
    both = {};
    first = Storage::allocate(2 * megabyte);
    second = Storage::allocate(3 * megabyte);
    CHECK(data(first) == begin);
    CHECK(data(second) < data(behind));
  }
}

TEST_CASE("a thread gets the small blocks again that it had, whoever gave them back") {
  const Threads scope(2);
  constexpr size_t bytes = 700 << 10;
  StorageRef blocks[2];
  const auto allocate = [&] { on_each_of(2, [&] { blocks[thread_number()] = Storage::allocate(bytes); }); };
  allocate();
  char* const had[2] = {data(blocks[0]), data(blocks[1])};
  blocks[0] = {};
  blocks[1] = {};
  CHECK(data(Storage::allocate(bytes)) == had[0]);
  allocate();
  CHECK(data(blocks[0]) == had[0]);
  CHECK(data(blocks[1]) == had[1]);
}

TEST_CASE("scratch memory and tensors leave each other's small blocks alone") {
  constexpr size_t bytes = 600 << 10;
  const char* const tensor = data(Storage::allocate(bytes));
  const char* const scratch = data(Storage::allocate(bytes, Role::scratch));
  CHECK(scratch != tensor);
  CHECK(data(Storage::allocate(bytes)) == tensor);
  CHECK(data(Storage::allocate(bytes, Role::scratch)) == scratch);
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

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace {

// Of this process, in bytes.
size_t address_space() {
  size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * 4096;
}

}  // namespace

TEST_CASE("memory that nobody uses goes back to the system when asked") {
  release_cached_memory();  // what earlier tests left
  const size_t before = address_space();
  Storage::allocate(300 * megabyte);
  CHECK(address_space() >= before + 200 * megabyte);  // a region that was there before may have held some
  release_cached_memory();
  CHECK(address_space() < before + 10 * megabyte);
}

#endif
