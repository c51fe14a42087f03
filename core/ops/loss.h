#pragma once

#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {

// Losses: the mean over all samples (cross_entropy) or elements (the others), as a scalar. Over none there is
// no mean: they throw ShapeError (where PyTorch returns NaN).

/// Softmax and cross-entropy in one: mean_n of -sum_k q_k log softmax(logits_n)_k with q_k = (1 - smoothing)
/// [k = label_n] + smoothing / K. logits (N, K), labels (N) in 0 ... K-1. With class weights (K), at least 0,
/// it is PyTorch's weighted mean: sum_n of -sum_k weight_k q_k log softmax(logits_n)_k over sum_n
/// weight_label_n. Throws ValueError where that sum is 0.
Tensor cross_entropy(Tensor logits, const Labels& labels, real label_smoothing = 0,
                     const Tensor& class_weights = {});

/// Sigmoid and binary cross-entropy in one: mean of max(x, 0) - x t + log(1 + e^-|x|). Targets in [0, 1], of
/// the logits' shape. An infinite logit gives the limit: 0 where it is certain of the right target, else
/// infinity.
Tensor binary_cross_entropy_with_logits(Tensor logits, const Tensor& targets);

/// mean (x - target)^2
Tensor mse_loss(Tensor x, const Tensor& target);
/// mean |x - target|
Tensor l1_loss(Tensor x, const Tensor& target);
/// Huber's: mean of d^2/2 for |d| <= delta, delta (|d| - delta/2) beyond, d = x - target.
Tensor huber_loss(Tensor x, const Tensor& target, real delta = 1);

/// Share of the rows of logits (N, K) whose largest entry is at the label; not differentiable.
double accuracy(const Tensor& logits, const Labels& labels);

}  // namespace ballast::inline BALLAST_PRECISION
