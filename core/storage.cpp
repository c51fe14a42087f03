#include <ballast/core/storage.h>

#include <array>
#include <bit>
#include <cstdlib>
#include <new>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <ballast/core/detail/sanitizer.h>
#include <ballast/core/parameter.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

#if BALLAST_ADDRESS_SANITIZER
constexpr bool caching = false;  // a cached block would hide a use after free
#else
constexpr bool caching = true;
#endif

constexpr size_t header = sizeof(Storage);
constexpr size_t largest = size_t{1} << (sizeof(size_t) == 8 ? 46 : 31);  // bytes, more than any machine has

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

constexpr size_t classes = class_of(largest) + 1;

// Never destroyed: static objects may still free tensors when the program ends.
using Pool = std::array<FreeList, classes>;

Pool& pool() {
  static auto* pool = new Pool;
  return *pool;
}

Storage* new_block(size_t bytes) {
  void* memory = std::aligned_alloc(64, header + bytes);
  if (memory == nullptr) {
    release_cached_memory();  // whose blocks may be of other classes
    memory = std::aligned_alloc(64, header + bytes);
  }
  if (memory == nullptr) throw std::bad_alloc();
  auto* storage = new (memory) Storage;
  storage->bytes = bytes;
  return storage;
}

Storage* cached_block(size_t bytes) {
  const unsigned size_class = class_of(bytes);
  if (Storage* block = pool()[size_class].pop()) return block;
  return new_block(class_bytes(size_class));
}

}  // namespace

StorageRef Storage::allocate(size_t bytes) {
  if (bytes > largest) throw std::bad_alloc();
  Storage* storage = caching ? cached_block(bytes) : new_block((bytes + 63) / 64 * 64);
  storage->references.store(1, std::memory_order_relaxed);
  storage->role = Role::value;
  storage->data = reinterpret_cast<char*>(storage) + header;
  return StorageRef(storage);
}

void Storage::reserve(size_t bytes, int64_t blocks) {
  if (!caching) return;
  StorageRef held = allocate(bytes);
  for (int64_t i = 1; i < blocks; ++i) {
    StorageRef next = allocate(bytes);
    next->owner = std::move(held);
    held = std::move(next);
    //~ held = {};
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
  } else {
    pool()[class_of(storage->bytes)].push(storage);
    //~ pool()[class_of(storage->bytes) + 1].push(storage);
  }
}

void release_cached_memory() {
  for (FreeList& list : pool()) {
    while (Storage* block = list.pop()) std::free(block);
  }
#ifdef __GLIBC__
  malloc_trim(0);  // else free memory between blocks in use would be kept
  //~
#endif
}

}  // namespace ballast::inline BALLAST_PRECISION
