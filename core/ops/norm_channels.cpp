#include <algorithm>

#include <ballast/core/kernels/kernels.h>
#include <ballast/core/ops/map.h>
#include <ballast/core/ops/norm_kernels.h>
#include <ballast/core/ops/norm_runs.h>
#include <ballast/core/ops/scratch.h>

namespace ballast::inline BALLAST_PRECISION {

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
  constexpr int64_t worthwhile = 4096;  // elements of a single image
  const int64_t planes = shape.n * shape.c;
  int64_t least = row_grain(shape.p);
  if (shape.n == 1) least = std::min(least, round_up(worthwhile / (shape.p + 1) + 1, image_channels));
  parallel_for(planes, grain_for(planes, least, 64), body);
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
    out.set(c, m);
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
