#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/norm.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {
namespace {

// Independent sums, which hide the latency of additions.
constexpr int64_t chains = 4;

// Calls body(i, V{}) for vectors V of `Element` that halve from one to the next, `width` lanes at first,
// until the elements i, ..., count-1, of which there are fewer than 2 width, are done.
template <class Element, int64_t width, class Body>
[[gnu::always_inline]] inline void for_rest(int64_t i, int64_t count, Body body) {
  using V = typename VectorOf<Element, width>::Type;
  if (i + width <= count) {
    body(i, V{});
    i += width;
  }
  if constexpr (width > 1) for_rest<Element, width / 2>(i, count, body);
}

template <class V>
struct Terms {
  V a, b;
};

// Sums of terms(i, V{}), a pair of vectors V of doubles for the elements from i on.
template <class Pair>
[[gnu::always_inline]] inline Sums sum_pairs(int64_t count, Pair terms) {
  Doubles a[chains] = {}, b[chains] = {};
  const auto add = [&](int64_t i, int64_t chain) BALLAST_ALWAYS_INLINE {
    const auto [to_a, to_b] = terms(i, Doubles{});
    a[chain] += to_a, b[chain] += to_b;
  };
  int64_t i = 0;
  for (; i + chains * double_lanes <= count; i += chains * double_lanes) {
    for (int64_t chain = 0; chain < chains; ++chain) add(i + chain * double_lanes, chain);
  }
  for (; i + double_lanes <= count; i += double_lanes) add(i, 0);
  Sums total = {sum_of_lanes((a[0] + a[1]) + (a[2] + a[3])), sum_of_lanes((b[0] + b[1]) + (b[2] + b[3]))};
  for_rest<double, double_lanes / 2>(i, count, [&](int64_t at, auto kind) BALLAST_ALWAYS_INLINE {
    const auto [to_a, to_b] = terms(at, kind);
    total.a += sum_of_lanes(to_a), total.b += sum_of_lanes(to_b);
  });
  return total;
}

struct SharedAffine {
  real weight, bias;
  template <class V>
  V weights(int64_t) const {
    return weight - V{};
  }
  template <class V>
  V biases(int64_t) const {
    return bias - V{};
  }
};

struct OwnAffine {
  const real *weight, *bias;
  template <class V>
  V weights(int64_t i) const {
    return load_as<V>(weight + i);
  }
  template <class V>
  V biases(int64_t i) const {
    return load_as<V>(bias + i);
  }
};

template <bool Value>
struct Bool {
  static constexpr bool value = Value;
};

// Calls body(affine, relu) with a SharedAffine or an OwnAffine, and a Bool.
template <class Body>
[[gnu::always_inline]] inline auto for_kind(const Run& run, Body body) {
  const SharedAffine shared = {run.weight, run.bias};
  const OwnAffine own = {run.weights, run.biases};
  if (run.weights) return run.relu ? body(own, Bool<true>()) : body(own, Bool<false>());
  return run.relu ? body(shared, Bool<true>()) : body(shared, Bool<false>());
}

// y[i] = element(i, V{}), a vector V of elements from i on. With non-temporal stores the loop is
// memory-bound, so prefetch_ahead(i, count), which prefetches later inputs, is free.
template <class Element, class Ahead>
[[gnu::always_inline]] inline void write_run(const Run& run, real* y, Element element, Ahead prefetch_ahead) {
  const auto write = [&](int64_t i, auto kind) BALLAST_ALWAYS_INLINE { store_as(y + i, element(i, kind)); };
  int64_t i = 0;
  if (run.stream) {
    constexpr int64_t step = 4 * lanes;
    for (; i < run.count && reinterpret_cast<uintptr_t>(y + i) % sizeof(Vector) != 0; ++i)
      for_rest<real, 1>(i, i + 1, write);
    for (; i + step <= run.count; i += step) {
      prefetch_ahead(i, step);
      for (int64_t j = i; j < i + step; j += lanes) stream(y + j, element(j, Vector{}));
    }
    for (; i + lanes <= run.count; i += lanes) stream(y + i, element(i, Vector{}));
  }
#pragma GCC unroll 4
  for (; i + lanes <= run.count; i += lanes) write(i, Vector{});
  for_rest<real, lanes / 2>(i, run.count, write);
}

// Sums of terms(i, V{}), a pair of vectors V of elements: in `real` within blocks, in double across them.
template <class Terms>
[[gnu::always_inline]] inline Sums sum_in_blocks(int64_t count, Terms terms) {
  constexpr int64_t block = 16 * chains;  // vectors
  Sums total;
  const auto add_to_total = [&](auto a, auto b) BALLAST_ALWAYS_INLINE {
    total.a += wide_sum_of_lanes(a), total.b += wide_sum_of_lanes(b);
  };
  int64_t i = 0;
  while (i + lanes <= count) {
    Vector a[chains] = {}, b[chains] = {};
    const int64_t end = least(count, i + block * lanes);
    const auto add = [&](int64_t chain) BALLAST_ALWAYS_INLINE {
      const auto [to_a, to_b] = terms(i, Vector{});
      a[chain] += to_a, b[chain] += to_b;
      i += lanes;
    };
    while (i + chains * lanes <= end)
      for (int64_t chain = 0; chain < chains; ++chain) add(chain);
    while (i + lanes <= end) add(0);
    add_to_total((a[0] + a[1]) + (a[2] + a[3]), (b[0] + b[1]) + (b[2] + b[3]));
  }
  for_rest<real, lanes / 2>(i, count, [&](int64_t at, auto kind) BALLAST_ALWAYS_INLINE {
    const auto [a, b] = terms(at, kind);
    add_to_total(a, b);
  });
  return total;
}

template <bool Relu>
[[gnu::always_inline]] inline Sums sums_of(const Run& run, SharedAffine affine, const real* x,
                                           const real* dy) {
  return sum_in_blocks(run.count, [=, &run](int64_t i, auto kind) {
    using V = decltype(kind);
    const V xh = xhat<V>(run, x + i), g = passing<V, Relu>(affine, xh, load_as<V>(dy + i), i);
    return Terms<V>{g, g * xh};
  });
}

template <bool Relu>
[[gnu::always_inline]] inline Sums sums_of(const Run& run, OwnAffine affine, const real* x, const real* dy,
                                           real* dweights, real* dbiases) {
  return sum_in_blocks(run.count, [=, &run](int64_t i, auto kind) {
    using V = decltype(kind);
    const V xh = xhat<V>(run, x + i), g = passing<V, Relu>(affine, xh, load_as<V>(dy + i), i);
    store_as<V>(dweights + i, load_as<V>(dweights + i) + g * xh);
    store_as<V>(dbiases + i, load_as<V>(dbiases + i) + g);
    const V weighted = affine.weights<V>(i) * g;
    return Terms<V>{weighted, weighted * xh};
  });
}

}  // namespace

