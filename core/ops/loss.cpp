#include <ballast/core/ops/loss.h>

#include <algorithm>
#include <cmath>

#include <ballast/core/detail/map.h>
#include <ballast/core/detail/scratch.h>
#include <ballast/core/kernels/kernels.h>
#include <ballast/core/ops/activation.h>
#include <ballast/core/ops/elementwise.h>
#include <ballast/core/ops/movement.h>
#include <ballast/core/ops/reduce.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;
namespace {

// The sum of `count` losses, of which value(begin, end, to) writes a chunk; the chunks are added in order.
template <class Value>
double sum_of(int64_t count, Value value) {
  const int64_t chunks = divide_up(count, elementwise_grain);
  const Scratch<double> sums(chunks);
  reserve_scratch<real>(elementwise_grain, chunks);
  parallel_for(count, elementwise_grain, [&](int64_t begin, int64_t end) {
    const Scratch<real> losses(end - begin);
    value(begin, end, losses.data());
    sums[begin / elementwise_grain] = kernels().sum(losses.data(), end - begin);
  });
  double sum = 0;
  for (int64_t c = 0; c < chunks; ++c) sum += sums[c];
  return sum;
}

// scale * slope(x, t), element by element; slope is one of a loss's derivatives.
Tensor scaled_slope(decltype(Loss::by_x) slope, const Tensor& x, const Tensor& target, real a, real scale) {
  const real *from = x.data(), *to = target.data();
  Tensor dx(x.shape());
  parallel_for(x.count(), elementwise_grain, [=, at = dx.data()](int64_t begin, int64_t end) {
    slope(end - begin, from + begin, to + begin, at + begin, a, scale);
  });
  return dx;
}

Tensor loss_of(const Loss& loss, Tensor x, const Tensor& target, Reduction reduction, real a = 0) {
  check<ShapeError>(x.shape() == target.shape(), "{}: x is {} and the target {}; the shapes must agree",
                    loss.name, x.shape(), target.shape());
  check<ShapeError>(x.count() > 0 || reduction != Reduction::mean, "{}: a tensor of shape {} has no mean",
                    loss.name, x.shape());
  const NodeId in = x.node(), in_target = target.node();
  const auto value = [&loss, a, from = x.data(), t = target.data()](int64_t begin, int64_t end, real* to) {
    loss.value(end - begin, from + begin, t + begin, to, a);
  };
  const double terms = reduction == Reduction::mean ? static_cast<double>(x.count()) : 1;
  Tensor y;
  if (reduction == Reduction::none) {
    y = Tensor(x.shape());
    parallel_for(x.count(), elementwise_grain,
                 [&](int64_t begin, int64_t end) { value(begin, end, y.data() + begin); });
  } else {
    y = static_cast<real>(sum_of(x.count(), value) / terms);
  }
  return record(loss.name, y, {in, in_target},
                [=, &loss, x = x.detach(), t = target.detach()](Tensor dy, Grads& grads) {
                  const bool each = reduction == Reduction::none;
                  const real scale = each ? 1 : dy.item() / static_cast<real>(terms);
                  //~ const real scale = each ? 1 : dy.item();
                  const auto gradient = [&](auto slope) {
                    Tensor dx = scaled_slope(slope, x, t, a, scale);
                    return each ? std::move(dx) * dy : dx;
                    //~ return dx;
                  };
                  if (grads.wants(in)) grads.add(in, gradient(loss.by_x));
                  if (grads.wants(in_target)) grads.add(in_target, gradient(loss.by_target));
                });
}

// Logits (N, K) or (N, K, positions ...), and a label for each position of each sample.
void check_labels(const char* op, const Tensor& logits, const Labels& labels, int32_t ignored) {
  check<ShapeError>(logits.rank() >= 2 && logits.count() > 0,
                    "{}: logits are {}; they must be (N, K) with a row for each of N > 0 samples", op,
                    logits.shape());
  const int64_t expected = logits.count() / logits.size(1);
  check<ShapeError>(labels.size() == expected,
                    "{}: {} labels for logits of shape {}, which need {}: the classes are axis 1", op,
                    labels.size(), logits.shape(), expected);
  for (int64_t n = 0; n < labels.size(); ++n)
    check<ValueError>((labels[n] >= 0 && labels[n] < logits.shape()[1]) || labels[n] == ignored,
                      "{}: label {} of sample {} is not in 0 ... {}, nor {}, which is ignored", op, labels[n],
                      n, logits.shape()[1] - 1, ignored);
}

// (N, K, positions ...) -> (N, positions ..., K)
Tensor classes_last(Tensor logits) {
  const Shape shape = logits.shape();
  if (shape.rank() < 3) return logits;
  Shape moved = shape;
  for (int axis = 1; axis + 1 < shape.rank(); ++axis) moved = moved.with(axis, shape[axis + 1]);
  moved = moved.with(shape.rank() - 1, shape[1]);
  const int64_t positions = shape.count(2, shape.rank());
  return reshape(transpose(reshape(std::move(logits), {shape[0], shape[1], positions})), moved);
}

// What the sum of all samples' losses is divided by.
double divisor(const char* op, const Labels& labels, const Tensor& weights,
               const CrossEntropyOptions& options) {
  if (options.reduction != Reduction::mean) return 1;
  double sum = 0;
  for (const int32_t label : labels) sum += label != options.ignore_index ? double{weights(label)} : 0;
  //~ for (const int32_t label : labels) sum += label != options.ignore_index;
  check<ValueError>(sum > 0, "{}: every sample is ignored or has weight 0, so there is no mean", op);
  return sum;
}

Tensor weights_of(const char* op, const CrossEntropyOptions& options, int64_t classes) {
  check<ValueError>(options.label_smoothing >= 0 && options.label_smoothing <= 1,
                    "{}: label_smoothing is {}; it must be from 0 to 1", op, options.label_smoothing);
  if (options.weights.empty()) return ones({classes});
  check<ShapeError>(options.weights.shape() == Shape{classes},
                    "{}: the weights are {} for {} classes; they must be {}", op, options.weights.shape(),
                    classes, Shape{classes});
  for (const real weight : options.weights.values())
    check<ValueError>(weight >= 0 && std::isfinite(weight),
                      "{}: a class weight of {}; it must be finite and at least 0", op, weight);
  return options.weights.detach();
}

// nll_loss, in whose place errors name `op`.
Tensor negative_log_likelihood(const char* op, Tensor x, const Labels& labels,
                               const CrossEntropyOptions& options) {
  check_labels(op, x, labels, options.ignore_index);
  const NodeId in = x.node();
  const Shape shape = x.shape();
  const Tensor weights = weights_of(op, options, shape[1]);
  const int64_t positions = shape.count(2, shape.rank()), classes = shape[1], count = labels.size();
  // The place of loss i's logit.
  const auto place = [=](int64_t i, int32_t label) {
    return (i / positions * classes + label) * positions + i % positions;
  };
  Tensor losses(shape.without(1));
  parallel_for(count, elementwise_grain,
               [&, from = x.data(), to = losses.data()](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   // A class of weight 0 is left out, since a masked logit is -inf.
                   const real weight = labels[i] == options.ignore_index ? 0 : weights(labels[i]);
                   to[i] = weight == 0 ? 0 : -weight * from[place(i, labels[i])];
                 }
               });
  const bool each = options.reduction == Reduction::none;
  const double terms = divisor(op, labels, weights, options);
  const Tensor y = each ? losses : Tensor(static_cast<real>(kernels().sum(losses.data(), count) / terms));
  return record(op, y, {in}, [=, labels = labels, ignored = options.ignore_index](Tensor dy, Grads& grads) {
    Tensor dx = zeros(shape);
    const real* from = std::as_const(dy).data();
    parallel_for(
        count, elementwise_grain, [=, &labels, &weights, to = dx.data()](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            if (labels[i] == ignored) continue;
            to[place(i, labels[i])] = static_cast<real>(-weights(labels[i]) * from[each ? i : 0] / terms);
            //~ to[place(i, labels[i])] = static_cast<real>(-weights(labels[i]) * from[0] / terms);
          }
        });
    grads.add(in, std::move(dx));
  });
}

