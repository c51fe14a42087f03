#pragma once

#include <ballast/core/tape.h>
#include <ballast/data/loader.h>

namespace ballast::inline BALLAST_PRECISION {

/// How a model's output fits a batch.
struct Score {
  Tensor loss;          // recorded where a tape records
  int64_t correct = 0;  // of the labels
  int64_t labels = 0;   // that count: those that aren't ignored_label; 0 where targets are values
};

/// By what the targets are:
///
///   classes     output (N, classes): cross-entropy
///   positions   output (N, classes, positions ...): cross-entropy, the mean over all positions that count
///   values      output (N, K): mean squared error
///
/// Labels that are ignored_label count for nothing; in a batch of nothing else the loss is 0.
/// For label smoothing and class weights see `cross_entropy`; they have no effect on values. Throws
/// ShapeError for an output of another shape.
Score score(Tensor output, const Batch& batch, real label_smoothing = 0, const Tensor& class_weights = {});

/// Logits (N, classes, positions ...) as (N positions, classes), in the order of the batch's labels. Throws
/// ShapeError for another shape.
Tensor rows_of_positions(Tensor logits, const Batch& batch);

}  // namespace ballast::inline BALLAST_PRECISION
