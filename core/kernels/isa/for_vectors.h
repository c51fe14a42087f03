#pragma once

#include <ballast/core/kernels/isa/vector.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {

/// Stores vectors to a destination, with non-temporal stores if it is a number of whole cache lines: a line
/// that is written in part by other stores would be slower.
class Writer {
 public:
  Writer(Destination y, int64_t count)
      : y_(y.at),
        stream_(y.stream && reinterpret_cast<uintptr_t>(y.at) % cache_line == 0 &&
                count % elements_per_cache_line == 0) {}

  void put(int64_t i, Vector v, AllLanes = {}) const { stream_ ? stream(y_ + i, v) : store(y_ + i, v); }
  void put(int64_t i, Vector v, int64_t valid) const { store_first(y_ + i, v, valid); }

 private:
  real* y_;
  bool stream_;
};

/// Calls body(i, valid) for vectors of the elements from i on, of which `valid` are within `count`.
template <class Body>
[[gnu::always_inline]] inline void for_vectors(int64_t count, Body body) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) body(i, AllLanes{});
  if (i < count) body(i, count - i);
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
