#include <ballast/core/ops/norm_kernels.h>

#include <algorithm>
#include <array>
#include <cmath>

#include <ballast/core/ops/row_sum.h>
#include <ballast/core/ops/scratch.h>
#include <ballast/core/parallel.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

// `sum_pairs` per channel c0, ..., c1-1 of (N, C, P), with f(offset, c). A vector (P = 1) is read row by row,
// its lanes are channels.
template <class F>
void sum_channels(const Channels& shape, int64_t c0, int64_t c1, Sums* totals, F f) {
  std::fill(totals, totals + (c1 - c0), Sums{});
  for (int64_t n = 0; n < shape.n; ++n) {
    for (int64_t c = c0; c < c1; ++c) {
      const int64_t offset = (n * shape.c + c) * shape.p;
      const Sums sums =
          shape.p == 1 ? f(offset, c) : sum_pairs(shape.p, [=](int64_t p) { return f(offset + p, c); });
      totals[c - c0].a += sums.a;
      totals[c - c0].b += sums.b;
    }
  }
}

constexpr int64_t channel_block = 16;

// Calls body(c0, c1) for blocks of channels that are worth a thread's while; at most `channel_block` long.
template <class Body>
void for_channel_blocks(const Channels& shape, Body body) {
  const int64_t block =
      shape.p == 1 ? channel_block
                   : std::clamp<int64_t>(16384 / std::max<int64_t>(shape.values(), 1), 1, channel_block);
  parallel_for(shape.c, block, body);
}

template <class Body>
void for_rows(const Rows& rows, Body body) {
  parallel_for(rows.count, std::max<int64_t>(1, 16384 / std::max<int64_t>(rows.length, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) body(row);
               });
}

// Of the sums of d = x - shift and of d^2: mean and variance in one pass. The shift is an element of the set,
// so that a constant gives exactly 0 and a large mean costs nothing (Chan, Golub & LeVeque 1983, sec. 2).
double variance(Sums d, double count) {
  const double mean = d.a / count, var = d.b / count - mean * mean;
  return var < 0 ? 0 : var;
}

// That element was an outlier, ten standard deviations off: the difference in `variance` would lose more than
// two digits. Then, and only then, a second pass shifts by the mean.
bool far_off(Sums d, double count) { return d.a * d.a > 0.99 * count * d.b; }

}  // namespace

void Moments::set(int64_t i, double mean, double var, double eps) {
  high()[i] = static_cast<real>(mean);
  low()[i] = static_cast<real>(mean - high()[i]);
  rstd()[i] = static_cast<real>(1 / std::sqrt(var + eps));
}

void row_moments(const Rows& rows, const real* x, double eps, Moments& moments, double* mean, double* var) {
  for_rows(rows, [&](int64_t row) {
    const real* from = x + row * rows.length;
    const auto count = static_cast<double>(rows.length);
    double shift = rows.centred && rows.length > 0 ? from[0] : 0;
    Sums d;
    const auto sum_about_shift = [&] {
      d = sum_pairs(rows.length, [from, shift](int64_t i) {
        const double deviation = from[i] - shift;
        return Sums{deviation, deviation * deviation};
      });
    };
    sum_about_shift();
    if (!rows.centred) d.a = 0;
    if (far_off(d, count)) {
      shift += d.a / count;
      sum_about_shift();
    }
    const double m = shift + d.a / count, v = variance(d, count);
    moments.set(row, m, v, eps);
    if (mean) mean[row] = m, var[row] = v;
  });
}

void normalize_rows(const Rows& rows, const real* x, const Moments& moments, const real* weight,
                    const real* bias, real* y) {
  for_rows(rows, [&](int64_t row) {
    const real high = moments.high()[row], low = moments.low()[row], rstd = moments.rstd()[row];
    const real *from = x + row * rows.length, *w = weight, *b = bias;
    real* to = y + row * rows.length;
    if (rows.run == 1) {  // an affine parameter for every element
      const int64_t first = rows.first_channel(row);
      for (int64_t i = 0; i < rows.length; ++i) {
        const real xhat = ((from[i] - high) - low) * rstd;
        to[i] = (w ? xhat * w[first + i] : xhat) + (b ? b[first + i] : 0);
      }
      return;
    }
    for (int64_t start = 0, c = rows.first_channel(row); start < rows.length; start += rows.run, ++c) {
      const real scale = w ? rstd * w[c] : rstd, shift = b ? b[c] : 0;
      for (int64_t i = start; i < start + rows.run; ++i) to[i] = ((from[i] - high) - low) * scale + shift;
    }
  });
}

