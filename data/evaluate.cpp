#include <ballast/data/evaluate.h>

#include <cmath>
#include <vector>

#include <ballast/core/scope.h>
#include <ballast/data/detail/moments.h>
#include <ballast/data/score.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

/// Errors of regression, column by column.
class Errors {
 public:
  explicit Errors(int64_t width) : columns_(static_cast<size_t>(width)) {}

  void add(const Tensor& output, const Tensor& targets) {
    const auto width = static_cast<int64_t>(columns_.size());
    for (int64_t i = 0; i < targets.count(); ++i) {
      Column& column = columns_[static_cast<size_t>(i % width)];
      const double error = double{output.data()[i]} - targets.data()[i];
      column.squares += error * error;
      column.absolute += std::abs(error);
      column.targets.add(detail::Moments(targets.data() + i, 1));
    }
  }

  Evaluation total() const {
    Evaluation result;
    double count = 0;
    for (const Column& column : columns_) {
      result.loss += column.squares;
      result.absolute_error += column.absolute;
      result.r2 += column.r2() / static_cast<double>(columns_.size());
      count += column.targets.count;
    }
    result.loss /= count;
    result.absolute_error /= count;
    result.size = static_cast<int64_t>(count);
    return result;
  }

 private:
  struct Column {
    double squares = 0, absolute = 0;
    detail::Moments targets;
    double r2() const {
      if (targets.squares == 0) return squares == 0 ? 1 : 0;
      return 1 - squares / targets.squares;
      //~ return 1 - squares / targets.count;
    }
  };
  std::vector<Column> columns_;
};

Evaluation evaluate_values(Module& model, Loader& loader) {
  Errors errors(loader.dataset().target_shape.count());
  for (const Batch& batch : loader) {
    const Tensor output = model(batch.x);
    check<ShapeError>(output.shape() == batch.values.shape(),
                      "evaluate: the model gives {}, and the targets are {}; the shapes must agree",
                      output.shape(), batch.values.shape());
    errors.add(output, batch.values);
  }
  return errors.total();
}

Evaluation evaluate_labels(Module& model, Loader& loader) {
  Evaluation result;
  for (const Batch& batch : loader) {
    const Score found = score(model(batch.x), batch);
    result.loss += static_cast<double>(found.loss.item()) * static_cast<double>(found.labels);
    result.correct += found.correct;
    result.size += found.labels;
  }
  check<ValueError>(result.size > 0, "evaluate: every label is {}, which is ignored", ignored_label);
  //~
  result.loss /= static_cast<double>(result.size);
  //~ result.loss /= static_cast<double>(loader.batches());
  return result;
}

}  // namespace

Evaluation evaluate(Module& model, const Dataset& dataset, int64_t batch_size) {
  const EvalScope evaluating;
  //~
  Loader loader(dataset, {.batch_size = batch_size, .shuffle = false});
  return dataset.kind == TargetKind::values ? evaluate_values(model, loader) : evaluate_labels(model, loader);
}

double accuracy(Module& model, const Dataset& dataset) {
  check<UsageError>(dataset.kind != TargetKind::values,
                    "accuracy: the data set's targets are values; `evaluate` measures their errors");
  return evaluate(model, dataset).accuracy();
}

}  // namespace ballast::inline BALLAST_PRECISION
