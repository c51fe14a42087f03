#include <ballast/core/ops/loss.h>

#include <algorithm>
#include <cmath>

#include <ballast/core/detail/map.h>
#include <ballast/core/detail/scratch.h>
#include <ballast/core/kernels/kernels.h>
#include <ballast/core/ops/reduce.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;
namespace {

// The mean of `count` losses, of which add(begin, end) sums up a chunk; the chunks are added in order.
template <class Add>
Tensor mean_of(int64_t count, int64_t grain, Add add) {
  const int64_t chunks = divide_up(count, grain);
  const Scratch<double> parts(chunks);
  parallel_for(count, grain, [&](int64_t begin, int64_t end) { parts[begin / grain] = add(begin, end); });
  double sum = 0;
  for (int64_t c = 0; c < chunks; ++c) sum += parts[c];
  return static_cast<real>(sum / static_cast<double>(count));
}

// Mean of loss(x, target) over all elements, with the derivatives of loss by x and by target.
template <class Loss, class ByX, class ByTarget>
Tensor mean_loss(const char* op, Tensor x, const Tensor& target, Loss loss, ByX by_x, ByTarget by_target) {
  check<ShapeError>(x.shape() == target.shape(), "{}: x is {} and the target {}; the shapes must agree", op,
                    x.shape(), target.shape());
  check<ShapeError>(x.count() > 0, "{}: a tensor of shape {} has no mean", op, x.shape());
  const NodeId in = x.node(), in_target = target.node();
  const real *from = x.data(), *to = target.data();
  const Tensor y = mean_of(x.count(), elementwise_grain, [=](int64_t begin, int64_t end) {
    double sum = 0;
    for (int64_t i = begin; i < end; ++i) sum += loss(from[i], to[i]);
    return sum;
  });
  return record(op, y, {in, in_target}, [=, x = x.detach(), t = target.detach()](Tensor dy, Grads& grads) {
    const real scale = dy.item() / static_cast<real>(x.count());
    //~ const real scale = dy.item();
    const auto gradient = [&](auto slope) {
      return zipped(x, t, [=](real v, real w) { return scale * slope(v, w); });
    };
    if (grads.wants(in)) grads.add(in, gradient(by_x));
    if (grads.wants(in_target)) grads.add(in_target, gradient(by_target));
  });
}

// mean_loss for a loss that is a function of x - target.
template <class Loss, class Slope>
Tensor mean_difference(const char* op, Tensor x, const Tensor& target, Loss loss, Slope slope) {
  return mean_loss(
      op, std::move(x), target, [=](real v, real t) { return loss(v - t); },
      [=](real v, real t) { return slope(v - t); }, [=](real v, real t) { return -slope(v - t); });
  //~ [=](real v, real t) { return slope(v - t); }, [=](real v, real t) { return slope(v - t); });
}

void check_labels(const char* op, const Tensor& logits, const Labels& labels) {
  check<ShapeError>(logits.rank() == 2 && logits.count() > 0,
                    "{}: logits are {}; they must be (N, K) with a row for each of N > 0 samples", op,
                    logits.shape());
  check<ShapeError>(labels.size() == logits.size(0), "{}: {} labels for logits of shape {}", op,
                    labels.size(), logits.shape());
  for (int64_t n = 0; n < labels.size(); ++n)
    check<ValueError>(labels[n] >= 0 && labels[n] < logits.shape()[1],
                      "{}: label {} of sample {} is not in 0 ... {}", op, labels[n], n,
                      logits.shape()[1] - 1);
}

// p = softmax(logits) for a row; returns its cross-entropy. `p` may be `logits`.
double softmax_row(const real* logits, real* p, int64_t classes, int32_t label, double smoothing) {
  const real largest = *std::max_element(logits, logits + classes);
  // Sum of q_k (logits_k - largest); 0 weights are left out because a masked logit is -inf.
  double expected = (1 - smoothing) * (double{logits[label]} - largest);
  if (smoothing > 0) {
    double sum = 0;
    for (int64_t k = 0; k < classes; ++k) sum += double{logits[k]} - largest;
    expected += smoothing / static_cast<double>(classes) * sum;
  }
  const double sum = kernels().exp_sum(classes, logits, largest, p);
  const real scale = static_cast<real>(1 / sum);
  for (int64_t k = 0; k < classes; ++k) p[k] *= scale;
  return std::log(sum) - expected;
}

double sum_of_weights(const Labels& labels, const Tensor& logits, const Tensor& weights) {
  check<ShapeError>(weights.shape() == Shape{logits.size(1)},
                    "cross_entropy: class weights of shape {} for logits of shape {}; give one per class",
                    weights.shape(), logits.shape());
  for (const real weight : weights.values())
    check<ValueError>(weight >= 0 && std::isfinite(weight),
                      "cross_entropy: a class weight of {}; it must be finite and at least 0", weight);
  double sum = 0;
  for (const int32_t label : labels) sum += double{weights.data()[label]};
  check<ValueError>(sum > 0, "cross_entropy: the weights of all labels are 0, so they have no weighted mean");
  return sum;
}

Tensor weighted_cross_entropy(Tensor logits, const Labels& labels, double smoothing, const Tensor& weights) {
  const double total = sum_of_weights(labels, logits, weights);
  const NodeId in = logits.node();
  const int64_t samples = logits.size(0), classes = logits.size(1);
  const auto share = [=](int64_t k, int32_t label) {  // weight_k q_k
    return double{weights.data()[k]} *
           ((k == label ? 1 - smoothing : 0) + smoothing / static_cast<double>(classes));
  };
  Tensor p = own(std::move(logits));
  double sum = 0;
  for (int64_t n = 0; n < samples; ++n) {
    real* row = p.data() + n * classes;
    const real largest = *std::max_element(row, row + classes);
    double expected = 0, shares = 0;
    for (int64_t k = 0; k < classes; ++k) {
      const double s = share(k, labels[n]);
      shares += s;
      if (s > 0) expected += s * (double{row[k]} - largest);  // a masked logit is -inf
    }
    const double exponentials = kernels().exp_sum(classes, row, largest, row);
    for (int64_t k = 0; k < classes; ++k) row[k] = static_cast<real>(double{row[k]} / exponentials);
    sum += shares * std::log(exponentials) - expected;
  }
  Tape::forget(p);
  const Tensor y = static_cast<real>(sum / total);
  //~ const Tensor y = static_cast<real>(sum / static_cast<double>(samples));
  return record("cross_entropy", y, {in}, [=, labels = labels](Tensor dy, Grads& grads) {
    const double scale = double{dy.item()} / total;
    Tensor dx(p.shape());
    for (int64_t n = 0; n < samples; ++n) {
      double shares = 0;
      for (int64_t k = 0; k < classes; ++k) shares += share(k, labels[n]);
      for (int64_t k = 0; k < classes; ++k) {
        const int64_t i = n * classes + k;
        dx.data()[i] = static_cast<real>(scale * (shares * double{p.data()[i]} - share(k, labels[n])));
        //~ dx.data()[i] = static_cast<real>(scale * (double{p.data()[i]} - share(k, labels[n])));
      }
    }
    grads.add(in, std::move(dx));
  });
}

}  // namespace