// q of a sample with the given label: `own` times the label's weight at the label, and `others` times the
// class's weight everywhere.
struct Targets {
  double own, others;
  Tensor weights;
  int64_t classes;

  double sum(int32_t label) const {
    const real* weight = weights.data();
    double q = own * weight[label];
    for (int64_t k = 0; others > 0 && k < classes; ++k) q += others * weight[k];
    return q;
  }
  /// Writes softmax(logits) to `p`, which may be `logits`, and returns the cross-entropy.
  real loss(const real* logits, real* p, int32_t label) const {
    const real* weight = weights.data();
    // Classes of weight 0 are left out, since a masked logit is -inf.
    double expected = weight[label] == 0 ? 0 : own * weight[label] * logits[label];
    for (int64_t k = 0; others > 0 && k < classes; ++k)
      if (weight[k] > 0) expected += others * weight[k] * logits[k];
    return static_cast<real>(sum(label) * kernels().softmax(classes, logits, p) - expected);
  }
  /// dx = scale (sum(label) p - q)
  void gradient(const real* p, real* dx, int32_t label, double scale) const {
    const real* weight = weights.data();
    const real of_p = static_cast<real>(scale * sum(label)), of_weight = static_cast<real>(scale * others);
    for (int64_t k = 0; k < classes; ++k) dx[k] = of_p * p[k] - of_weight * weight[k];
    dx[label] -= static_cast<real>(scale * own * weight[label]);
    //~ dx[label] -= static_cast<real>(scale * own);
  }
};

