#include <ballast/core/storage.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include <ballast/core/detail/tuning.h>
#include <ballast/core/parallel.h>
#include <ballast/core/parameter.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr bool caching = false;  // a cached block would hide a use after free
#else
constexpr bool caching = true;
#endif

constexpr size_t header = sizeof(Storage);
constexpr size_t largest_of_classes = size_t{1} << 20;  // bytes

// Sizes 64 * {1, 1.25, 1.5, 1.75} * 2^e, rounded up to whole cache lines.
constexpr unsigned class_of(size_t bytes) {
  const size_t lines = (bytes + 63) / 64;
  if (lines <= 4) return static_cast<unsigned>(lines ? lines - 1 : 0);
  const unsigned exponent = static_cast<unsigned>(std::bit_width(lines - 1)) - 3;
  return 4 * exponent + static_cast<unsigned>((lines - 1) >> exponent);
}

constexpr size_t class_bytes(unsigned size_class) {
  if (size_class < 4) return 64 * (size_class + 1);
  const unsigned exponent = size_class / 4 - 1;
  return 64 * ((size_t{size_class % 4} + 4 + 1) << exponent);
}

class FreeList {
 public:
  Storage* pop() {
    lock();
    Storage* block = head_;
    if (block) head_ = block->next_free;
    unlock();
    return block;
  }
  void push(Storage* block) {
    lock();
    block->next_free = head_;
    head_ = block;
    unlock();
  }

 private:
  void lock() {
    while (busy_.test_and_set(std::memory_order_acquire)) {
    }
  }
  void unlock() { busy_.clear(std::memory_order_release); }

  std::atomic_flag busy_;
  Storage* head_ = nullptr;
};

struct Range {
  char* begin;
  size_t bytes;
  char* end() const { return begin + bytes; }
  bool contains(const char* address) const { return address >= begin && address < end(); }
};

void* system_memory(size_t bytes) {
  void* memory = std::aligned_alloc(64, bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

// A piece of the system's memory and its gaps, by address. No two gaps touch: what large blocks leave behind
// serves smaller ones, and the other way round.
class Region {
 public:
  Region(void* memory, size_t bytes)
      : memory_(memory), all_{static_cast<char*>(memory), bytes}, gaps_{all_} {}

  const Range& all() const { return all_; }
  bool unused() const { return blocks_ == 0; }

  // From the first gap that is large enough; null if none is.
  void* take(size_t bytes) {
    gaps_.reserve(blocks_ + 2);  // so that giving back allocates nothing
    const auto gap =
        std::find_if(gaps_.begin(), gaps_.end(), [=](const Range& r) { return r.bytes >= bytes; });
    if (gap == gaps_.end()) return nullptr;
    char* block = gap->begin;
    *gap = {block + bytes, gap->bytes - bytes};
    if (gap->bytes == 0) gaps_.erase(gap);
    ++blocks_;
    return block;
  }

  void give(Range block) {
    --blocks_;
    auto next = std::lower_bound(gaps_.begin(), gaps_.end(), block.begin,
                                 [](const Range& r, const char* address) { return r.begin < address; });
    if (next != gaps_.end() && block.end() == next->begin) {
      block.bytes += next->bytes;
      next = gaps_.erase(next);
    }
    if (next != gaps_.begin() && std::prev(next)->end() == block.begin) {
      std::prev(next)->bytes += block.bytes;
    } else {
      gaps_.insert(next, block);
    }
  }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };

  std::unique_ptr<void, Free> memory_;
  Range all_;
  std::vector<Range> gaps_;
  size_t blocks_ = 0;  // in use
};

// Large blocks lie in the oldest region that has room, whose memory has been used before.
class LargeBlocks {
 public:
  void* take(size_t bytes) {
    const std::scoped_lock lock(mutex_);
    for (Region& region : regions_) {
      if (void* block = region.take(bytes)) return block;
    }
    return add_region(bytes).take(bytes);
  }

  void give(Range block) {
    const std::scoped_lock lock(mutex_);
    const auto region = std::find_if(regions_.begin(), regions_.end(),
                                     [&](const Region& r) { return r.all().contains(block.begin); });
    region->give(block);
  }

  void release() {
    const std::scoped_lock lock(mutex_);
    std::erase_if(regions_, std::mem_fn(&Region::unused));
  }

 private:
  // As large as all before together, where that can be had: the system gives memory only as it is first
  // touched.
  Region& add_region(size_t bytes) {
    size_t wanted = bytes;
    for (const Region& region : regions_) wanted += region.all().bytes;
    wanted = std::max(wanted, size_t{64} << 20);
    void* memory = std::aligned_alloc(64, wanted);
    if (memory == nullptr) memory = system_memory(wanted = bytes);
    return regions_.emplace_back(memory, wanted);
  }

  std::mutex mutex_;
  std::vector<Region> regions_;
};

constexpr size_t classes = class_of(largest_of_classes) + 1;

// The small blocks that were made for a thread, for tensors or for scratch memory: they come back here,
// whoever frees them. A block that went to another thread would take its lines of memory along, from one
// core's cache to the other's; so would scratch memory where a tensor was, which all threads have read.
struct alignas(64) Home {
  std::array<FreeList, classes> free;
  alignas(64) std::array<std::atomic<bool>, classes> has{};  // any, in use or not
};

// Never destroyed: static objects may still free tensors when the program ends.
struct Pool {
  std::array<Home, 128> homes;  // two for each thread
  LargeBlocks large;
};

Pool& pool() {
  static auto* pool = new Pool;
  return *pool;
}

Storage* new_block(size_t bytes, size_t unused = 0) {
  auto* storage = new (system_memory(header + bytes + unused)) Storage;
  storage->bytes = bytes;
  return storage;
}

Storage* new_small_block(unsigned size_class, size_t home) {
  pool().homes[home].has[size_class].store(true, std::memory_order_relaxed);
  const size_t bytes = class_bytes(size_class);
  Storage* block =
      new_block(bytes, bytes < detail::tuning::least_matrix_bytes ? 0 : detail::tuning::unused_behind);
  block->home = static_cast<uint8_t>(home);
  return block;
}

size_t home_of(int64_t thread, Role role) {
  return (2 * static_cast<size_t>(thread) + (role == Role::scratch)) % pool().homes.size();
}

Storage* small_block(size_t bytes, Role role) {
  const unsigned size_class = class_of(bytes);
  const size_t home = home_of(thread_number(), role);
  if (Storage* block = pool().homes[home].free[size_class].pop()) return block;
  return new_small_block(size_class, home);
}

Storage* large_block(size_t bytes) {
  auto* storage = new (pool().large.take(header + bytes)) Storage;
  storage->bytes = bytes;
  return storage;
}

constexpr bool is_large(size_t bytes) { return bytes > largest_of_classes; }

}  // namespace

