#include <ballast/core/ops/norm.h>

#include <algorithm>
#include <cmath>

#include <ballast/core/ops/norm_kernels.h>
#include <ballast/core/ops/scratch.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

const real* data_or_null(const Tensor& x) { return x.empty() ? nullptr : x.data(); }

void check_affine(const Tensor& weight, const Tensor& bias, const Shape& shape) {
  check<ShapeError>(weight.empty() || weight.shape() == shape, "weight is {}; it must be {}", weight.shape(),
                    shape);
  check<ShapeError>(bias.empty() || bias.shape() == shape, "bias is {}; it must be {}", bias.shape(), shape);
}

void check_channels(const Tensor& x) {
  check<ShapeError>(x.rank() >= 2, "x is {}; it must be (N, C) or (N, C, ...)", x.shape());
}

Channels channels_of(const Tensor& x) { return {x.shape()[0], x.shape()[1], x.shape().count(2, x.rank())}; }

// Puts sums formed in double where a gradient of `shape` is wanted.
void add_sums(Grads& grads, NodeId id, const Shape& shape, const Scratch<double>& sums) {
  grads.write(id, shape, [&](real* g, real beta) {
    for (int64_t c = 0; c < shape.count(); ++c) g[c] = static_cast<real>(sums[c]) + (beta == 0 ? 0 : g[c]);
  });
}

void update_running(const RunningStatistics& running, const Scratch<double>& mean, const Scratch<double>& var,
                    double values) {
  if (running.batches) ++running.batches->value;
  if (running.mean == nullptr || running.var == nullptr) return;
  const double momentum = running.momentum
                              ? *running.momentum
                              : 1 / static_cast<double>(running.batches ? running.batches->value : 1);
  real *m = running.mean->update(), *v = running.var->update();
  for (int64_t c = 0; c < running.mean->shape().count(); ++c) {
    const double unbiased = var[c] * values / (values - 1);
    m[c] = static_cast<real>((1 - momentum) * m[c] + momentum * mean[c]);
    v[c] = static_cast<real>((1 - momentum) * v[c] + momentum * unbiased);
  }
}

bool has_running(const RunningStatistics& running) {
  return running.mean && running.var && !running.mean->empty();
}

Tensor normalize_per_channel(const char* op, Tensor x, Tensor weight, Tensor bias, Moments moments,
                             bool constant_moments) {
  const NodeId in = x.node(), in_weight = weight.node(), in_bias = bias.node();
  const Channels shape = channels_of(x);
  Tensor y(x.shape());
  normalize_channels(shape, x.data(), moments, data_or_null(weight), data_or_null(bias), y.data());
  return record(op, std::move(y), {in, in_weight, in_bias},
                [x = x.detach(), weight = weight.detach(), moments, constant_moments, in, in_weight, in_bias](
                    Tensor dy, Grads& grads) {
                  const Channels dims = channels_of(x);
                  const Scratch<double> dweight(dims.c), dbias(dims.c);
                  Tensor dx = grads.wants(in) ? Tensor(x.shape()) : Tensor();
                  normalize_channels_backward(dims, x.data(), dy.data(), moments, data_or_null(weight),
                                              constant_moments, dx.empty() ? nullptr : dx.data(),
                                              {dweight.data(), dbias.data()});
                  if (!dx.empty()) grads.add(in, std::move(dx));
                  add_sums(grads, in_weight, {dims.c}, dweight);
                  add_sums(grads, in_bias, {dims.c}, dbias);
                });
}

// By running statistics, which are constants.
Tensor normalize_by_running(const char* op, Tensor x, Tensor weight, Tensor bias,
                            const RunningStatistics& running, real eps) {
  const int64_t channels = x.shape()[1];
  Moments moments(channels);
  for (int64_t c = 0; c < channels; ++c) moments.set(c, running.mean->data()[c], running.var->data()[c], eps);
  return normalize_per_channel(op, std::move(x), std::move(weight), std::move(bias), std::move(moments),
                               true);
}

Tensor normalize_per_row(const char* op, Tensor x, Tensor weight, Tensor bias, const Rows& rows,
                         Moments moments) {
  const NodeId in = x.node(), in_weight = weight.node(), in_bias = bias.node();
  Tensor y(x.shape());
  normalize_rows(rows, x.data(), moments, data_or_null(weight), data_or_null(bias), y.data());
  const Shape affine = weight.empty() ? bias.shape() : weight.shape();
  return record(op, std::move(y), {in, in_weight, in_bias},
                [x = x.detach(), weight = weight.detach(), affine, rows, moments, in, in_weight, in_bias](
                    Tensor dy, Grads& grads) {
                  const Scratch<double> dweight(rows.channels()), dbias(rows.channels());
                  Tensor dx = grads.wants(in) ? Tensor(x.shape()) : Tensor();
                  normalize_rows_backward(rows, x.data(), dy.data(), moments, data_or_null(weight),
                                          dx.empty() ? nullptr : dx.data(), {dweight.data(), dbias.data()});
                  if (!dx.empty()) grads.add(in, std::move(dx));
                  add_sums(grads, in_weight, affine, dweight);
                  add_sums(grads, in_bias, affine, dbias);
                });
}

}  // namespace