double sum(const real* x, int64_t count) {
  const auto terms = [=](int64_t i, auto kind) {
    using V = decltype(kind);
    return Terms<V>{load_wide_as<V>(x + i), V{}};
  };
  return sum_pairs(count, terms).a;
}

double dot(const real* x, const real* y, int64_t count) {
  const auto terms = [=](int64_t i, auto kind) {
    using V = decltype(kind);
    return Terms<V>{load_wide_as<V>(x + i) * load_wide_as<V>(y + i), V{}};
  };
  return sum_pairs(count, terms).a;
}

Sums deviations(const real* x, int64_t count, double shift) {
  return sum_pairs(count, [=](int64_t i, auto kind) {
    using V = decltype(kind);
    if (i % elements_per_cache_line == 0) prefetch(x + i + prefetch_distance);
    const V d = load_wide_as<V>(x + i) - shift;
    return Terms<V>{d, d * d};
  });
}

void end_streams() {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

// Below, `given` is copied: a local copy can't alias the stores, so it stays in registers.

void normalize(const Run& given, const real* x, real* y) {
  const Run run = given;
  for_kind(run, [&](auto affine, auto relu) {
    write_run(
        run, y,
        [&](int64_t i, auto kind)
            BALLAST_ALWAYS_INLINE { return normalize_at<relu.value, decltype(kind)>(run, affine, x, i); },
        [&](int64_t i, int64_t count) { prefetch_range(x + run.x_ahead + i, count); });
  });
}

Sums gradient_sums(const Run& given, const real* x, const real* dy, real* dweights, real* dbiases) {
  const Run run = given;
  if (run.weights) {
    const OwnAffine own = {run.weights, run.biases};
    return run.relu ? sums_of<true>(run, own, x, dy, dweights, dbiases)
                    : sums_of<false>(run, own, x, dy, dweights, dbiases);
  }
  const SharedAffine shared = {run.weight, run.bias};
  return run.relu ? sums_of<true>(run, shared, x, dy) : sums_of<false>(run, shared, x, dy);
}

void gradient(const Run& given, const real* x, const real* dy, real a, real b, real* dx) {
  const Run run = given;
  for_kind(run, [&](auto affine, auto relu) {
    write_run(
        run, dx,
        [&](int64_t i, auto kind) BALLAST_ALWAYS_INLINE {
          return gradient_at<relu.value, decltype(kind)>(run, affine, x, dy, a, b, i);
        },
        [&](int64_t i, int64_t count) {
          prefetch_range(x + run.x_ahead + i, count);
          prefetch_range(dy + run.dy_ahead + i, count);
        });
  });
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