StorageRef Storage::allocate(size_t bytes, Role role) {
  const size_t rounded = (bytes + 63) / 64 * 64;
  Storage* storage = !caching            ? new_block(rounded)
                     : is_large(rounded) ? large_block(rounded)
                                         : small_block(bytes, role);
  storage->references.store(1, std::memory_order_relaxed);
  storage->role = role;
  storage->data = reinterpret_cast<char*>(storage) + header;
  return StorageRef(storage);
}

void Storage::reserve(size_t bytes, int64_t threads) {
  if (!caching) return;
  StorageRef held = allocate(bytes, Role::scratch);
  for (int64_t i = 1; i < threads; ++i) {
    if (is_large(bytes)) {
      StorageRef next = allocate(bytes, Role::scratch);
      next->owner = std::move(held);
      held = std::move(next);
      continue;
    }
    const unsigned size_class = class_of(bytes);
    const size_t home = home_of(i, Role::scratch);
    if (pool().homes[home].has[size_class].load(std::memory_order_relaxed)) continue;
    for (int spare = 0; spare < 2; ++spare)  // should a loop need two whose sizes are alike
      pool().homes[home].free[size_class].push(new_small_block(size_class, home));
  }
}

StorageRef Storage::view(StorageRef owner, void* data) {
  StorageRef storage = allocate(0);
  storage->owner = std::move(owner);
  storage->data = data;
  return storage;
}

void destroy(Storage* storage) {
  delete std::exchange(storage->parameter, nullptr);
  storage->owner = {};
  if (!caching) {
    std::free(storage);
  } else if (is_large(storage->bytes)) {
    pool().large.give({reinterpret_cast<char*>(storage), header + storage->bytes});
  } else {
    pool().homes[storage->home].free[class_of(storage->bytes)].push(storage);
  }
}

void release_cached_memory() {
  for (Home& home : pool().homes) {
    for (FreeList& list : home.free) {
      while (Storage* block = list.pop()) std::free(block);
    }
    for (std::atomic<bool>& has : home.has) has = false;
  }
  pool().large.release();
}

}  // namespace ballast::inline BALLAST_PRECISION
