#include <algorithm>
#include <utility>

#include <ballast/core/kernels/kernels.h>
#include <ballast/core/ops/map.h>
#include <ballast/core/ops/norm_kernels.h>
#include <ballast/core/ops/norm_runs.h>
#include <ballast/core/ops/scratch.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

// Of `count` values, the first of which is `first`, and whose sums_about(shift) are those of x - shift.
template <class SumsAbout>
MeanVar mean_var(double first, double count, SumsAbout sums_about) {
  double shift = first;
  Sums d = sums_about(shift);
  if (far_off(d, count)) {
    shift += d.a / count;
    d = sums_about(shift);
  }
  return {shift + d.a / count, variance(d, count)};
}

// While a row is written, the next one is called for, or of a long row what lies so far ahead: x and dy, read
// and called for, shall fit into a second cache.
constexpr int64_t far_ahead = (int64_t{1} << 16) / sizeof(real);

// A run of a row, the first element of which has affine parameter `parameter`.
Run run_of(const Rows& rows, const Moments& m, const Affine& affine, int64_t row, int64_t parameter) {
  Run run = {.count = rows.run, .high = m.high()[row], .low = m.low()[row], .rstd = m.rstd()[row]};
  run.x_ahead = run.dy_ahead = std::min(rows.length(), far_ahead);
  if (rows.own) {
    run.weights = affine.weight + parameter, run.biases = affine.bias + parameter;
  } else {
    if (affine.weight) run.weight = affine.weight[parameter];
    if (affine.bias) run.bias = affine.bias[parameter];
  }
  return run;
}

// Calls body(start, parameter) for each run of a row: its first element, and its affine parameter.
template <class Body>
void for_runs(const Rows& rows, int64_t row, Body body) {
  const int64_t step = rows.own ? rows.run : 1;
  int64_t start = row * rows.length(), parameter = rows.own ? 0 : row % rows.period * rows.runs;
  for (int64_t i = 0; i < rows.runs; ++i, start += rows.run, parameter += step) body(start, parameter);
}

// Chunks of rows that are worth a thread's while.
int64_t row_chunk(const Rows& rows) { return row_grain(rows.length()); }

// Normalizes each row, for which before(row) sees to the moments.
template <class Before>
void for_rows(const Rows& rows, const Forward& f, const Moments& moments, Before before) {
  reserve_scratch<real>(plane_size(f.follow), rows.count);
  parallel_for(rows.count, row_chunk(rows), [&](int64_t begin, int64_t end) {
    const Scratch<real> plane(plane_size(f.follow));
    for (int64_t row = begin; row < end; ++row) {
      before(row);
      for_runs(rows, row, [&](int64_t start, int64_t parameter) {
        forward_run(f, run_of(rows, moments, f.affine, row, parameter), start, plane.data());
      });
    }
    if (f.stream) kernels().end_streams();
  });
}

}  // namespace

void normalize_rows(const Rows& rows, const Forward& f, double eps, Moments& moments, const Statistics& out) {
  const auto count = static_cast<double>(rows.length());
  for_rows(rows, f, moments, [&](int64_t row) {
    const real* x = f.x + row * rows.length();
    MeanVar m = {0, 0};
    if (!rows.centred) {
      m.var = kernels().deviations(x, rows.length(), 0).b / count;
    } else if (rows.length() > 0) {
      m = mean_var(x[0], count, [&](double shift) { return kernels().deviations(x, rows.length(), shift); });
    }
    moments.set(row, m.mean, m.var, eps);
    out.set(row, m);
  });
}

void normalize_rows(const Rows& rows, const Forward& f, const Moments& moments) {
  for_rows(rows, f, moments, [](int64_t) {});
}

namespace {

// Sums of the affine parameters' gradients: first the weights', then the biases', for each chunk.
void add_up(const Scratch<double>& partial, int64_t chunks, int64_t parameters, const AffineGradients& to) {
  parallel_for(parameters, row_grain(2 * chunks), [=, &partial, &to](int64_t begin, int64_t end) {
    std::fill(to.weight + begin, to.weight + end, 0.0);
    std::fill(to.bias + begin, to.bias + end, 0.0);
    const double* from = partial.data();
    for (int64_t chunk = 0; chunk < chunks; ++chunk, from += 2 * parameters) {
      for (int64_t i = begin; i < end; ++i) to.weight[i] += from[i], to.bias[i] += from[parameters + i];
    }
  });
}

}  // namespace

void normalize_rows_backward(const Rows& rows, const Backward& b, const Moments& moments) {
  const auto count = static_cast<double>(rows.length());
  const int64_t grain = grain_for(rows.count, row_chunk(rows), 16), chunks = divide_up(rows.count, grain);
  const int64_t parameters = rows.parameters();
  const Scratch<double> partial(2 * chunks * parameters);
  // Elements' own gradients are added in their precision over this many rows, in double over these.
  constexpr int64_t block = 128;
  const int64_t own_size = rows.own ? 2 * parameters : 0;
  reserve_scratch<real>(plane_size(b.follow), chunks);
  reserve_scratch<real>(own_size, chunks);
  parallel_for(rows.count, grain, [&](int64_t begin, int64_t end) {
    const Scratch<real> plane(plane_size(b.follow)), own(own_size);
    std::fill_n(own.data(), own_size, real{0});
    double* sums = partial.data() + begin / grain * 2 * parameters;
    std::fill_n(sums, 2 * parameters, 0.0);
    const auto run_at = [&](int64_t row, int64_t parameter) {
      return for_gradient(run_of(rows, moments, b.affine, row, parameter), b);
    };
    for (int64_t row = begin; row < end; ++row) {
      Sums total;  // of w g and w g xhat
      for_runs(rows, row, [&](int64_t start, int64_t parameter) {
        const Run run = run_at(row, parameter);
        const Sums part = sums_of_run(b, run, start, plane.data(), own.data() + parameter,
                                      own.data() + parameters + parameter);
        const double w = rows.own ? 1 : double{run.weight};
        total.a += w * part.a, total.b += w * part.b;
        if (!rows.own) sums[parameter] += part.b, sums[parameters + parameter] += part.a;
      });
      if (rows.own && ((row - begin) % block == block - 1 || row + 1 == end)) {
        for (int64_t i = 0; i < own_size; ++i) sums[i] += std::exchange(own[i], real{0});
      }
      if (b.dx == nullptr) continue;
      const real mean_a = rows.centred ? static_cast<real>(total.a / count) : 0;
      const real mean_b = static_cast<real>(total.b / count);
      for_runs(rows, row, [&](int64_t start, int64_t parameter) {
        const real* g = gradient_of_run(b, rows.run, start, plane.data());
        kernels().gradient(run_at(row, parameter), b.x + start, g, mean_a, mean_b, b.dx + start);
      });
    }
    if (b.stream) kernels().end_streams();
  });
  add_up(partial, chunks, parameters, b.sums);
}

}  // namespace ballast::inline BALLAST_PRECISION
