// Memory that tensors gave back serves others, whatever their sizes, and no two share any.
#include <doctest/doctest.h>

#include <ballast/ballast.h>

#include <algorithm>
#include <random>

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
  REQUIRE(data(second) > begin);
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

#endif

TEST_CASE("blocks in use don't overlap, and are aligned") {
  struct Block {
    StorageRef storage;
    size_t bytes;
    char mark;
  };
  std::vector<Block> blocks;
  std::minstd_rand random(7);
  const auto intact = [](const Block& b) {
    return data(b.storage)[0] == b.mark && data(b.storage)[b.bytes - 1] == b.mark;
  };
  for (int i = 0; i < 2000; ++i) {
    if (blocks.size() < 20 || random() % 2) {
      const size_t bytes = 1 + random() % (random() % 2 ? 4 * megabyte : 2000);
      Block block = {Storage::allocate(bytes), bytes, static_cast<char>(i)};
      REQUIRE(reinterpret_cast<uintptr_t>(data(block.storage)) % 64 == 0);
      data(block.storage)[0] = data(block.storage)[bytes - 1] = block.mark;
      blocks.push_back(std::move(block));
    } else {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      REQUIRE(intact(blocks.back()));
      blocks.pop_back();
    }
    if (i == 1000) release_cached_memory();
  }
  CHECK(std::ranges::all_of(blocks, intact));
}
