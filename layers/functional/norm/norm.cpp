#include <ballast/layers/functional/norm.h>

#include <cmath>
#include <limits>

#include <ballast/layers/functional/norm/detail/normalization.h>

namespace ballast::inline BALLAST_PRECISION {

namespace detail {

void check_eps(const char* norm, real eps) {
  const bool valid = eps > 0 && std::isfinite(eps);
  //~ const bool valid = eps >= 0 && std::isfinite(eps);
  check<ValueError>(valid, "{}: eps is {}; it must be a finite number above 0", norm, eps);
}

void check_momentum(const char* norm, const std::optional<double>& momentum) {
  check<ValueError>(!momentum || (*momentum >= 0 && *momentum <= 1),
                    "{}: momentum is {}; it must be from 0 to 1, the weight of the new value", norm,
                    momentum.value_or(0));
}

void check_channels(const char* norm, int64_t channels) {
  check<ValueError>(channels >= 1, "{}: the number of channels is {}; it must be at least 1", norm, channels);
}

namespace {

// x as (N, C, P).
struct Sizes {
  int64_t n, c, p;
};

Sizes sizes_of(const char* norm, const Tensor& x) {
  check<ShapeError>(x.rank() >= 2, "{}: x is {}; it must be (N, C) or (N, C, ...)", norm, x.shape());
  return {x.shape()[0], x.shape()[1], x.shape().count(2, x.rank())};
}

Layout by_channel(const Sizes& s) {
  return {.segments = s.n * s.c, .length = s.p, .sets = s.c, .parameters = s.c, .over_batch = true};
}

Layout by_group(const Sizes& s, int64_t groups) {
  return {.segments = s.n * s.c, .length = s.p, .sets = s.n * groups, .parameters = s.c};
}

void check_affine(const char* norm, const Tensor& weight, const Tensor& bias, const Shape& shape) {
  check<ShapeError>(weight.empty() || weight.shape() == shape, "{}: weight is {}; it must be {}", norm,
                    weight.shape(), shape);
  check<ShapeError>(bias.empty() || bias.shape() == shape, "{}: bias is {}; it must be {}", norm,
                    bias.shape(), shape);
}

void check_pooling(const char* norm, const Tensor& x, const Then& then) {
  check<ShapeError>(!then.max_pool || (x.rank() == 4 && x.shape()[2] >= 2 && x.shape()[3] >= 2),
                    "{}: x is {}; pooling over windows of 2 x 2 takes (N, C, H, W) with H and W at least 2",
                    norm, x.shape());
}

// Adds sums formed in double to the gradient of input `id`.
void add_sums(Grads& grads, NodeId id, const Shape& shape, const Scratch<double>& sums) {
  grads.write(id, shape, [&](real* g, real beta) {
    parallel_for(shape.count(), elementwise_grain, [=, &sums](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) g[i] = static_cast<real>(sums[i]) + (beta == 0 ? 0 : g[i]);
      //~ for (int64_t i = begin; i < end; ++i) g[i] = static_cast<real>(sums[i]) + 0;
    });
  });
}

// The backward function of a norm.
struct RecordedNorm {
  NodeId in, in_weight, in_bias;
  Saved saved;  // x
  Normalization n;
  Scratch<uint8_t> argmax;
  Scratch<real> kept;

