#include <ballast/core/ops/norm.h>

#include <algorithm>
#include <cmath>

#include <ballast/core/ops/map.h>
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
    parallel_for(shape.count(), elementwise_grain, [=, &sums](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) g[i] = static_cast<real>(sums[i]) + (beta == 0 ? 0 : g[i]);
    });
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

Affine affine_of(const Tensor& weight, const Tensor& bias) {
  return {data_or_null(weight), data_or_null(bias)};
}

// Throws ShapeError unless what follows the norm can.
Follow follow_of(const Tensor& x, const Then& then) {
  if (!then.max_pool) return {then};
  check<ShapeError>(x.rank() == 4 && x.shape()[2] >= 2 && x.shape()[3] >= 2,
                    "x is {}; pooling over windows of 2 x 2 takes (N, C, H, W) with H and W at least 2",
                    x.shape());
  return {then, x.shape()[2], x.shape()[3]};
}

// Whether a result is so large that its beginning leaves the caches before anybody reads it. Written past
// them, it needn't be read first, and pushes nothing else out.
bool leaves_caches(const Tensor& y) {
  constexpr int64_t most = int64_t{12} << 20;  // bytes
  return y.count() * int64_t{sizeof(real)} > most;
}

// The result, and which elements won in the pooling.
struct Result {
  Tensor y;
  Scratch<uint8_t> winners;

  Result(const Shape& x, const Follow& follow, bool recorded)
      : y(follow.then.max_pool ? x.with(2, follow.h / 2).with(3, follow.w / 2) : x),
        winners(recorded && follow.then.max_pool ? y.count() : 0) {}
};

// What the backward pass of a norm needs. `Way` goes through memory, by channels or by rows.
template <class Way>
struct RecordedNorm {
  NodeId in, in_weight, in_bias;
  Saved saved;  // x
  Tensor weight, bias;
  Follow follow;
  Scratch<uint8_t> winners;
  Way way;

  Affine affine() const { return affine_of(weight, bias); }

  void operator()(Tensor dy, Grads& grads) {
    const Shape parameters = weight.empty() ? bias.shape() : weight.shape();
    const Scratch<double> dw(way.parameters()), db(way.parameters());
    Tensor x = saved.take(grads);
    const real* values = x.data();
    Tensor dx = grads.wants(in) ? grads.in_place_of(x) : Tensor();
    way.backward({values,
                  std::as_const(dy).data(),
                  affine(),
                  follow,
                  winners.data(),
                  dx.empty() ? nullptr : dx.data(),
                  {dw.data(), db.data()},
                  !dx.empty() && dx.data() != values && leaves_caches(dx)});
    if (!dx.empty()) grads.add(in, std::move(dx));
    add_sums(grads, in_weight, parameters, dw);
    add_sums(grads, in_bias, parameters, db);
  }

  // One pass over x; what is pooled would take four times the result's size.
  bool remakes() const { return !follow.then.max_pool; }
  Tensor remake(const Grads& grads) const {
    const Tensor x = saved.get(grads);
    Tensor y(x.shape());
    way.forward({x.data(), affine(), follow, y.data(), nullptr, leaves_caches(y)});
    return y;
  }
};

// Records a norm of which `forward(f)` computes the result, and `way` all that comes later.
template <class ForwardPass, class Way>
Tensor record_norm(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
                   const Then& then, ForwardPass forward, Way way) {
  const NodeId in = x.node(), in_weight = weight.node(), in_bias = bias.node();
  const Follow follow = follow_of(x, then);
  const bool recorded = in || in_weight || in_bias;
  Result result(x.shape(), follow, recorded);
  forward(Forward{x.data(), affine_of(weight, bias), follow, result.y.data(),
                  recorded ? result.winners.data() : nullptr, leaves_caches(result.y)});
  // In front of pooling, x is the largest tensor far and wide: a network holds the most when x is first made,
  // whether it is kept or not.
  Saved saved(then.max_pool ? x.detach() : x);
  return record(op, std::move(result.y), {in, in_weight, in_bias},
                RecordedNorm<Way>{in, in_weight, in_bias, std::move(saved), weight.detach(), bias.detach(),
                                  follow, result.winners, std::move(way)});
}

struct ByChannels {
  Channels shape;
  Moments moments;
  bool constant_moments;
  int64_t parameters() const { return shape.c; }
  void forward(const Forward& f) const { normalize_channels(shape, f, moments); }
  void backward(const Backward& b) const { normalize_channels_backward(shape, b, moments, constant_moments); }
};

struct ByRows {
  Rows rows;
  Moments moments;
  int64_t parameters() const { return rows.parameters(); }
  void forward(const Forward& f) const { normalize_rows(rows, f, moments); }
  void backward(const Backward& b) const { normalize_rows_backward(rows, b, moments); }
};

// By running statistics, which are constants.
Tensor normalize_by_running(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
                            const RunningStatistics& running, real eps, const Then& then) {
  const Channels shape = channels_of(x);
  Moments moments(shape.c);
  for (int64_t c = 0; c < shape.c; ++c) moments.set(c, running.mean->data()[c], running.var->data()[c], eps);
  return record_norm(
      op, x, weight, bias, then, [&](const Forward& f) { normalize_channels(shape, f, moments); },
      ByChannels{shape, moments, true});
}

