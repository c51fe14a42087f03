#include <ballast/layers/functional/norm/detail/normalization.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

// Mean and biased variance in one pass, from the sums of d = x - shift and d^2, where the shift is an element
// of the set: so the variance of a constant is exactly 0, and a large mean causes no cancellation (Chan,
// Golub & LeVeque 1983, sec. 2). If that element is an outlier, ten standard deviations off, cancellation
// costs more than two digits: only then a second pass shifts by the mean.

// Makes the mean of the shift, and the variance; returns whether a second pass is needed. `share` is 1 over
// the number of values.
bool find_moments(double share, double sum, double sum_of_squares, double& mean, double& variance) {
  const double d = sum * share, squares = sum_of_squares * share;
  mean += d;
  variance = std::max(squares - d * d, 0.0);  // this order keeps a NaN
  return d * d > 0.99 * squares;
}

// The statistics of `sets` sets. mean[i] is the shift at first; add_up() leaves the sums of set i in sums[i]
// and variance[i].
template <class AddUp>
void find_statistics(int64_t sets, int64_t values, double* mean, double* variance, double* sums,
                     AddUp add_up) {
  const double share = 1 / static_cast<double>(values);
  bool again = true;
  for (int pass = 0; pass < 2 && again; ++pass) {
    add_up();
    again = false;
    for (int64_t i = 0; i < sets; ++i)
      again |= find_moments(share, sums[i], variance[i], mean[i], variance[i]);
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

void set_statistics(Normalization& n, const real* x, int64_t begin, int64_t end) {
  const int64_t values = n.layout.values_per_set();
  const bool centred = n.layout.centred;
  double *mean = n.mean.data(), *variance = n.variance.data();
  std::fill(mean + begin, mean + end, 0.0);
  std::fill(variance + begin, variance + end, 0.0);
  if (values == 0) return;
  if (centred)
    for (int64_t set = begin; set < end; ++set) mean[set] = shift_of(x[set * values]);
  Sums sums[Layout::most_per_block];
  kernels().deviations(end - begin, values, x + begin * values, mean + begin, sums);
  const double share = 1 / static_cast<double>(values);
  for (int64_t set = begin; set < end; ++set) {
    Sums& d = sums[set - begin];
    if (!centred) {
      variance[set] = d.b * share;
    } else if (find_moments(share, d.a, d.b, mean[set], variance[set])) {
      kernels().deviations(1, values, x + set * values, mean + set, &d);
      //~
      find_moments(share, d.a, d.b, mean[set], variance[set]);
    }
  }
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
      for (int64_t first = begin, last; first < end; first = last) {  // the segments of one sample
        last = std::min(end, first / layout.sets * layout.sets + layout.sets);
        kernels().deviations(last - first, layout.length, x + first * layout.length,
                             n.mean.data() + first % layout.sets, parts.data() + first);
      }
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
