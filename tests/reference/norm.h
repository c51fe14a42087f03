#pragma once

#include <cmath>
#include <vector>

#include <ballast/core/tensor.h>

namespace ballast::inline BALLAST_PRECISION::reference {

// The norms as the papers define them, forward and backward, element by element and in extended precision:
// what they mean, and what the tests hold the fast ones to.

using Values = std::vector<long double>;

/// A norm's input and the gradient of its result; weight and bias may be empty: 1 and 0.
struct NormInput {
  Tensor x, dy, weight, bias;
  long double eps;
};

/// dweight and dbias are there even where weight and bias are empty. Mean and biased variance are those of
/// each set, sigma = sqrt(variance + eps) is that of each element.
struct NormOutput {
  Values y, dx, dweight, dbias, mean, variance, sigma;
};

inline long double at(const Tensor& t, size_t i, long double otherwise) {
  return t.empty() ? otherwise : static_cast<long double>(t.data()[i]);
}

/// Statistics of each set of elements: mu = 1/n sum x, sigma^2 = 1/n sum (x - mu)^2; set(i) is that of
/// element i. Where not centred, mu counts as 0.
template <class Set>
void take_statistics(const NormInput& in, size_t sets, Set set, bool centred, NormOutput& out) {
  const auto count = static_cast<size_t>(in.x.count());
  Values n(sets);
  out.mean.assign(sets, 0), out.variance.assign(sets, 0);
  for (size_t i = 0; i < count; ++i) ++n[set(i)];
  for (size_t i = 0; centred && i < count; ++i) out.mean[set(i)] += at(in.x, i, 0) / n[set(i)];
  for (size_t i = 0; i < count; ++i) {
    const long double d = at(in.x, i, 0) - out.mean[set(i)];
    out.variance[set(i)] += d * d / n[set(i)];
  }
}

/// y = w xhat + b with xhat = (x - mu) / sqrt(sigma^2 + eps), and for dxhat = w dy
///   dx = (dxhat - 1/n sum dxhat - xhat 1/n sum dxhat xhat) / sqrt(sigma^2 + eps),
/// where the first sum comes from mu and the second from sigma: of constant statistics there is neither.
/// `parameter(i)` is the index of element i's weight and bias.
template <class Set, class Parameter>
void apply_norm(const NormInput& in, size_t parameters, Set set, Parameter parameter, bool centred,
                bool constant, NormOutput& out) {
  const auto count = static_cast<size_t>(in.x.count());
  const size_t sets = out.mean.size();
  Values n(sets), sum(sets), sum_xhat(sets);
  out.y.assign(count, 0), out.dx.assign(count, 0), out.sigma.assign(count, 0);
  out.dweight.assign(parameters, 0), out.dbias.assign(parameters, 0);
  for (size_t i = 0; i < count; ++i) out.sigma[i] = std::sqrt(out.variance[set(i)] + in.eps);
  const auto xhat = [&](size_t i) { return (at(in.x, i, 0) - out.mean[set(i)]) / out.sigma[i]; };
  const auto dxhat = [&](size_t i) { return at(in.weight, parameter(i), 1) * at(in.dy, i, 0); };
  for (size_t i = 0; i < count; ++i) {
    out.y[i] = at(in.weight, parameter(i), 1) * xhat(i) + at(in.bias, parameter(i), 0);
    out.dweight[parameter(i)] += at(in.dy, i, 0) * xhat(i);
    out.dbias[parameter(i)] += at(in.dy, i, 0);
    ++n[set(i)], sum[set(i)] += dxhat(i), sum_xhat[set(i)] += dxhat(i) * xhat(i);
  }
  for (size_t i = 0; i < count; ++i) {
    out.dx[i] = dxhat(i) / out.sigma[i];
    if (constant) continue;
    if (centred) out.dx[i] -= sum[set(i)] / n[set(i)] / out.sigma[i];
    out.dx[i] -= xhat(i) * sum_xhat[set(i)] / n[set(i)] / out.sigma[i];
  }
}

template <class Set, class Parameter>
NormOutput norm(const NormInput& in, size_t sets, size_t parameters, Set set, Parameter parameter,
                bool centred = true) {
  NormOutput out;
  take_statistics(in, sets, set, centred, out);
  apply_norm(in, parameters, set, parameter, centred, false, out);
  return out;
}

/// x as (N, C, P).
struct Channels {
  size_t n, c, p;
  explicit Channels(const Shape& x)
      : n(static_cast<size_t>(x[0])),
        c(static_cast<size_t>(x[1])),
        p(static_cast<size_t>(x.count(2, x.rank()))) {}
  size_t sample(size_t i) const { return i / p / c; }
  size_t channel(size_t i) const { return i / p % c; }
};

/// Ioffe & Szegedy 2015, algorithm 1: of each channel, over all samples and positions.
inline NormOutput batch_norm(const NormInput& in) {
  const Channels s(in.x.shape());
  const auto channel = [=](size_t i) { return s.channel(i); };
  return norm(in, s.c, s.c, channel, channel);
}

/// Algorithm 2: by mean and variance that are known.
inline NormOutput batch_norm_evaluated(const NormInput& in, const Values& mean, const Values& variance) {
  const Channels s(in.x.shape());
  const auto channel = [=](size_t i) { return s.channel(i); };
  NormOutput out;
  out.mean = mean, out.variance = variance;
  apply_norm(in, s.c, channel, channel, true, true, out);
  return out;
}

/// Wu & He 2018, eq. 7: of each sample and group of channels, over these and all positions.
inline NormOutput group_norm(const NormInput& in, size_t groups) {
  const Channels s(in.x.shape());
  return norm(
      in, s.n * groups, s.c, [=](size_t i) { return s.sample(i) * groups + s.channel(i) / (s.c / groups); },
      [=](size_t i) { return s.channel(i); });
}

/// Ulyanov et al. 2016: of each sample and channel, over all positions.
inline NormOutput instance_norm(const NormInput& in) { return group_norm(in, Channels(in.x.shape()).c); }

/// Ba et al. 2016, eq. 3: of each sample, over the last `axes` axes; and Zhang & Sennrich 2019, eq. 4, which
/// doesn't centre.
inline NormOutput layer_norm(const NormInput& in, int axes, bool centred = true) {
  const Shape& shape = in.x.shape();
  const auto values = static_cast<size_t>(shape.count(shape.rank() - axes, shape.rank()));
  return norm(
      in, static_cast<size_t>(shape.count()) / values, values, [=](size_t i) { return i / values; },
      [=](size_t i) { return i % values; }, centred);
}
inline NormOutput rms_norm(const NormInput& in, int axes) { return layer_norm(in, axes, false); }

struct WeightNormOutput {
  Values w, dv, dg;
};

/// Salimans & Kingma 2016, eq. 2 and 3, for each row of v: w = g v / |v|, dg = <dw, v> / |v|, dv = g / |v| dw
/// - g dg / |v|^2 v.
inline WeightNormOutput weight_norm(const Tensor& v, const Tensor& g, const Tensor& dw) {
  const auto rows = static_cast<size_t>(v.shape()[0]), count = static_cast<size_t>(v.count());
  Values squares(rows), along(rows);
  WeightNormOutput out{Values(count), Values(count), Values(rows)};
  const auto row = [=](size_t i) { return i / (count / rows); };
  for (size_t i = 0; i < count; ++i) {
    squares[row(i)] += at(v, i, 0) * at(v, i, 0), along[row(i)] += at(dw, i, 0) * at(v, i, 0);
  }
  for (size_t i = 0; i < rows; ++i) out.dg[i] = along[i] / std::sqrt(squares[i]);
  for (size_t i = 0; i < count; ++i) {
    const long double length = std::sqrt(squares[row(i)]), scale = at(g, row(i), 0) / length;
    out.w[i] = scale * at(v, i, 0);
    out.dv[i] = scale * (at(dw, i, 0) - out.dg[row(i)] / length * at(v, i, 0));
  }
  return out;
}

struct SpectralNormOutput {
  Values y, dw;
};

/// Miyato et al. 2018, eq. 8 and 10: y = W / sigma with sigma = u^T W v, and dW = (dy - <dy, y> u v^T) /
/// sigma.
inline SpectralNormOutput spectral_norm(const Tensor& w, const Tensor& u, const Tensor& v, const Tensor& dy) {
  const auto count = static_cast<size_t>(w.count()), inner = static_cast<size_t>(v.count());
  const auto uv = [&](size_t i) { return at(u, i / inner, 0) * at(v, i % inner, 0); };
  SpectralNormOutput out{Values(count), Values(count)};
  long double sigma = 0, along = 0;
  for (size_t i = 0; i < count; ++i) sigma += at(w, i, 0) * uv(i);
  for (size_t i = 0; i < count; ++i) out.y[i] = at(w, i, 0) / sigma, along += at(dy, i, 0) * out.y[i];
  for (size_t i = 0; i < count; ++i) out.dw[i] = (at(dy, i, 0) - along * uv(i)) / sigma;
  return out;
}

}  // namespace ballast::inline BALLAST_PRECISION::reference
