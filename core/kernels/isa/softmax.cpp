#include <ballast/core/kernels/isa/for_vectors.h>
#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/math.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {
namespace {

// Sums of vectors, in double.
struct WideSum {
  Widened<Vector> sum{};
  void add(Vector v) { sum += __builtin_convertvector(v, Widened<Vector>); }
  double total() const { return sum_of_lanes(sum); }
  Vector of_each_lane() const { return __builtin_convertvector(sum, Vector); }
};

// The largest element of each of `valid` columns.
template <class Valid>
[[gnu::always_inline]] inline Vector largest_of_columns(int64_t count, Valid valid, int64_t stride,
                                                        const real* x) {
  Vector most = broadcast(-infinity);
  for (int64_t k = 0; k < count; ++k) {
    const Vector v = load_first(x + k * stride, valid);
    most = v > most ? v : most;
  }
  return most;
}

real largest(int64_t count, const real* x) {
  Vector most = broadcast(-infinity);
  for_vectors(count, [&](int64_t i, auto valid) {
    const Vector v = load_first(x + i, valid, -infinity);
    most = v > most ? v : most;
  });
  return largest_of_lanes(most);
}

}  // namespace

double softmax(int64_t count, const real* x, real* y) {
  const real shift = largest(count, x);
  WideSum sum;
  for_vectors(count, [&](int64_t i, auto valid) {
    const Vector e = exp(load_first(x + i, valid, -infinity) - shift);
    store_first(y + i, e, valid);
    sum.add(e);
  });
  const double total = sum.total();
  const real scale = static_cast<real>(1 / total);
  for_vectors(count,
              [=](int64_t i, auto valid) { store_first(y + i, load_first(y + i, valid) * scale, valid); });
  return double{shift} + __builtin_log(total);
}

void softmax_gradient(int64_t count, const real* dy, const real* y, real* dx) {
  const real mean = static_cast<real>(dot(dy, y, count));
  for_vectors(count, [=](int64_t i, auto valid) {
    store_first(dx + i, load_first(y + i, valid) * (load_first(dy + i, valid) - mean), valid);
  });
}

void log_softmax(int64_t count, const real* x, real* y) {
  const real shift = largest(count, x);
  WideSum sum;
  for_vectors(count,
              [&](int64_t i, auto valid) { sum.add(exp(load_first(x + i, valid, -infinity) - shift)); });
  const real log_sum = static_cast<real>(__builtin_log(sum.total()));
  for_vectors(count, [=](int64_t i, auto valid) {
    store_first(y + i, load_first(x + i, valid) - shift - log_sum, valid);
  });
}

void log_softmax_gradient(int64_t count, const real* dy, const real* y, real* dx) {
  const real total = static_cast<real>(sum(dy, count));
  for_vectors(count, [=](int64_t i, auto valid) {
    store_first(dx + i, load_first(dy + i, valid) - exp(load_first(y + i, valid)) * total, valid);
  });
}

void softmax_columns(int64_t count, int64_t columns, int64_t stride, const real* x, real* y) {
  for_vectors(columns, [=](int64_t c, auto valid) BALLAST_ALWAYS_INLINE {
    const Vector most = largest_of_columns(count, valid, stride, x + c);
    WideSum sum;
    for (int64_t k = c; k < c + count * stride; k += stride) {
      const Vector e = exp(load_first(x + k, valid) - most);
      store_first(y + k, e, valid);
      sum.add(e);
    }
    const Vector scale = 1 / sum.of_each_lane();
    for (int64_t k = c; k < c + count * stride; k += stride)
      store_first(y + k, load_first(y + k, valid) * scale, valid);
  });
}

void softmax_gradient_columns(int64_t count, int64_t columns, int64_t stride, const real* dy, const real* y,
                              real* dx) {
  for_vectors(columns, [=](int64_t c, auto valid) BALLAST_ALWAYS_INLINE {
    WideSum sum;
    for (int64_t k = c; k < c + count * stride; k += stride)
      sum.add(load_first(dy + k, valid) * load_first(y + k, valid));
    const Vector mean = sum.of_each_lane();
    for (int64_t k = c; k < c + count * stride; k += stride)
      store_first(dx + k, load_first(y + k, valid) * (load_first(dy + k, valid) - mean), valid);
  });
}

void log_softmax_columns(int64_t count, int64_t columns, int64_t stride, const real* x, real* y) {
  for_vectors(columns, [=](int64_t c, auto valid) BALLAST_ALWAYS_INLINE {
    const Vector most = largest_of_columns(count, valid, stride, x + c);
    WideSum sum;
    for (int64_t k = c; k < c + count * stride; k += stride) sum.add(exp(load_first(x + k, valid) - most));
    const Vector log_sum = log(sum.of_each_lane());
    for (int64_t k = c; k < c + count * stride; k += stride)
      store_first(y + k, load_first(x + k, valid) - most - log_sum, valid);
  });
}

void log_softmax_gradient_columns(int64_t count, int64_t columns, int64_t stride, const real* dy,
                                  const real* y, real* dx) {
  for_vectors(columns, [=](int64_t c, auto valid) BALLAST_ALWAYS_INLINE {
    WideSum sum;
    for (int64_t k = c; k < c + count * stride; k += stride) sum.add(load_first(dy + k, valid));
    const Vector total = sum.of_each_lane();
    for (int64_t k = c; k < c + count * stride; k += stride)
      store_first(dx + k, load_first(dy + k, valid) - exp(load_first(y + k, valid)) * total, valid);
  });
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