  void operator()(Tensor dy, Grads& grads) {
    const Shape parameters = n.weight.empty() ? n.bias.shape() : n.weight.shape();
    const Scratch<double> dweight(n.layout.parameters), dbias(n.layout.parameters);
    Tensor x = saved.take(grads);
    const real* values = x.data();
    Tensor dx = grads.wants(in) ? grads.in_place_of(x) : Tensor();
    normalize_backward(n, values, std::as_const(dy).data(), {argmax.data(), kept.data()},
                       dx.empty() ? nullptr : dx.data(), dweight.data(), dbias.data());
    if (!dx.empty()) grads.add(in, std::move(dx));
    add_sums(grads, in_weight, parameters, dweight);
    add_sums(grads, in_bias, parameters, dbias);
  }
  bool can_recompute() const { return !n.then.max_pool; }
  Tensor recompute(const Grads& grads) const {
    const Tensor x = saved.get(grads);
    Tensor y(x.shape());
    normalize_by_known(n, x.data(), y.data(), {});
    return y;
  }
};

// Normalizes x by statistics of its own, which are left in n, or by those that n has as constants.
Tensor apply_and_record(const char* norm, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        Normalization& n) {
  const NodeId in = x.node(), in_weight = weight.node(), in_bias = bias.node();
  const bool recorded = in || in_weight || in_bias, pooled = n.then.max_pool;
  Tensor y(pooled ? x.shape().with(2, n.height / 2).with(3, n.width / 2) : x.shape());
  const Scratch<uint8_t> argmax(recorded && pooled ? y.count() : 0);
  const bool keeps = recorded && pooled && n.then.falls_and_rises();
  const Scratch<real> kept(keeps ? y.count() : 0);
  const Pooled left = {recorded && pooled ? argmax.data() : nullptr, keeps ? kept.data() : nullptr};
  if (n.constant_statistics) {
    normalize_by_known(n, x.data(), y.data(), left);
  } else {
    normalize(n, x.data(), y.data(), left);
  }
  Saved saved(pooled ? x.detach() : x);  // detached: held in any case
  y = record(norm, std::move(y), {in, in_weight, in_bias},
             RecordedNorm{in, in_weight, in_bias, std::move(saved), n, argmax, kept});
  return n.then.falls_and_rises() && !pooled ? apply(n.then, std::move(y)) : y;
}

Normalization normalization(const char* norm, const Tensor& x, const Layout& layout, real eps,
                            const Tensor& weight, const Tensor& bias, const Then& then) {
  check_eps(norm, eps);
  check_pooling(norm, x, then);
  return {.layout = layout,
          .eps = double{eps},
          .weight = weight.detach(),
          .bias = bias.detach(),
          .then = then,
          .height = then.max_pool ? x.shape()[2] : 0,
          .width = then.max_pool ? x.shape()[3] : 0};
}

bool has_running(const RunningStatistics& running) {
  return running.mean && running.var && !running.mean->empty();
}

// running = (1 - momentum) running + momentum new, of `values` values each.
void update_running(const RunningStatistics& running, const Scratch<double>& mean,
                    const Scratch<double>& variance, int64_t values) {
  if (running.batches) ++running.batches->value;
  if (!has_running(running) || values == 0) return;
  const double batches = static_cast<double>(running.batches ? running.batches->value : 1);
  const double momentum = running.momentum.value_or(1 / batches);
  const double unbiased = static_cast<double>(values) / static_cast<double>(values - 1);
  real *m = running.mean->update(), *v = running.var->update();
  for (int64_t c = 0; c < running.mean->shape().count(); ++c) {
    m[c] = static_cast<real>((1 - momentum) * m[c] + momentum * mean[c]);
    v[c] = static_cast<real>((1 - momentum) * v[c] + momentum * variance[c] * unbiased);
  }
}

// Updates by the average of mean and variance over the instances of each channel.
void update_running_by_instances(const RunningStatistics& running, const Normalization& n, const Sizes& s) {
  const Scratch<double> mean(s.c), variance(s.c);
  for (int64_t c = 0; c < s.c; ++c) {
    double sum_mean = 0, sum_variance = 0;
    for (int64_t i = c; i < s.n * s.c; i += s.c) sum_mean += n.mean[i], sum_variance += n.variance[i];
    mean[c] = sum_mean / static_cast<double>(s.n);
    variance[c] = sum_variance / static_cast<double>(s.n);
  }
  update_running(running, mean, variance, s.n > 0 ? s.p : 0);
}

// Normalizes by running statistics, which are constants to the gradient.
Tensor normalize_by_running(const char* norm, const Tensor& x, const Sizes& s, const Tensor& weight,
                            const Tensor& bias, const RunningStatistics& running, real eps,
                            const Then& then) {
  Normalization n = normalization(norm, x, by_channel(s), eps, weight, bias, then);
  n.constant_statistics = true;
  //~ n.constant_statistics = false;
  for (int64_t c = 0; c < s.c; ++c) {
    n.mean[c] = double{running.mean->value().data()[c]};
    n.variance[c] = double{running.var->value().data()[c]};
  }
  n.invert_deviations(0, s.c);
  return apply_and_record(norm, x, weight, bias, n);
}

// Normalizes each sample over its last `axes` axes, with one weight and bias per element.
Tensor normalize_last_axes(const char* norm, const Tensor& x, int axes, Tensor weight, Tensor bias,
                           bool centred, real eps, const Then& then) {
  check<ShapeError>(axes >= 1 && axes <= x.rank(), "{}: x is {}; there are no {} last axes to normalize over",
                    norm, x.shape(), axes);
  if (then.max_pool && axes < 2)  // a set is less than a plane
    return apply({.max_pool = true}, normalize_last_axes(norm, x, axes, weight, bias, centred, eps,
                                                         {.activation = then.activation}));
  const int first = x.rank() - axes;
  const Shape normalized(x.shape().begin() + first, axes);
  const int64_t values = normalized.count(), sets = x.shape().count(0, first);
  check_affine(norm, weight, bias, normalized);
  check<ShapeError>(
      values != 1,
      "{}: x is {}: one value to normalize over the last {} axes, of which {} remains; normalize "
      "over more values, or use BatchNorm",
      norm, x.shape(), axes, centred ? "only the bias" : "only the sign");
  const bool affine = !weight.empty() || !bias.empty();
  if (affine && weight.empty()) weight = ones(normalized);
  if (affine && bias.empty()) bias = zeros(normalized);
  // A segment that is pooled must be a plane.
  const int64_t length = then.max_pool && x.rank() == 4 ? x.shape().count(2, 4) : values;
  Normalization n = normalization(norm, x,
                                  {.segments = length > 0 ? sets * (values / length) : sets,
                                   .length = length,
                                   .sets = sets,
                                   .parameters = affine ? values : 1,
                                   .elementwise = affine,
                                   .centred = centred},
                                  eps, weight, bias, then);
  return apply_and_record(norm, x, weight, bias, n);
}

}  // namespace
}  // namespace detail

