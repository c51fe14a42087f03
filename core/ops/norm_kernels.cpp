#include <ballast/core/ops/norm_kernels.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <ballast/core/kernels/kernels.h>
#include <ballast/core/ops/map.h>
#include <ballast/core/ops/scratch.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

// Of the sums of d = x - shift and of d^2: mean and variance in one pass. The shift is an element of the set,
// so that a constant gives exactly 0 and a large mean costs nothing (Chan, Golub & LeVeque 1983, sec. 2).
double variance(Sums d, double count) {
  const double mean = d.a / count, var = d.b / count - mean * mean;
  return var < 0 ? 0 : var;
}

// That element was an outlier, ten standard deviations off: the difference in `variance` would lose more than
// two digits. Then, and only then, a second pass shifts by the mean.
bool far_off(Sums d, double count) { return d.a * d.a > 0.99 * count * d.b; }

struct MeanVar {
  double mean, var;
};

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

void put(const Statistics& out, int64_t i, const MeanVar& m) {
  if (out.mean) out.mean[i] = m.mean;
  if (out.var) out.var[i] = m.var;
}

// Memory for a plane before it is pooled, or after its gradient is spread.
int64_t plane_size(const Follow& follow) { return follow.then.max_pool ? follow.h * follow.w : 0; }

// Normalizes the run that begins at element `start`, and does what follows.
void forward_run(const Forward& f, Run run, int64_t start, real* plane) {
  const Follow& follow = f.follow;
  if (!follow.then.max_pool) {
    run.relu = follow.then.relu;
    run.stream = f.stream;
    return kernels().normalize(run, f.x + start, f.y + start);
  }
  kernels().normalize(run, f.x + start, plane);
  const int64_t to = start / run.count * follow.outputs();
  kernels().max_pool(follow.plane(), plane, follow.then.relu, f.y + to, f.winners ? f.winners + to : nullptr);
}

// The gradient of the run that begins at element `start`: in dy, or spread over `plane`.
const real* gradient_of_run(const Backward& b, int64_t count, int64_t start, real* plane) {
  const Follow& follow = b.follow;
  if (!follow.then.max_pool) return b.dy + start;
  const int64_t from = start / count * follow.outputs();
  if (follow.w % 2 || follow.h % 2) std::fill_n(plane, follow.h * follow.w, real{0});
  kernels().max_pool_gradient(follow.plane(), b.dy + from, b.winners + from, plane);
  return plane;
}

// Sums of g and g xhat over the run that begins at element `start`; for elements with weights of their own
// see gradient_sums.
Sums sums_of_run(const Backward& b, const Run& run, int64_t start, real* plane, real* dweights,
                 real* dbiases) {
  if (b.follow.then.max_pool && !run.weights) {
    const int64_t from = start / run.count * b.follow.outputs();
    return kernels().pooled_gradient_sums(run, b.follow.plane(), b.x + start, b.dy + from, b.winners + from);
  }
  const real* g = gradient_of_run(b, run.count, start, plane);
  return kernels().gradient_sums(run, b.x + start, g, dweights, dbiases);
}

bool cuts_off(const Follow& follow) { return follow.then.relu && !follow.then.max_pool; }

// Rows
// ---------------------------------------------------------------------------------------------------------

// A run of a row, the first element of which has affine parameter `parameter`.
Run run_of(const Rows& rows, const Moments& m, const Affine& affine, int64_t row, int64_t parameter) {
  Run run = {.count = rows.run, .high = m.high()[row], .low = m.low()[row], .rstd = m.rstd()[row]};
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

}  // namespace

void Moments::set(int64_t i, double mean, double var, double eps) {
  high()[i] = static_cast<real>(mean);
  low()[i] = static_cast<real>(mean - high()[i]);
  rstd()[i] = static_cast<real>(1 / std::sqrt(var + eps));
}

void normalize_rows(const Rows& rows, const Forward& f, double eps, Moments& moments, const Statistics& out) {
  const auto count = static_cast<double>(rows.length());
  reserve_scratch<real>(plane_size(f.follow), rows.count);
  parallel_for(rows.count, row_chunk(rows), [&](int64_t begin, int64_t end) {
    const Scratch<real> plane(plane_size(f.follow));
    for (int64_t row = begin; row < end; ++row) {
      const real* x = f.x + row * rows.length();
      MeanVar m = {0, 0};
      if (!rows.centred) {
        m.var = kernels().deviations(x, rows.length(), 0).b / count;
      } else if (rows.length() > 0) {
        m = mean_var(x[0], count,
                     [&](double shift) { return kernels().deviations(x, rows.length(), shift); });
      }
      moments.set(row, m.mean, m.var, eps);
      put(out, row, m);
      for_runs(rows, row, [&](int64_t start, int64_t parameter) {
        forward_run(f, run_of(rows, moments, f.affine, row, parameter), start, plane.data());
      });
    }
    if (f.stream) kernels().end_streams();
  });
}

