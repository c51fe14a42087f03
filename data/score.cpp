#include <ballast/data/score.h>

#include <ballast/core/ops/loss.h>
#include <ballast/core/ops/movement.h>
#include <ballast/core/ops/reduce.h>

namespace ballast::inline BALLAST_PRECISION {

Tensor rows_of_positions(Tensor logits, const Batch& batch) {
  const Shape shape = logits.shape();
  const int64_t positions = batch.y.size() / batch.size();
  check<ShapeError>(
      shape.rank() >= 3 && shape[0] == batch.size() && shape.count(2, shape.rank()) == positions,
      "the model gives {} for {} samples with a label for each of {} positions; it must be "
      "(samples, classes, positions ...)",
      shape, batch.size(), positions);
  const int64_t classes = shape[1];
  logits = transpose(reshape(std::move(logits), {batch.size(), classes, positions}));
  return reshape(std::move(logits), {batch.y.size(), classes});
}

Score score(Tensor output, const Batch& batch, real label_smoothing, const Tensor& class_weights) {
  if (batch.kind == TargetKind::values) return {.loss = mse_loss(std::move(output), batch.values)};
  const bool positions = batch.kind == TargetKind::positions;
  const Labels found = argmax(positions ? rows_of_positions(output.detach(), batch) : output);
  Score result;
  for (int64_t n = 0; n < batch.y.size(); ++n) {
    result.labels += batch.y[n] != ignored_label;
    //~ ++result.labels;
    result.correct += found[n] == batch.y[n];
  }
  // Of no labels there is a sum, 0, but no mean.
  const Reduction reduction = result.labels > 0 ? Reduction::mean : Reduction::sum;
  //~ const Reduction reduction = Reduction::mean;
  result.loss =
      cross_entropy(std::move(output), batch.y,
                    {.label_smoothing = label_smoothing, .weights = class_weights, .reduction = reduction});
  return result;
}

}  // namespace ballast::inline BALLAST_PRECISION