using namespace detail;

Tensor batch_norm(Tensor x, Tensor weight, Tensor bias, const RunningStatistics& running, real eps,
                  const Then& then) {
  const Sizes s = sizes_of("batch_norm", x);
  check_affine("batch_norm", weight, bias, {s.c});
  check_momentum("batch_norm", running.momentum);
  if (!Scope::batch_statistics() && has_running(running))
    return normalize_by_running("batch_norm", x, s, weight, bias, running, eps, then);
  const int64_t values = s.n * s.p;  // per channel
  //~ const int64_t values = 2;
  check<ShapeError>(values != 1,
                    "batch_norm: x is {}: one value per channel, of which only the bias remains; train with "
                    "more than one sample per batch, or use LayerNorm or GroupNorm, which don't look at the "
                    "batch",
                    x.shape());
  Normalization n = normalization("batch_norm", x, by_channel(s), eps, weight, bias, then);
  Tensor y = apply_and_record("batch_norm", x, weight, bias, n);
  if (Scope::batch_statistics() && Scope::running_statistics())
    update_running(running, n.mean, n.variance, s.n * s.p);
  return y;
}

Tensor layer_norm(Tensor x, int axes, Tensor weight, Tensor bias, real eps, const Then& then) {
  return normalize_last_axes("layer_norm", x, axes, std::move(weight), std::move(bias), true, eps, then);
}

Tensor rms_norm(Tensor x, int axes, Tensor weight, real eps, const Then& then) {
  return normalize_last_axes("rms_norm", x, axes, std::move(weight), {}, false, eps, then);
}

Tensor group_norm(Tensor x, int64_t groups, Tensor weight, Tensor bias, real eps, const Then& then) {
  const Sizes s = sizes_of("group_norm", x);
  check<ShapeError>(groups >= 1 && s.c % groups == 0,
                    "group_norm: x is {}; its {} channels can't be split into {} groups", x.shape(), s.c,
                    groups);
  check_affine("group_norm", weight, bias, {s.c});
  check<ShapeError>(
      s.c / groups * s.p != 1,
      "group_norm: x is {}: one value in each of {} groups, of which only the bias remains; take "
      "fewer groups, or use BatchNorm",
      x.shape(), groups);
  Normalization n = normalization("group_norm", x, by_group(s, groups), eps, weight, bias, then);
  return apply_and_record("group_norm", x, weight, bias, n);
}

Tensor instance_norm(Tensor x, Tensor weight, Tensor bias, const RunningStatistics& running, real eps,
                     const Then& then) {
  const Sizes s = sizes_of("instance_norm", x);
  check_affine("instance_norm", weight, bias, {s.c});
  check_momentum("instance_norm", running.momentum);
  if (!Scope::batch_statistics() && has_running(running))
    return normalize_by_running("instance_norm", x, s, weight, bias, running, eps, then);
  check<ShapeError>(
      s.p != 1,
      "instance_norm: x is {}: one value per sample and channel, of which only the bias remains; "
      "give more than one position, or use LayerNorm",
      x.shape());
  Normalization n = normalization("instance_norm", x, by_group(s, s.c), eps, weight, bias, then);
  Tensor y = apply_and_record("instance_norm", x, weight, bias, n);
  if (Scope::batch_statistics() && Scope::running_statistics() && has_running(running))
    update_running_by_instances(running, n, s);
  return y;
}

}  // namespace ballast::inline BALLAST_PRECISION