namespace {

// Sums of the affine parameters' gradients: first the weights', then the biases', for each chunk.
void add_up(const Scratch<double>& partial, int64_t chunks, int64_t parameters, const AffineGradients& to) {
  parallel_for(parameters, elementwise_grain, [=, &partial, &to](int64_t begin, int64_t end) {
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
      Run run = run_of(rows, moments, b.affine, row, parameter);
      run.relu = cuts_off(b.follow);
      run.stream = b.stream;
      return run;
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

// Channels
// ---------------------------------------------------------------------------------------------------------

namespace {

// Channels that one thread works on at once: their elements lie apart by C P.
constexpr int64_t channel_block = 64;

// Calls body(c0, c1) for blocks of at most `channel_block` channels, some of which are worth a thread's
// while.
template <class Body>
void for_channel_blocks(const Channels& shape, Body body) {
  const int64_t least = shape.p == 1 ? 16 : 1;  // whole cache lines
  const int64_t grain = std::max(elementwise_grain / 2 / std::max<int64_t>(shape.values(), 1), least);
  parallel_for(shape.c, grain, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; c += channel_block) body(c, std::min(c + channel_block, end));
  });
}

// What the column kernels take for channels c0, ..., c1-1 of vectors.
struct ColumnTable {
  real weight[channel_block], bias[channel_block];
  Columns columns;

  ColumnTable(const Channels& shape, int64_t c0, int64_t c1, const Moments& m, const Affine& affine,
              bool relu)
      : columns{shape.n, c1 - c0, shape.c, m.high() + c0, m.low() + c0, m.rstd() + c0, weight, bias, relu} {
    for (int64_t c = c0; c < c1; ++c) {
      weight[c - c0] = affine.weight ? affine.weight[c] : 1;
      bias[c - c0] = affine.bias ? affine.bias[c] : 0;
    }
  }
};

Run run_of(const Channels& shape, int64_t c, const Moments& m, const Affine& affine) {
  return {.count = shape.p,
          .high = m.high()[c],
          .low = m.low()[c],
          .rstd = m.rstd()[c],
          .weight = affine.weight ? affine.weight[c] : 1,
          .bias = affine.bias ? affine.bias[c] : 0};
}

// Calls body(start) for the planes of channel c.
template <class Body>
void for_planes(const Channels& shape, int64_t c, Body body) {
  for (int64_t n = 0; n < shape.n; ++n) body((n * shape.c + c) * shape.p);
}

MeanVar plane_moments(const Channels& shape, const real* x, int64_t c) {
  return mean_var(x[c * shape.p], static_cast<double>(shape.values()), [&](double shift) {
    Sums d;
    for_planes(shape, c, [&](int64_t start) {
      const Sums part = kernels().deviations(x + start, shape.p, shift);
      d.a += part.a, d.b += part.b;
    });
    return d;
  });
}

// The same for the vectors' channels c0, ..., c1-1, of which all share the second pass.
void column_moments(const Channels& shape, const real* x, int64_t c0, int64_t c1, MeanVar* moments) {
  const int64_t block = c1 - c0;
  const auto count = static_cast<double>(shape.n);
  const Columns columns = {.rows = shape.n,
                           .columns = block,
                           .stride = shape.c,
                           .high = nullptr,
                           .low = nullptr,
                           .rstd = nullptr,
                           .weight = nullptr,
                           .bias = nullptr};
  double shift[channel_block], a[channel_block], b[channel_block];
  std::copy(x + c0, x + c1, shift);
  for (int pass = 0; pass < 2; ++pass) {
    std::fill_n(a, block, 0.0);
    std::fill_n(b, block, 0.0);
    kernels().column_deviations(columns, x + c0, shift, a, b);
    bool again = false;
    for (int64_t i = 0; i < block; ++i) {
      again |= far_off({a[i], b[i]}, count);
      moments[i] = {shift[i] + a[i] / count, variance({a[i], b[i]}, count)};
    }
    if (!again) break;
    for (int64_t i = 0; i < block; ++i) shift[i] = moments[i].mean;
  }
}

void forward_channels(const Channels& shape, int64_t c0, int64_t c1, const Forward& f,
                      const Moments& moments) {
  if (shape.p == 1) {
    const ColumnTable table(shape, c0, c1, moments, f.affine, f.follow.then.relu);
    return kernels().normalize_columns(table.columns, f.x + c0, f.y + c0);
  }
  const Scratch<real> plane(plane_size(f.follow));
  for (int64_t c = c0; c < c1; ++c) {
    const Run run = run_of(shape, c, moments, f.affine);
    for_planes(shape, c, [&](int64_t start) { forward_run(f, run, start, plane.data()); });
  }
  if (f.stream) kernels().end_streams();
}

}  // namespace

void normalize_channels(const Channels& shape, const Forward& f, double eps, Moments& moments,
                        const Statistics& out) {
  reserve_scratch<real>(plane_size(f.follow), shape.c);
  for_channel_blocks(shape, [&](int64_t c0, int64_t c1) {
    MeanVar block[channel_block];
    if (shape.p == 1) {
      column_moments(shape, f.x, c0, c1, block);
    } else {
      for (int64_t c = c0; c < c1; ++c) block[c - c0] = plane_moments(shape, f.x, c);
    }
    for (int64_t c = c0; c < c1; ++c) {
      moments.set(c, block[c - c0].mean, block[c - c0].var, eps);
      put(out, c, block[c - c0]);
    }
    forward_channels(shape, c0, c1, f, moments);
  });
}

void normalize_channels(const Channels& shape, const Forward& f, const Moments& moments) {
  if (shape.p == 1) {
    for_channel_blocks(shape, [&](int64_t c0, int64_t c1) { forward_channels(shape, c0, c1, f, moments); });
    return;
  }
  const int64_t planes = shape.n * shape.c;  // in the order of memory
  reserve_scratch<real>(plane_size(f.follow), planes);
  parallel_for(planes, grain_for(planes, row_grain(shape.p), 64), [&](int64_t begin, int64_t end) {
    const Scratch<real> plane(plane_size(f.follow));
    for (int64_t i = begin; i < end; ++i)
      forward_run(f, run_of(shape, i % shape.c, moments, f.affine), i * shape.p, plane.data());
    if (f.stream) kernels().end_streams();
  });
}

namespace {

void backward_planes(const Channels& shape, int64_t c, const Backward& b, const Moments& moments,
                     bool constant_moments) {
  const Scratch<real> plane(plane_size(b.follow));
  Run run = run_of(shape, c, moments, b.affine);
  run.relu = cuts_off(b.follow);
  run.stream = b.stream;
  Sums sums;  // of g and g xhat
  for_planes(shape, c, [&](int64_t start) {
    const Sums part = sums_of_run(b, run, start, plane.data(), nullptr, nullptr);
    sums.a += part.a, sums.b += part.b;
  });
  b.sums.bias[c] = sums.a, b.sums.weight[c] = sums.b;
  if (b.dx == nullptr) return;
  const double share = constant_moments ? 0 : double{run.weight} / static_cast<double>(shape.values());
  const real mean_a = static_cast<real>(share * sums.a), mean_b = static_cast<real>(share * sums.b);
  for_planes(shape, c, [&](int64_t start) {
    const real* g = gradient_of_run(b, shape.p, start, plane.data());
    kernels().gradient(run, b.x + start, g, mean_a, mean_b, b.dx + start);
  });
  if (b.stream) kernels().end_streams();
}

void backward_columns(const Channels& shape, int64_t c0, int64_t c1, const Backward& b,
                      const Moments& moments, bool constant_moments) {
  const ColumnTable table(shape, c0, c1, moments, b.affine, b.follow.then.relu);
  double *dweight = b.sums.weight + c0, *dbias = b.sums.bias + c0;
  std::fill_n(dweight, c1 - c0, 0.0);
  std::fill_n(dbias, c1 - c0, 0.0);
  kernels().column_gradient_sums(table.columns, b.x + c0, b.dy + c0, dbias, dweight);
  if (b.dx == nullptr) return;
  real mean_a[channel_block], mean_b[channel_block];
  for (int64_t i = 0; i < c1 - c0; ++i) {
    const double share = constant_moments ? 0 : double{table.weight[i]} / static_cast<double>(shape.n);
    mean_a[i] = static_cast<real>(share * dbias[i]), mean_b[i] = static_cast<real>(share * dweight[i]);
  }
  kernels().column_gradient(table.columns, b.x + c0, b.dy + c0, mean_a, mean_b, b.dx + c0);
}

}  // namespace

void normalize_channels_backward(const Channels& shape, const Backward& b, const Moments& moments,
                                 bool constant_moments) {
  reserve_scratch<real>(plane_size(b.follow), shape.c);
  for_channel_blocks(shape, [&](int64_t c0, int64_t c1) {
    if (shape.p == 1) return backward_columns(shape, c0, c1, b, moments, constant_moments);
    for (int64_t c = c0; c < c1; ++c) backward_planes(shape, c, b, moments, constant_moments);
  });
}

}  // namespace ballast::inline BALLAST_PRECISION
