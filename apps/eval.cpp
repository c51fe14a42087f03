#include <fmt/format.h>

#include <filesystem>

#include <ballast/core/parallel.h>
#include <ballast/data/checkpoint.h>
#include <ballast/data/evaluate.h>
#include <ballast/data/safetensors.h>

#include "checkpoint_info.h"
#include "commands.h"
#include "models.h"

namespace ballast::inline BALLAST_PRECISION {
namespace {

/// The checkpoints meant by `path`: the file itself, or a run's last one, and its best one where that is
/// another.
std::vector<std::string> checkpoints(const std::string& path) {
  const std::string last = checkpoint_of(path), best = path + "/best.safetensors";
  const auto epoch = [](const std::string& file) {
    const auto info = checkpoint_info(file, SafetensorsFile(file).metadata());
    return info ? info->epoch : -1;
  };
  if (last == path || !std::filesystem::exists(best) || epoch(best) == epoch(last)) return {last};
  return {last, best};
}

/// The test images, standardized as the model's training images were.
Dataset test_images(const DataOptions& options, const std::optional<CheckpointInfo>& info) {
  DataOptions needed = options;
  if (info) needed.train_size = 0;  // digits aren't drawn in vain
  const Split split = load_data(needed);
  return standardized(split.test, info ? info->standardization : measure(split.train));
}

void evaluate_file(const std::string& path, const EvalOptions& given) {
  const Metadata metadata = SafetensorsFile(path).metadata();
  if (metadata.contains("ballast_state"))
    throw FileError(path, "MODEL", "this is the state of a run, for resuming; give its last.safetensors");
  const std::optional<CheckpointInfo> info = checkpoint_info(path, metadata);
  const CheckpointInfo found = info.value_or(CheckpointInfo{});
  const DataOptions data = merged(found.data, given.data, given.given);
  check_data_options(data, given.given);
  Sequential model =
      make_model(merged(found.model, given.model, given.given), found.sample_shape, found.classes);
  load(path, model);

  const Dataset test = test_images(data, info);
  check<ValueError>(test.sample_shape == found.sample_shape && test.classes <= found.classes,
                    "--data {}: {} classes of images {}; the model knows {} classes of {}", data.data,
                    test.classes, test.sample_shape, found.classes, found.sample_shape);
  const Evaluation result = evaluate(model, test, given.batch_size);
  fmt::print("{}{}: test accuracy {:.2f} % ({} of {}), loss {:.4f}\n", path,
             info ? fmt::format(", epoch {}", info->epoch) : "", 100 * result.accuracy(), result.correct,
             result.size, result.loss);
}

}  // namespace

int eval(const EvalOptions& options) {
  check<ValueError>(options.batch_size >= 1, "--batch-size {}: it must be at least 1", options.batch_size);
  use_threads(options.threads);
  for (const std::string& path : checkpoints(options.path)) evaluate_file(path, options);
  return 0;
}

}  // namespace ballast::inline BALLAST_PRECISION
