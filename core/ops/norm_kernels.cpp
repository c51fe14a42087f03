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

// The run as its gradient is taken: a pooling's winners say what the ReLU cut off.
Run for_gradient(Run run, const Backward& b) {
  run.relu = b.follow.then.relu && !b.follow.then.max_pool;
  run.stream = b.stream;
  return run;
}

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

// Channels of vectors: the columns of a matrix
// ---------------------------------------------------------------------------------------------------------

namespace {

// Of `sets` sets of `count` values, whose sums about `shift` sums_about() leaves in a and b.
template <class SumsAbout>
void shared_moments(int64_t sets, int64_t count, double* shift, const double* a, const double* b,
                    MeanVar* moments, SumsAbout sums_about) {
  const auto n = static_cast<double>(count);
  for (int pass = 0; pass < 2; ++pass) {
    sums_about();
    bool again = false;
    for (int64_t i = 0; i < sets; ++i) {
      again |= far_off({a[i], b[i]}, n);
      moments[i] = {shift[i] + a[i] / n, variance({a[i], b[i]}, n)};
    }
    if (!again) break;
    for (int64_t i = 0; i < sets; ++i) shift[i] = moments[i].mean;
  }
}

// Channels that one thread works on at once.
constexpr int64_t channel_block = 64;

// Calls body(c0, c1) for blocks of at most `channel_block` channels, some of which are worth a thread's
// while.
template <class Body>
void for_channel_blocks(const Channels& shape, Body body) {
  constexpr int64_t least = 16;  // whole cache lines
  parallel_for(shape.c, std::max(elementwise_grain / 2 / std::max<int64_t>(shape.n, 1), least),
               [&](int64_t begin, int64_t end) {
                 for (int64_t c = begin; c < end; c += channel_block)
                   body(c, std::min(c + channel_block, end));
               });
}

// What the column kernels take for channels c0, ..., c1-1.
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

void column_moments(const Channels& shape, const real* x, int64_t c0, int64_t c1, MeanVar* moments) {
  const int64_t block = c1 - c0;
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
  shared_moments(block, shape.n, shift, a, b, moments, [&] {
    std::fill_n(a, block, 0.0);
    std::fill_n(b, block, 0.0);
    kernels().column_deviations(columns, x + c0, shift, a, b);
  });
}

void normalize_columns(const Channels& shape, int64_t c0, int64_t c1, const Forward& f,
                       const Moments& moments) {
  const ColumnTable table(shape, c0, c1, moments, f.affine, f.follow.then.relu);
  kernels().normalize_columns(table.columns, f.x + c0, f.y + c0);
}

void column_gradient(const Channels& shape, int64_t c0, int64_t c1, const Backward& b, const Moments& moments,
                     bool constant_moments) {
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

// Channels of planes, each pass in the order of memory
// ---------------------------------------------------------------------------------------------------------

Run run_of(const Channels& shape, int64_t c, const Moments& m, const Affine& affine) {
  return {.count = shape.p,
          .high = m.high()[c],
          .low = m.low()[c],
          .rstd = m.rstd()[c],
          .weight = affine.weight ? affine.weight[c] : 1,
          .bias = affine.bias ? affine.bias[c] : 0};
}

// Calls body(begin, end) for chunks of planes.
template <class Body>
void for_planes(const Channels& shape, Body body) {
  const int64_t planes = shape.n * shape.c;
  parallel_for(planes, grain_for(planes, row_grain(shape.p), 64), body);
}

// a[c] and b[c] are the sums over the planes of channel c, of which sums_of(c, start) gives those of one.
template <class SumsOf>
void add_up_planes(const Channels& shape, double* a, double* b, SumsOf sums_of) {
  const Scratch<Sums> parts(shape.n * shape.c);
  for_planes(shape, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) parts[i] = sums_of(i % shape.c, i * shape.p);
  });
  std::fill_n(a, shape.c, 0.0);
  std::fill_n(b, shape.c, 0.0);
  const Sums* part = parts.data();
  for (int64_t n = 0; n < shape.n; ++n) {
    for (int64_t c = 0; c < shape.c; ++c, ++part) a[c] += part->a, b[c] += part->b;
  }
}

