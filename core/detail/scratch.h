#pragma once

#include <algorithm>
#include <type_traits>

#include <ballast/core/parallel.h>
#include <ballast/core/storage.h>

namespace ballast::inline BALLAST_PRECISION::detail {

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

/// Before a loop of `chunks` chunks that each make a Scratch<T>(size): makes the pool hold enough for all
/// threads at once. Else one may be allocated late in a run, in the first step in which they overlap.
template <class T>
void reserve_scratch(int64_t size, int64_t chunks) {
  const int64_t threads = std::min<int64_t>(num_threads(), chunks);
  constexpr int64_t each = 2;  // a chunk may make two whose sizes are in the same class
  if (threads > 1) Storage::reserve(static_cast<size_t>(size) * sizeof(T), each * threads);
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