// The cross-entropy of logits (N, K, positions ...). Without smoothing the classes stay where they are.
Tensor cross_entropy_of_positions(Tensor logits, const Labels& labels, const CrossEntropyOptions& options) {
  if (options.label_smoothing == 0)
    return negative_log_likelihood("cross_entropy", log_softmax(std::move(logits), 1), labels, options);
  logits = classes_last(std::move(logits));
  const Shape shape = logits.shape();
  Tensor y = cross_entropy(reshape(std::move(logits), {-1, shape[-1]}), labels, options);
  return options.reduction == Reduction::none ? reshape(std::move(y), shape.without(shape.rank() - 1)) : y;
}

}  // namespace

Tensor cross_entropy(Tensor logits, const Labels& labels, const CrossEntropyOptions& options) {
  if (logits.rank() > 2) return cross_entropy_of_positions(std::move(logits), labels, options);
  check_labels("cross_entropy", logits, labels, options.ignore_index);
  const NodeId in = logits.node();
  const int64_t samples = logits.size(0), classes = logits.size(1);
  const Tensor weights = weights_of("cross_entropy", options, classes);
  const double smoothing = options.label_smoothing;
  const Targets targets{1 - smoothing, smoothing / static_cast<double>(classes), weights, classes};
  const int32_t ignored = options.ignore_index;
  const real* from = logits.data();
  Tensor p = reuse(logits), losses({samples});
  parallel_for(samples, row_grain(4 * classes), [&, to = p.data()](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const bool counts = labels[n] != ignored;
      losses(n) = counts ? targets.loss(from + n * classes, to + n * classes, labels[n]) : 0;
    }
  });
  Tape::forget(p);
  const bool each = options.reduction == Reduction::none;
  const double terms = divisor("cross_entropy", labels, weights, options);
  const Tensor y = each ? losses : Tensor(static_cast<real>(kernels().sum(losses.data(), samples) / terms));
  return record("cross_entropy", y, {in}, [=, labels = labels](Tensor dy, Grads& grads) {
    Tensor dx(p.shape());
    parallel_for(samples, row_grain(4 * classes),
                 [&, at = p.data(), to = dx.data()](int64_t begin, int64_t end) {
                   for (int64_t n = begin; n < end; ++n) {
                     real* row = to + n * classes;
                     if (labels[n] == ignored)
                       std::fill_n(row, classes, real{0});
                     else
                       targets.gradient(at + n * classes, row, labels[n], (each ? dy(n) : dy.item()) / terms);
                     //~ targets.gradient(at + n * classes, row, labels[n], dy.item());
                   }
                 });
    grads.add(in, std::move(dx));
  });
}