Tensor normalize_per_row(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
                         const Rows& rows, real eps, const Then& then, const Statistics& out = {}) {
  Moments moments(rows.count);
  return record_norm(
      op, x, weight, bias, then, [&](const Forward& f) { normalize_rows(rows, f, eps, moments, out); },
      ByRows{rows, moments});
}

}  // namespace

Tensor batch_norm(Tensor x, Tensor weight, Tensor bias, const RunningStatistics& running, real eps,
                  const Then& then) {
  check_channels(x);
  const Channels shape = channels_of(x);
  check_affine(weight, bias, {shape.c});
  const bool by_batch = Scope::batch_statistics() || !has_running(running);
  if (!by_batch) return normalize_by_running("batch_norm", x, weight, bias, running, eps, then);
  check<ShapeError>(shape.values() > 1,
                    "x is {}: one value per channel, whose variance means nothing; train with more than one "
                    "sample per batch, or "
                    "use LayerNorm or GroupNorm, which don't look at the batch",
                    x.shape());
  const Scratch<double> mean(shape.c), var(shape.c);
  Moments moments(shape.c);
  Tensor y = record_norm(
      "batch_norm", x, weight, bias, then,
      [&](const Forward& f) {
        normalize_channels(shape, f, eps, moments, {mean.data(), var.data()});
      },
      ByChannels{shape, moments, false});
  if (Scope::batch_statistics() && Scope::running_statistics()) {
    update_running(running, mean, var, static_cast<double>(shape.values()));
  }
  return y;
}

namespace {

// Each row of the last `axes` axes by itself, with an affine parameter for every element.
Tensor normalize_last_axes(const char* op, Tensor x, int axes, Tensor weight, Tensor bias, bool centred,
                           real eps, const Then& then) {
  check<ShapeError>(axes >= 1 && axes <= x.rank(), "x is {}; there are no {} last axes to normalize over",
                    x.shape(), axes);
  if (then.max_pool && axes < 2)  // a row is less than a plane
    return apply({.max_pool = true}, normalize_last_axes(op, std::move(x), axes, weight, bias, centred, eps,
                                                         {.relu = then.relu}));
  const int first = x.rank() - axes;
  const Shape normalized(x.shape().begin() + first, axes);
  check_affine(weight, bias, normalized);
  const bool own = !weight.empty() || !bias.empty();
  if (own && weight.empty()) weight = ones(normalized);
  if (own && bias.empty()) bias = zeros(normalized);
  // What is pooled must be whole planes.
  const int64_t run = then.max_pool && x.rank() == 4 ? x.shape().count(2, 4) : normalized.count();
  const Rows rows{.count = x.shape().count(0, first),
                  .period = 1,
                  .runs = run > 0 ? normalized.count() / run : 1,
                  .run = run,
                  .own = own,
                  .centred = centred};
  return normalize_per_row(op, x, weight, bias, rows, eps, then);
}

}  // namespace

Tensor layer_norm(Tensor x, int axes, Tensor weight, Tensor bias, real eps, const Then& then) {
  return normalize_last_axes("layer_norm", std::move(x), axes, std::move(weight), std::move(bias), true, eps,
                             then);
}

Tensor rms_norm(Tensor x, int axes, Tensor weight, real eps, const Then& then) {
  return normalize_last_axes("rms_norm", std::move(x), axes, std::move(weight), {}, false, eps, then);
}

Tensor group_norm(Tensor x, int64_t groups, Tensor weight, Tensor bias, real eps, const Then& then) {
  check_channels(x);
  const Channels shape = channels_of(x);
  check<ShapeError>(groups >= 1 && shape.c % groups == 0,
                    "x is {}; its {} channels can't be split into {} groups", x.shape(), shape.c, groups);
  check_affine(weight, bias, {shape.c});
  const Rows rows{.count = shape.n * groups, .period = groups, .runs = shape.c / groups, .run = shape.p};
  return normalize_per_row("group_norm", x, weight, bias, rows, eps, then);
}

Tensor instance_norm(Tensor x, Tensor weight, Tensor bias, const RunningStatistics& running, real eps,
                     const Then& then) {
  check_channels(x);
  const Channels shape = channels_of(x);
  check_affine(weight, bias, {shape.c});
  if (!Scope::batch_statistics() && has_running(running))
    return normalize_by_running("instance_norm", x, weight, bias, running, eps, then);
  check<ShapeError>(shape.p > 1,
                    "x is {}: one value per sample and channel, whose variance means nothing; give images "
                    "larger than 1 x 1, or "
                    "use LayerNorm",
                    x.shape());
  const Rows rows{.count = shape.n * shape.c, .period = shape.c, .runs = 1, .run = shape.p};
  const Scratch<double> mean(rows.count), var(rows.count);
  Tensor y = normalize_per_row("instance_norm", x, weight, bias, rows, eps, then, {mean.data(), var.data()});
  if (Scope::batch_statistics() && Scope::running_statistics() && has_running(running) && shape.n > 0) {
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
  return y;
}

}  // namespace ballast::inline BALLAST_PRECISION
