#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/norm.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {
namespace {

// Independent sums, which hide the latency of additions.
constexpr int64_t chains = 4;

using AllDoubles = std::integral_constant<int64_t, double_lanes>;

// Sums of terms(i, valid), a pair of vectors of doubles for the elements from i on, of which `valid` are
// within `count`.
template <class Pair>
[[gnu::always_inline]] inline Sums sum_pairs(int64_t count, Pair terms) {
  Doubles a[chains] = {}, b[chains] = {};
  const auto add = [&](int64_t i, int64_t chain, auto valid) BALLAST_ALWAYS_INLINE {
    const auto [to_a, to_b] = terms(i, valid);
    a[chain] += to_a, b[chain] += to_b;
  };
  int64_t i = 0;
  for (; i + chains * double_lanes <= count; i += chains * double_lanes) {
    for (int64_t chain = 0; chain < chains; ++chain) add(i + chain * double_lanes, chain, AllDoubles{});
  }
  for (; i + double_lanes <= count; i += double_lanes) add(i, 0, AllDoubles{});
  if (i < count) add(i, 1, count - i);
  return {sum_of_lanes((a[0] + a[1]) + (a[2] + a[3])), sum_of_lanes((b[0] + b[1]) + (b[2] + b[3]))};
}

template <class V>
struct Terms {
  V a, b;
};

struct Statistics {  // of a run
  real high, low, rstd;
};

// The weight and bias of a run, or of each of its elements.
struct SharedAffine {
  real weight, bias;
  template <class Valid>
  real weights(int64_t, Valid) const {
    return weight;
  }
  template <class Valid>
  real biases(int64_t, Valid) const {
    return bias;
  }
};

struct OwnAffine {
  const real *weight, *bias;
  template <class Valid>
  Vector weights(int64_t i, Valid valid) const {
    return load_first(weight + i, valid);
  }
  template <class Valid>
  Vector biases(int64_t i, Valid valid) const {
    return load_first(bias + i, valid);
  }
};

template <bool Value>
struct Bool {
  static constexpr bool value = Value;
};

// Calls body(run, statistics, affine, relu) for each run, with a SharedAffine or an OwnAffine, and a Bool.
template <class Body>
[[gnu::always_inline]] inline void for_runs(const Runs& runs, Body body) {
  const auto each = [&](auto relu) BALLAST_ALWAYS_INLINE {
    for (int64_t r = 0; r < runs.runs; ++r) {
      const Statistics s = {runs.high[r], runs.low[r], runs.rstd[r]};
      if (runs.elementwise) {
        body(r, s, OwnAffine{runs.weight, runs.bias}, relu);
      } else {
        body(r, s, SharedAffine{runs.weight[r], runs.bias[r]}, relu);
      }
    }
  };
  return runs.relu ? each(Bool<true>()) : each(Bool<false>());
}

// y[i] = element(i, valid), a vector of elements from i on, of which `valid` are within the run. With
// non-temporal stores the loop is memory-bound, so prefetch_ahead(i, count), which prefetches later inputs,
// is free.
template <class Element, class Ahead>
[[gnu::always_inline]] inline void write_run(const Runs& runs, real* y, Element element,
                                             Ahead prefetch_ahead) {
  const int64_t count = runs.count;
  int64_t i = 0;
  if (runs.stream) {
    constexpr int64_t step = 4 * lanes;
    const auto past = static_cast<int64_t>(reinterpret_cast<uintptr_t>(y) % sizeof(Vector) / sizeof(real));
    if (past > 0 && count > 0) {
      i = least(lanes - past, count);
      store_first(y, element(0, i), i);
    }
    for (; i + step <= count; i += step) {
      prefetch_ahead(i, step);
      for (int64_t j = i; j < i + step; j += lanes) stream(y + j, element(j, AllLanes{}));
    }
    for (; i + lanes <= count; i += lanes) stream(y + i, element(i, AllLanes{}));
  }
#pragma GCC unroll 4
  for (; i + lanes <= count; i += lanes) store(y + i, element(i, AllLanes{}));
  if (i < count) store_first(y + i, element(i, count - i), count - i);
}

// Sums of terms(i, valid), a pair of vectors of elements: in `real` within blocks, in double across them.
template <class Pair>
[[gnu::always_inline]] inline Sums sum_in_blocks(int64_t count, Pair terms) {
  constexpr int64_t block = 16 * chains;  // vectors
  Sums total = {0, 0};
  int64_t i = 0;
  do {
    Vector a[chains] = {}, b[chains] = {};
    const int64_t end = least(count, i + block * lanes);
    const auto add = [&](int64_t chain, auto valid) BALLAST_ALWAYS_INLINE {
      const auto [to_a, to_b] = terms(i, valid);
      a[chain] += to_a, b[chain] += to_b;
      i += valid;
    };
    while (i + chains * lanes <= end)
      for (int64_t chain = 0; chain < chains; ++chain) add(chain, AllLanes{});
    while (i + lanes <= end) add(0, AllLanes{});
    if (i < end) add(1, end - i);
    //~
    total.a += wide_sum_of_lanes((a[0] + a[1]) + (a[2] + a[3]));
    total.b += wide_sum_of_lanes((b[0] + b[1]) + (b[2] + b[3]));
  } while (i < count);
  return total;
}

}  // namespace