Tensor batch_norm(Tensor x, Tensor weight, Tensor bias, const RunningStatistics& running, real eps) {
  check_channels(x);
  const Channels shape = channels_of(x);
  check_affine(weight, bias, {shape.c});
  const bool by_batch = Scope::batch_statistics() || !has_running(running);
  if (!by_batch)
    return normalize_by_running("batch_norm", std::move(x), std::move(weight), std::move(bias), running, eps);
  check<ShapeError>(shape.values() > 1,
                    "x is {}: one value per channel, whose variance means nothing; train with more than one "
                    "sample per batch, or "
                    "use LayerNorm or GroupNorm, which don't look at the batch",
                    x.shape());
  const Scratch<double> mean(shape.c), var(shape.c);
  channel_moments(shape, x.data(), mean.data(), var.data());
  Moments moments(shape.c);
  for (int64_t c = 0; c < shape.c; ++c) moments.set(c, mean[c], var[c], eps);
  if (Scope::batch_statistics() && Scope::running_statistics()) {
    update_running(running, mean, var, static_cast<double>(shape.values()));
  }
  return normalize_per_channel("batch_norm", std::move(x), std::move(weight), std::move(bias),
                               std::move(moments), false);
}

namespace {

// Each row of the last `axes` axes by itself, with an affine parameter for every element.
Tensor normalize_last_axes(const char* op, Tensor x, int axes, Tensor weight, Tensor bias, bool centred,
                           real eps) {
  check<ShapeError>(axes >= 1 && axes <= x.rank(), "x is {}; there are no {} last axes to normalize over",
                    x.shape(), axes);
  const int first = x.rank() - axes;
  check_affine(weight, bias, Shape(x.shape().begin() + first, axes));
  const Rows rows{.count = x.shape().count(0, first),
                  .length = x.shape().count(first, x.rank()),
                  .period = 1,
                  .run = 1,
                  .centred = centred};
  Moments moments(rows.count);
  row_moments(rows, x.data(), eps, moments, nullptr, nullptr);
  return normalize_per_row(op, std::move(x), std::move(weight), std::move(bias), rows, std::move(moments));
}

}  // namespace

Tensor layer_norm(Tensor x, int axes, Tensor weight, Tensor bias, real eps) {
  return normalize_last_axes("layer_norm", std::move(x), axes, std::move(weight), std::move(bias), true, eps);
}

Tensor rms_norm(Tensor x, int axes, Tensor weight, real eps) {
  return normalize_last_axes("rms_norm", std::move(x), axes, std::move(weight), {}, false, eps);
}

Tensor group_norm(Tensor x, int64_t groups, Tensor weight, Tensor bias, real eps) {
  check_channels(x);
  const Channels shape = channels_of(x);
  check<ShapeError>(groups >= 1 && shape.c % groups == 0,
                    "x is {}; its {} channels can't be split into {} groups", x.shape(), shape.c, groups);
  check_affine(weight, bias, {shape.c});
  const Rows rows{
      .count = shape.n * groups, .length = shape.c / groups * shape.p, .period = groups, .run = shape.p};
  Moments moments(rows.count);
  row_moments(rows, x.data(), eps, moments, nullptr, nullptr);
  return normalize_per_row("group_norm", std::move(x), std::move(weight), std::move(bias), rows,
                           std::move(moments));
}

Tensor instance_norm(Tensor x, Tensor weight, Tensor bias, const RunningStatistics& running, real eps) {
  check_channels(x);
  const Channels shape = channels_of(x);
  check_affine(weight, bias, {shape.c});
  if (!Scope::batch_statistics() && has_running(running)) {
    return normalize_by_running("instance_norm", std::move(x), std::move(weight), std::move(bias), running,
                                eps);
  }
  check<ShapeError>(shape.p > 1,
                    "x is {}: one value per sample and channel, whose variance means nothing; give images "
                    "larger than 1 x 1, or "
                    "use LayerNorm",
                    x.shape());
  const Rows rows{.count = shape.n * shape.c, .length = shape.p, .period = shape.c, .run = shape.p};
  Moments moments(rows.count);
  const Scratch<double> mean(rows.count), var(rows.count);
  row_moments(rows, x.data(), eps, moments, mean.data(), var.data());
  if (Scope::batch_statistics() && Scope::running_statistics() && has_running(running)) {
    const Scratch<double> batch_mean(shape.c), batch_var(shape.c);
    for (int64_t c = 0; c < shape.c; ++c) {
      double sum_mean = 0, sum_var = 0;
      for (int64_t n = 0; n < shape.n; ++n)
        sum_mean += mean[n * shape.c + c], sum_var += var[n * shape.c + c];
      batch_mean[c] = sum_mean / static_cast<double>(shape.n);
      batch_var[c] = sum_var / static_cast<double>(shape.n);
    }
    update_running(running, batch_mean, batch_var, static_cast<double>(shape.p));
  }
  return normalize_per_row("instance_norm", std::move(x), std::move(weight), std::move(bias), rows,
                           std::move(moments));
}

}  // namespace ballast::inline BALLAST_PRECISION