void plane_moments(const Channels& shape, const real* x, MeanVar* moments) {
  const Scratch<double> shift(shape.c), a(shape.c), b(shape.c);
  for (int64_t c = 0; c < shape.c; ++c) shift[c] = x[c * shape.p];
  shared_moments(shape.c, shape.values(), shift.data(), a.data(), b.data(), moments, [&] {
    add_up_planes(shape, a.data(), b.data(), [&](int64_t c, int64_t start) {
      return kernels().deviations(x + start, shape.p, shift[c]);
    });
  });
}

void plane_gradient(const Channels& shape, const Backward& b, const Moments& moments, bool constant_moments) {
  const auto run_at = [&](int64_t c) { return for_gradient(run_of(shape, c, moments, b.affine), b); };
  add_up_planes(shape, b.sums.bias, b.sums.weight, [&](int64_t c, int64_t start) {
    return sums_of_run(b, run_at(c), start, nullptr, nullptr, nullptr);
  });
  if (b.dx == nullptr) return;
  const double share = constant_moments ? 0 : 1 / static_cast<double>(shape.values());
  reserve_scratch<real>(plane_size(b.follow), shape.n * shape.c);
  for_planes(shape, [&](int64_t begin, int64_t end) {
    const Scratch<real> plane(plane_size(b.follow));
    for (int64_t i = begin; i < end; ++i) {
      const Run run = run_at(i % shape.c);
      const double of_mean = share * double{run.weight};
      const real mean_a = static_cast<real>(of_mean * b.sums.bias[i % shape.c]),
                 mean_b = static_cast<real>(of_mean * b.sums.weight[i % shape.c]);
      const int64_t start = i * shape.p;
      const real* g = gradient_of_run(b, shape.p, start, plane.data());
      kernels().gradient(run, b.x + start, g, mean_a, mean_b, b.dx + start);
    }
    if (b.stream) kernels().end_streams();
  });
}

}  // namespace

void normalize_channels(const Channels& shape, const Forward& f, double eps, Moments& moments,
                        const Statistics& out) {
  const auto set = [&](int64_t c, const MeanVar& m) {
    moments.set(c, m.mean, m.var, eps);
    put(out, c, m);
  };
  if (shape.p == 1) {
    return for_channel_blocks(shape, [&](int64_t c0, int64_t c1) {
      MeanVar block[channel_block];
      column_moments(shape, f.x, c0, c1, block);
      for (int64_t c = c0; c < c1; ++c) set(c, block[c - c0]);
      normalize_columns(shape, c0, c1, f, moments);
    });
  }
  const Scratch<MeanVar> found(shape.c);
  plane_moments(shape, f.x, found.data());
  for (int64_t c = 0; c < shape.c; ++c) set(c, found[c]);
  normalize_channels(shape, f, moments);
}

void normalize_channels(const Channels& shape, const Forward& f, const Moments& moments) {
  if (shape.p == 1) {
    return for_channel_blocks(shape,
                              [&](int64_t c0, int64_t c1) { normalize_columns(shape, c0, c1, f, moments); });
  }
  reserve_scratch<real>(plane_size(f.follow), shape.n * shape.c);
  for_planes(shape, [&](int64_t begin, int64_t end) {
    const Scratch<real> plane(plane_size(f.follow));
    for (int64_t i = begin; i < end; ++i)
      forward_run(f, run_of(shape, i % shape.c, moments, f.affine), i * shape.p, plane.data());
    if (f.stream) kernels().end_streams();
  });
}

void normalize_channels_backward(const Channels& shape, const Backward& b, const Moments& moments,
                                 bool constant_moments) {
  if (shape.p != 1) return plane_gradient(shape, b, moments, constant_moments);
  for_channel_blocks(
      shape, [&](int64_t c0, int64_t c1) { column_gradient(shape, c0, c1, b, moments, constant_moments); });
}

}  // namespace ballast::inline BALLAST_PRECISION