void normalize_rows_backward(const Rows& rows, const real* x, const real* dy, const Moments& moments,
                             const real* weight, real* dx, AffineGradients sums) {
  const int64_t channels = rows.channels();
  // Partial sums of the affine gradients per block of rows, added in order at the end.
  const int64_t grain =
      grain_for(rows.count, std::max<int64_t>(1, 16384 / std::max<int64_t>(rows.length, 1)), 16);
  const int64_t blocks = (rows.count + grain - 1) / grain;
  const Scratch<double> partial(2 * blocks * channels);
  parallel_for(rows.count, grain, [&](int64_t begin, int64_t end) {
    double *dw = partial.data() + begin / grain * 2 * channels, *db = dw + channels;
    std::fill(dw, dw + 2 * channels, 0.0);
    for (int64_t row = begin; row < end; ++row) {
      const real high = moments.high()[row], low = moments.low()[row], rstd = moments.rstd()[row];
      const real *from = x + row * rows.length, *g = dy + row * rows.length;
      const auto xhat = [=](int64_t i) { return ((from[i] - high) - low) * rstd; };
      Sums total;  // of w dy and w dy xhat
      for (int64_t start = 0, c = rows.first_channel(row); start < rows.length; start += rows.run, ++c) {
        const Sums part = rows.run == 1 ? Sums{g[start], double{g[start]} * xhat(start)}
                                        : sum_pairs(rows.run, [=](int64_t i) {
                                            return Sums{g[start + i], double{g[start + i]} * xhat(start + i)};
                                          });
        const double w = weight ? double{weight[c]} : 1.0;
        total.a += w * part.a, total.b += w * part.b;
        db[c] += part.a, dw[c] += part.b;
      }
      if (dx == nullptr) continue;
      real* to = dx + row * rows.length;
      const auto count = static_cast<double>(rows.length);
      const real mean_a = rows.centred ? static_cast<real>(total.a / count) : 0;
      const real mean_b = static_cast<real>(total.b / count);
      for (int64_t start = 0, c = rows.first_channel(row); start < rows.length; start += rows.run, ++c) {
        const real w = weight ? weight[c] : 1;
        for (int64_t i = start; i < start + rows.run; ++i)
          to[i] = (w * g[i] - mean_a - xhat(i) * mean_b) * rstd;
      }
    }
  });
  for (int64_t c = 0; c < channels; ++c) {
    double dw = 0, db = 0;
    for (int64_t block = 0; block < blocks; ++block) {
      dw += partial[block * 2 * channels + c];
      db += partial[block * 2 * channels + channels + c];
    }
    if (sums.weight) sums.weight[c] = dw;
    if (sums.bias) sums.bias[c] = db;
  }
}

void channel_moments(const Channels& shape, const real* x, double* mean, double* var) {
  for_channel_blocks(shape, [&](int64_t c0, int64_t c1) {
    const auto count = static_cast<double>(shape.values());
    std::array<Sums, channel_block> d;
    const auto sum_about_mean = [&] {
      sum_channels(shape, c0, c1, d.data(), [=](int64_t i, int64_t c) {
        const double deviation = x[i] - mean[c];
        return Sums{deviation, deviation * deviation};
      });
    };
    const auto move_mean = [&] {
      for (int64_t c = c0; c < c1; ++c) mean[c] += d[static_cast<size_t>(c - c0)].a / count;
    };
    for (int64_t c = c0; c < c1; ++c) mean[c] = x[c * shape.p];  // the shift
    sum_about_mean();
    if (std::any_of(d.begin(), d.begin() + (c1 - c0), [=](Sums sums) { return far_off(sums, count); })) {
      move_mean();
      sum_about_mean();
    }
    for (int64_t c = c0; c < c1; ++c) var[c] = variance(d[static_cast<size_t>(c - c0)], count);
    move_mean();
  });
}

void normalize_channels(const Channels& shape, const real* x, const Moments& moments, const real* weight,
                        const real* bias, real* y) {
  const real *high = moments.high(), *low = moments.low(), *rstd = moments.rstd();
  for_channel_blocks(shape, [&](int64_t c0, int64_t c1) {
    for (int64_t n = 0; n < shape.n; ++n) {
      for (int64_t c = c0; c < c1; ++c) {
        const real scale = weight ? rstd[c] * weight[c] : rstd[c], shift = bias ? bias[c] : 0, h = high[c],
                   l = low[c];
        const int64_t start = (n * shape.c + c) * shape.p;
        for (int64_t i = start; i < start + shape.p; ++i) y[i] = ((x[i] - h) - l) * scale + shift;
      }
    }
  });
}

void normalize_channels_backward(const Channels& shape, const real* x, const real* dy, const Moments& moments,
                                 const real* weight, bool constant_moments, real* dx,
                                 AffineGradients gradients) {
  const real *high = moments.high(), *low = moments.low(), *rstd = moments.rstd();
  for_channel_blocks(shape, [&](int64_t c0, int64_t c1) {
    const auto xhat = [=](int64_t i, int64_t c) { return ((x[i] - high[c]) - low[c]) * rstd[c]; };
    std::array<Sums, channel_block> sums;  // of dy and dy xhat
    sum_channels(shape, c0, c1, sums.data(), [=](int64_t i, int64_t c) {
      return Sums{dy[i], double{dy[i]} * xhat(i, c)};
    });
    for (int64_t c = c0; c < c1; ++c) {
      if (gradients.bias) gradients.bias[c] = sums[static_cast<size_t>(c - c0)].a;
      if (gradients.weight) gradients.weight[c] = sums[static_cast<size_t>(c - c0)].b;
    }
    if (dx == nullptr) return;
    const auto count = static_cast<double>(shape.values());
    for (int64_t n = 0; n < shape.n; ++n) {
      for (int64_t c = c0; c < c1; ++c) {
        const Sums& s = sums[static_cast<size_t>(c - c0)];
        const real scale = weight ? rstd[c] * weight[c] : rstd[c];
        const real mean_a = constant_moments ? 0 : static_cast<real>(s.a / count),
                   mean_b = constant_moments ? 0 : static_cast<real>(s.b / count);
        const int64_t start = (n * shape.c + c) * shape.p;
        for (int64_t i = start; i < start + shape.p; ++i)
          dx[i] = (dy[i] - mean_a - xhat(i, c) * mean_b) * scale;
      }
    }
  });
}

}  // namespace ballast::inline BALLAST_PRECISION
