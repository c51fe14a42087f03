#pragma once

#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {

/// What becomes of the losses of all samples (cross_entropy) or elements (the others). Over none there is no
/// mean: ShapeError (where PyTorch returns NaN).
enum class Reduction { mean, sum, none };

struct CrossEntropyOptions {
  real label_smoothing = 0;
  Tensor weights = {};                   // one per class; none means 1 for each
  int32_t ignore_index = ignored_label;  // samples with this label count for nothing
  Reduction reduction = Reduction::mean;
};

/// Softmax and cross-entropy in one: the loss of sample n is -sum_k q_k log softmax(logits_n)_k with q_k =
/// weight_k ((1 - smoothing) [k = label_n] + smoothing / K). logits (N, K) and labels (N) in 0 ... K-1, or
/// logits (N, K, positions ...) and a label for each position of each sample. The mean is weighted by the
/// labels' weights, as in PyTorch.
Tensor cross_entropy(Tensor logits, const Labels& labels, const CrossEntropyOptions& options = {});
/// The same for probabilities of classes, of the logits' shape: q_k = weight_k ((1 - smoothing) p_k +
/// smoothing / K). The mean is over samples, whatever they weigh. ignore_index has no effect.
Tensor soft_cross_entropy(Tensor logits, const Tensor& probabilities,
                          const CrossEntropyOptions& options = {});

/// cross_entropy where log_softmax was taken already: the loss of a sample is -weight x_label.
Tensor nll_loss(Tensor log_probabilities, const Labels& labels, const CrossEntropyOptions& options = {});

/// Sigmoid and binary cross-entropy in one: max(x, 0) - x t + log(1 + e^-|x|). Targets in [0, 1], of the
/// logits' shape. An infinite logit gives the limit: 0 where it is certain of the right target, else
/// infinity.
Tensor binary_cross_entropy_with_logits(Tensor logits, const Tensor& targets,
                                        Reduction reduction = Reduction::mean);

/// (x - target)^2
Tensor mse_loss(Tensor x, const Tensor& target, Reduction reduction = Reduction::mean);
/// |x - target|
Tensor l1_loss(Tensor x, const Tensor& target, Reduction reduction = Reduction::mean);
/// Huber's: d^2/2 for |d| <= delta, delta (|d| - delta/2) beyond, d = x - target.
Tensor huber_loss(Tensor x, const Tensor& target, real delta = 1, Reduction reduction = Reduction::mean);
/// The terms t (log t - x) of the Kullback-Leibler divergence of exp(x) from the target t, 0 where t is 0.
/// The mean is over elements, PyTorch's default; for the divergence itself take the sum over the number of
/// samples.
Tensor kl_div(Tensor x, const Tensor& target, Reduction reduction = Reduction::mean);

/// Share of the rows of logits (N, K) whose largest entry is at the label, rows labelled ignored_label left
/// out; not differentiable. Throws ValueError if none is left.
double accuracy(const Tensor& logits, const Labels& labels);

}  // namespace ballast::inline BALLAST_PRECISION
