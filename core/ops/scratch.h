#pragma once

#include <type_traits>

#include <ballast/core/storage.h>

namespace ballast::inline BALLAST_PRECISION {

/// An uninitialized array from the tensors' pool, so that it costs no call of the system allocator. Copies
/// share it.
template <class T>
class Scratch {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  explicit Scratch(int64_t size) : storage_(Storage::allocate(static_cast<size_t>(size) * sizeof(T))) {}
  T* data() const { return static_cast<T*>(storage_->data); }
  T& operator[](int64_t i) const { return data()[i]; }

 private:
  StorageRef storage_;
};

}  // namespace ballast::inline BALLAST_PRECISION