Tensor cross_entropy(Tensor logits, const Labels& labels, real label_smoothing, const Tensor& class_weights) {
  check_labels("cross_entropy", logits, labels);
  check<ValueError>(label_smoothing >= 0 && label_smoothing <= 1,
                    "cross_entropy: label_smoothing is {}; it must be from 0 to 1", label_smoothing);
  if (!class_weights.empty())
    return weighted_cross_entropy(std::move(logits), labels, double{label_smoothing}, class_weights);
  const NodeId in = logits.node();
  const int64_t samples = logits.size(0), classes = logits.size(1);
  const real* from = logits.data();
  Tensor p = reuse(logits);
  real* to = p.data();
  const Tensor y = mean_of(samples, row_grain(4 * classes), [=, &labels](int64_t begin, int64_t end) {
    double sum = 0;
    for (int64_t n = begin; n < end; ++n)
      sum += softmax_row(from + n * classes, to + n * classes, classes, labels[n], label_smoothing);
    return sum;
  });
  Tape::forget(p);
  return record("cross_entropy", y, {in}, [=, labels = labels](Tensor dy, Grads& grads) {
    const real scale = dy.item() / static_cast<real>(samples);
    //~ const real scale = dy.item();
    const real others = label_smoothing / static_cast<real>(classes);
    Tensor dx = mapped(p, [=](real v) { return scale * (v - others); });
    for (int64_t n = 0; n < samples; ++n) dx.data()[n * classes + labels[n]] -= scale * (1 - label_smoothing);
    //~ for (int64_t n = 0; n < samples; ++n) dx.data()[n * classes + labels[n]] -= scale;
    grads.add(in, std::move(dx));
  });
}

Tensor binary_cross_entropy_with_logits(Tensor logits, const Tensor& targets) {
  return mean_loss(
      "binary_cross_entropy_with_logits", std::move(logits), targets,
      [](real x, real t) {
        const real weight = x >= 0 ? 1 - t : -t;  // 0 times an infinite logit is 0: its limit
        return (weight == 0 ? 0 : weight * x) + std::log1p(std::exp(-std::abs(x)));
        //~ return weight * x + std::log1p(std::exp(-std::abs(x)));
      },
      [](real x, real t) { return 1 / (1 + std::exp(-x)) - t; }, [](real x, real) { return -x; });
}

Tensor mse_loss(Tensor x, const Tensor& target) {
  return mean_difference(
      "mse_loss", std::move(x), target, [](real d) { return d * d; }, [](real d) { return 2 * d; });
  //~ "mse_loss", std::move(x), target, [](real d) { return d * d; }, [](real d) { return d; });
}

Tensor l1_loss(Tensor x, const Tensor& target) {
  return mean_difference(
      "l1_loss", std::move(x), target, [](real d) { return std::abs(d); },
      [](real d) { return static_cast<real>((d > 0) - (d < 0)); });
}

Tensor huber_loss(Tensor x, const Tensor& target, real delta) {
  check<ValueError>(delta > 0, "huber_loss: delta is {}; it must be positive", delta);
  return mean_difference(
      "huber_loss", std::move(x), target,
      [=](real d) {
        const real size = std::abs(d);
        return size <= delta ? d * d / 2 : delta * (size - delta / 2);
      },
      [=](real d) { return std::clamp(d, -delta, delta); });
}

double accuracy(const Tensor& logits, const Labels& labels) {
  check_labels("accuracy", logits, labels);
  const Labels found = argmax(logits);
  int64_t right = 0;
  for (int64_t n = 0; n < labels.size(); ++n) right += found[n] == labels[n];
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

}  // namespace ballast::inline BALLAST_PRECISION
