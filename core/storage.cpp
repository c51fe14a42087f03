#include <ballast/core/storage.h>

#include <array>
#include <bit>
#include <cstdlib>
#include <memory>
#include <new>

#include <ballast/core/parameter.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr bool caching = false;  // a cached block would hide a use after free
#else
constexpr bool caching = true;
#endif

constexpr size_t header = sizeof(Storage);
constexpr unsigned class_count = 4 * 60;

// Sizes 64 * {1, 1.25, 1.5, 1.75} * 2^e, rounded up to whole cache lines.
unsigned class_of(size_t bytes) {
  const size_t lines = (bytes + 63) / 64;
  if (lines <= 4) return static_cast<unsigned>(lines ? lines - 1 : 0);
  const unsigned exponent = static_cast<unsigned>(std::bit_width(lines - 1)) - 3;
  return 4 * exponent + static_cast<unsigned>((lines - 1) >> exponent);
}

size_t class_bytes(unsigned size_class) {
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

// Never destroyed: static objects may still free tensors when the program ends.
std::array<FreeList, class_count>& pool() {
  static auto* lists = new std::array<FreeList, class_count>;
  return *lists;
}

Storage* new_block(unsigned size_class, size_t bytes) {
  void* memory = std::aligned_alloc(64, header + bytes);
  if (memory == nullptr) throw std::bad_alloc();
  auto* storage = new (memory) Storage;
  storage->size_class = static_cast<uint8_t>(size_class);
  return storage;
}

// Small blocks come four at a time: threads that need one at once for the first time find it there, however
// late in a run that is.
Storage* new_pooled_block(unsigned size_class) {
  const size_t bytes = class_bytes(size_class);
  if (bytes <= size_t{1} << 16) {
    for (int spare = 0; spare < 3; ++spare) pool()[size_class].push(new_block(size_class, bytes));
  }
  return new_block(size_class, bytes);
}

}  // namespace

StorageRef Storage::allocate(size_t bytes) {
  const unsigned size_class = class_of(bytes);
  Storage* storage = caching ? pool()[size_class].pop() : new_block(size_class, (bytes + 63) / 64 * 64);
  if (storage == nullptr) storage = new_pooled_block(size_class);
  storage->references.store(1, std::memory_order_relaxed);
  storage->role = Role::value;
  storage->data = reinterpret_cast<char*>(storage) + header;
  return StorageRef(storage);
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
  if (caching) {
    pool()[storage->size_class].push(storage);
  } else {
    std::free(storage);
  }
}

void release_cached_memory() {
  for (FreeList& list : pool()) {
    while (Storage* block = list.pop()) std::free(block);
  }
}

}  // namespace ballast::inline BALLAST_PRECISION