Tensor nll_loss(Tensor x, const Labels& labels, const CrossEntropyOptions& options) {
  check<ValueError>(options.label_smoothing == 0,
                    "nll_loss: label_smoothing is {}; only cross_entropy can smooth",
                    options.label_smoothing);
  return negative_log_likelihood("nll_loss", std::move(x), labels, options);
}

Tensor soft_cross_entropy(Tensor logits, const Tensor& probabilities, const CrossEntropyOptions& options) {
  check<ShapeError>(logits.shape() == probabilities.shape() && logits.rank() >= 2,
                    "soft_cross_entropy: logits are {} and the probabilities {}; both must be (N, K, ...)",
                    logits.shape(), probabilities.shape());
  const int64_t classes = logits.size(1);
  const real smoothing = options.label_smoothing;
  const Tensor weights = weights_of("soft_cross_entropy", options, classes);
  Tensor q = probabilities;
  if (smoothing > 0) q = std::move(q) * (1 - smoothing) + smoothing / static_cast<real>(classes);
  if (!options.weights.empty()) {
    Shape of_class = logits.shape().without(0);
    for (int axis = 1; axis < of_class.rank(); ++axis) of_class = of_class.with(axis, 1);
    q = std::move(q) * reshape(weights, of_class);
    //~
  }
  const Tensor losses = -sum(std::move(q) * log_softmax(std::move(logits), 1), {1});
  switch (options.reduction) {
    case Reduction::none:
      return losses;
    case Reduction::sum:
      return sum(losses);
    case Reduction::mean:
      return mean(losses);
  }
  return losses;
}

Tensor binary_cross_entropy_with_logits(Tensor logits, const Tensor& targets, Reduction reduction) {
  return loss_of(kernels().binary_cross_entropy_with_logits, std::move(logits), targets, reduction);
}
Tensor mse_loss(Tensor x, const Tensor& target, Reduction reduction) {
  return loss_of(kernels().mse_loss, std::move(x), target, reduction);
}
Tensor l1_loss(Tensor x, const Tensor& target, Reduction reduction) {
  return loss_of(kernels().l1_loss, std::move(x), target, reduction);
}
Tensor huber_loss(Tensor x, const Tensor& target, real delta, Reduction reduction) {
  check<ValueError>(delta > 0, "huber_loss: delta is {}; it must be positive", delta);
  return loss_of(kernels().huber_loss, std::move(x), target, reduction, delta);
}
Tensor kl_div(Tensor x, const Tensor& target, Reduction reduction) {
  return loss_of(kernels().kl_div, std::move(x), target, reduction);
}

double accuracy(const Tensor& logits, const Labels& labels) {
  check<ShapeError>(logits.rank() == 2, "accuracy: logits are {}; they must be (N, K)", logits.shape());
  check_labels("accuracy", logits, labels, ignored_label);
  const Labels found = argmax(logits);
  int64_t right = 0, count = 0;
  for (int64_t n = 0; n < labels.size(); ++n)
    right += found[n] == labels[n], count += labels[n] != ignored_label;
  check<ValueError>(count > 0, "accuracy: every label is {}, which is ignored", ignored_label);
  return static_cast<double>(right) / static_cast<double>(count);
}

}  // namespace ballast::inline BALLAST_PRECISION
