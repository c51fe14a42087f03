#include <ballast/data/evaluate.h>

#include <ballast/core/ops/loss.h>
#include <ballast/core/ops/reduce.h>
#include <ballast/core/scope.h>
#include <ballast/data/loader.h>

namespace ballast::inline BALLAST_PRECISION {

Evaluation evaluate(Module& model, const Dataset& dataset, int64_t batch_size) {
  const EvalScope evaluating;
  //~
  Evaluation result;
  Loader loader(dataset, {.batch_size = batch_size, .shuffle = false});
  for (const Batch& batch : loader) {
    Tensor logits = model(batch.x);
    const Labels found = argmax(logits);
    const int64_t count = batch.y.size();
    result.loss +=
        static_cast<double>(cross_entropy(std::move(logits), batch.y).item()) * static_cast<double>(count);
    for (int64_t n = 0; n < count; ++n) result.correct += found[n] == batch.y[n];
    result.size += count;
  }
  result.loss /= static_cast<double>(result.size);
  //~ result.loss /= static_cast<double>(loader.batches());
  return result;
}

double accuracy(Module& model, const Dataset& dataset) { return evaluate(model, dataset).accuracy(); }

}  // namespace ballast::inline BALLAST_PRECISION
