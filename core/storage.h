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

/// A block of memory that tensors share: a 64-byte header, and behind it, or inside another block (`owner`),
/// the data, aligned to 64 bytes. Blocks come in size classes, four per doubling, and a freed one is kept for
/// the next of its class, so that a training loop stops calling the system allocator after its first steps.
/// Under the address sanitizer nothing is kept.
struct alignas(64) Storage {
  /// A new block of at least `bytes` bytes, uninitialized.
  static StorageRef allocate(size_t bytes);
  /// Sees to it that so many such blocks can be had at a time without a call of the system allocator.
  static void reserve(size_t bytes, int64_t blocks);
  /// A header alone, whose data lies inside `owner`.
  static StorageRef view(StorageRef owner, void* data);

  std::atomic<int32_t> references{1};
  Role role = Role::value;
  size_t bytes = 0;  // of data, when they aren't another block's
  void* data = nullptr;
  StorageRef owner;
  ParameterState* parameter = nullptr;  // owned; set when role is parameter
  Storage* next_free = nullptr;         // while it waits in the pool
};
static_assert(sizeof(Storage) == 64);

void destroy(Storage* storage);

inline StorageRef::StorageRef(const StorageRef& other) : storage_(other.storage_) {
  if (storage_) storage_->references.fetch_add(1, std::memory_order_relaxed);
}

inline StorageRef::~StorageRef() {
  if (storage_ && storage_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(storage_);
}

/// Gives the memory that the pool keeps for reuse back to the system.
void release_cached_memory();

}  // namespace ballast::inline BALLAST_PRECISION
