#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION {

struct ParameterState;
struct Storage;

/// A counted reference to a Storage; any thread may hold or drop one.
class StorageRef {
 public:
  StorageRef() = default;
  explicit StorageRef(Storage* adopted) : storage_(adopted) {}
  StorageRef(const StorageRef& other);
  StorageRef(StorageRef&& other) noexcept : storage_(std::exchange(other.storage_, nullptr)) {}
  StorageRef& operator=(StorageRef other) noexcept {
    std::swap(storage_, other.storage_);
    return *this;
  }
  ~StorageRef();

  Storage* operator->() const { return storage_; }
  Storage* get() const { return storage_; }
  explicit operator bool() const { return storage_ != nullptr; }
  bool operator==(const StorageRef& other) const = default;

 private:
  Storage* storage_ = nullptr;
};

/// What a block of memory is used for. Only the memory of plain values may be overwritten in place (see
/// `own`).
enum class Role : uint8_t { value, parameter, buffer };

/// The reference-counted header, 64 bytes, of memory that tensors share. The data, aligned to 64 bytes,
/// follow the header, or lie in another block, `owner`. Block sizes are rounded up to classes, four per
/// doubling, and freed blocks kept in one free list per class, so that a training loop stops calling the
/// system allocator after its first steps. With the address sanitizer, freed blocks aren't kept.
struct alignas(64) Storage {
  /// A new block of at least `bytes` bytes, uninitialized.
  static StorageRef allocate(size_t bytes);
  /// Makes sure that `blocks` such blocks can exist at a time without another call of the system allocator.
  static void reserve(size_t bytes, int64_t blocks);
  /// A header alone, for data that lie in `owner`.
  static StorageRef view(StorageRef owner, void* data);

  std::atomic<int32_t> references{1};
  Role role = Role::value;
  size_t bytes = 0;  // size of the data, unless they lie in `owner`
  void* data = nullptr;
  StorageRef owner;
  ParameterState* parameter = nullptr;  // owned; null unless role is parameter
  Storage* next_free = nullptr;         // in the free list
};
static_assert(sizeof(Storage) == 64);

void destroy(Storage* storage);

inline StorageRef::StorageRef(const StorageRef& other) : storage_(other.storage_) {
  if (storage_) storage_->references.fetch_add(1, std::memory_order_relaxed);
}

inline StorageRef::~StorageRef() {
  if (storage_ && storage_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(storage_);
}

/// Returns the memory of freed blocks, which is kept for reuse, to the system.
void release_cached_memory();

}  // namespace ballast::inline BALLAST_PRECISION
