#include <ballast/layers/functional/norm/detail/normalization.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

// Mean and biased variance in one pass, from the sums of d = x - shift and d^2, where the shift is an element
// of the set: so the variance of a constant is exactly 0, and a large mean causes no cancellation (Chan,
// Golub & LeVeque 1983, sec. 2). If that element is an outlier, ten standard deviations off, cancellation
// costs more than two digits: only then a second pass shifts by the mean.
//
// mean[i] is the shift at first; add_up() leaves the sums of set i in sums[i] and variance[i].
template <class AddUp>
void find_statistics(int64_t sets, int64_t values, double* mean, double* variance, double* sums,
                     AddUp add_up) {
  const auto count = static_cast<double>(values);
  bool again = true;
  for (int pass = 0; pass < 2 && again; ++pass) {
    add_up();
    again = false;
    for (int64_t i = 0; i < sets; ++i) {
      const double d = sums[i] / count, squares = variance[i] / count;
      again |= d * d > 0.99 * squares;
      mean[i] += d;
      variance[i] = std::max(squares - d * d, 0.0);  // this order keeps a NaN
    }
  }
}

// The shift: an element, unless it is infinite, or NaN: then no difference from it would be finite.
double shift_of(real x) { return std::isfinite(x) ? double{x} : 0; }

}  // namespace

void add_up_segments(const Scratch<Sums>& parts, int64_t segments, int64_t channels, double* a, double* b) {
  std::fill_n(a, channels, 0.0);
  std::fill_n(b, channels, 0.0);
  const Sums* part = parts.data();
  for (int64_t first = 0; first < segments; first += channels) {
    for (int64_t i = 0; i < channels; ++i, ++part) a[i] += part->a, b[i] += part->b;
    //~ for (int64_t i = 0; i < channels; ++i, ++part) a[i] = part->a, b[i] = part->b;
  }
}

void Normalization::invert_deviations(int64_t begin, int64_t end) {
  for (int64_t set = begin; set < end; ++set)
    rstd[set] = static_cast<real>(1 / std::sqrt(variance[set] + eps));
}

void set_statistics(Normalization& n, const real* x, int64_t set) {
  const int64_t values = n.layout.values_per_set();
  double *mean = n.mean.data() + set, *variance = n.variance.data() + set, sum = 0;
  *mean = *variance = 0;
  if (values == 0) return;
  x += set * values;
  if (!n.layout.centred) {
    *variance = kernels().deviations(x, values, 0).b / static_cast<double>(values);
    return;
  }
  *mean = shift_of(*x);
  find_statistics(1, values, mean, variance, &sum, [&] {
    const Sums d = kernels().deviations(x, values, *mean);
    sum = d.a, *variance = d.b;
  });
}

void batch_statistics(Normalization& n, const real* x) {
  const Layout& layout = n.layout;
  std::fill_n(n.mean.data(), layout.sets, 0.0);
  std::fill_n(n.variance.data(), layout.sets, 0.0);
  if (layout.values_per_set() == 0) return;
  for (int64_t set = 0; set < layout.sets; ++set) n.mean[set] = shift_of(x[set * layout.length]);
  const Scratch<double> sums(layout.sets);
  const Scratch<Sums> parts(layout.segments);
  find_statistics(layout.sets, layout.values_per_set(), n.mean.data(), n.variance.data(), sums.data(), [&] {
    for_segments(layout, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        parts[i] = kernels().deviations(x + i * layout.length, layout.length, n.mean[i % layout.sets]);
    });
    add_up_segments(parts, layout.segments, layout.sets, sums.data(), n.variance.data());
  });
}

void column_statistics(Normalization& n, const real* x, int64_t begin, int64_t end) {
  const int64_t rows = n.layout.values_per_set(), columns = end - begin;
  double *mean = n.mean.data() + begin, *variance = n.variance.data() + begin, sums[ColumnBlock::size];
  std::fill_n(mean, columns, 0.0);
  std::fill_n(variance, columns, 0.0);
  if (rows == 0) return;
  x += begin;
  std::transform(x, x + columns, mean, shift_of);
  const Columns matrix = {.rows = rows,
                          .columns = columns,
                          .stride = n.layout.sets,
                          .high = nullptr,
                          .low = nullptr,
                          .rstd = nullptr,
                          .weight = nullptr,
                          .bias = nullptr};
  find_statistics(columns, rows, mean, variance, sums, [&] {
    std::fill_n(sums, columns, 0.0);
    std::fill_n(variance, columns, 0.0);
    kernels().column_deviations(matrix, x, mean, sums, variance);
  });
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