double sum(const real* x, int64_t count) {
  return sum_pairs(count,
                   [=](int64_t i, auto valid) BALLAST_ALWAYS_INLINE {
                     return Terms<Doubles>{load_wide_first(x + i, valid), Doubles{}};
                   })
      .a;
}

double dot(const real* x, const real* y, int64_t count) {
  return sum_pairs(count,
                   [=](int64_t i, auto valid) BALLAST_ALWAYS_INLINE {
                     return Terms<Doubles>{load_wide_first(x + i, valid) * load_wide_first(y + i, valid),
                                           Doubles{}};
                   })
      .a;
}

void deviations(int64_t runs, int64_t count, const real* x, const double* shift, Sums* sums) {
  for (int64_t r = 0; r < runs; ++r, x += count) {
    sums[r] = sum_pairs(count, [=, about = shift[r]](int64_t i, auto valid) BALLAST_ALWAYS_INLINE {
      if (i % elements_per_cache_line == 0) prefetch(x + i + prefetch_distance);
      Doubles d = load_wide_first(x + i, valid) - about;
      if (valid < double_lanes) d = first_lanes<Doubles>(valid) ? d : Doubles{};
      //~
      return Terms<Doubles>{d, d * d};
    });
  }
}

void end_streams() {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

// Below, `given` is copied: a local copy can't alias the stores, so it stays in registers.

void normalize(const Runs& given, const real* x, real* y) {
  const Runs runs = given;
  for_runs(runs, [&](int64_t r, const Statistics& s, auto affine, auto relu) BALLAST_ALWAYS_INLINE {
    const real* from = x + r * runs.count;
    write_run(
        runs, y + r * runs.count,
        [&](int64_t i, auto valid) BALLAST_ALWAYS_INLINE {
          return normalized<relu.value>(s, affine.weights(i, valid), affine.biases(i, valid),
                                        load_first(from + i, valid));
        },
        [&](int64_t i, int64_t count)
            BALLAST_ALWAYS_INLINE { prefetch_range(from + runs.x_ahead + i, count); });
  });
}

void gradient_sums(const Runs& given, const real* x, const real* dy, Sums* sums, real* dweights,
                   real* dbiases) {
  const Runs runs = given;
  for_runs(runs, [&](int64_t r, const Statistics& s, auto affine, auto relu) BALLAST_ALWAYS_INLINE {
    const real *from = x + r * runs.count, *of = dy + r * runs.count;
    sums[r] = sum_in_blocks(runs.count, [&](int64_t i, auto valid) BALLAST_ALWAYS_INLINE {
      // Lanes beyond the run have g = 0, and an xhat that is finite if the run's are.
      const Vector xh = xhat(s, load_first(from + i, valid, s.high));
      const auto weight = affine.weights(i, valid);
      const Vector g = passing<relu.value>(weight, affine.biases(i, valid), xh, load_first(of + i, valid));
      if constexpr (std::is_same_v<decltype(affine), SharedAffine>) {
        return Terms<Vector>{g, g * xh};
      } else {
        store_first(dweights + i, load_first(dweights + i, valid) + g * xh, valid);
        store_first(dbiases + i, load_first(dbiases + i, valid) + g, valid);
        return Terms<Vector>{weight * g, weight * g * xh};
      }
    });
  });
}

void gradient(const Runs& given, const real* x, const real* dy, const real* a, const real* b, real* dx) {
  const Runs runs = given;
  for_runs(runs, [&](int64_t r, const Statistics& s, auto affine, auto relu) BALLAST_ALWAYS_INLINE {
    const real *from = x + r * runs.count, *of = dy + r * runs.count, of_a = a[r], of_b = b[r];
    write_run(
        runs, dx + r * runs.count,
        [&](int64_t i, auto valid) BALLAST_ALWAYS_INLINE {
          return gradient_of<relu.value>(s, affine.weights(i, valid), affine.biases(i, valid),
                                         load_first(from + i, valid), load_first(of + i, valid), of_a, of_b);
        },
        [&](int64_t i, int64_t count) BALLAST_ALWAYS_INLINE {  // a call without effect would be deleted
          prefetch_range(from + runs.x_ahead + i, count);
          prefetch_range(of + runs.dy_ahead + i, count);
        });
  });
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
