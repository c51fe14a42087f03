#include "trained.h"

#include <filesystem>

#include <ballast/data/checkpoint.h>
#include <ballast/data/safetensors.h>

#include "models.h"

namespace ballast::inline BALLAST_PRECISION {

namespace fs = std::filesystem;

void check_not_state(const std::string& path) {
  if (SafetensorsFile(path).metadata().contains("ballast_state"))
    throw FileError(path, "MODEL", "this is the state of a run, for resuming; give its last.safetensors");
}

Trained load_trained(const std::string& path, const EvalOptions& given) {
  check<ValueError>(given.batch_size >= 1, "--batch-size {}: it must be at least 1", given.batch_size);
  check_not_state(path);
  const std::optional<CheckpointInfo> found = checkpoint_info(path, SafetensorsFile(path).metadata());
  CheckpointInfo info = found.value_or(CheckpointInfo{});
  info.data = merged(info.data, given.data, given.given);
  info.model = merged(info.model, given.model, given.given);
  check_data_options(info.data, given.given);
  Trained trained{path, found.has_value(), info, make_model(info.model, info.sample_shape, info.classes)};
  load(path, trained.model);
  return trained;
}

Split data_for(Trained& trained, Needs needs) {
  CheckpointInfo& info = trained.info;
  DataOptions options = info.data;
  if (trained.described && needs == Needs::test) options.train_size = 0;  // digits aren't drawn in vain
  Split split = load_data(options);
  check<ValueError>(split.test.sample_shape == info.sample_shape && split.test.classes <= info.classes,
                    "--data {}: {} classes of images {}; the model knows {} classes of {}", options.data,
                    split.test.classes, split.test.sample_shape, info.classes, info.sample_shape);
  if (!trained.described) info.standardization = measure(split.train);
  return {standardized(split.train, info.standardization), standardized(split.test, info.standardization)};
}

std::string new_file(const std::string& out, const std::string& checkpoint, const std::string& what,
                     const std::string& extension) {
  const fs::path from = checkpoint;
  const std::string path =
      !out.empty() ? out : (from.parent_path() / (from.stem().native() + "-" + what + extension)).native();
  std::error_code error;
  check<ValueError>(!fs::exists(path, error),
                    "{} exists already, and nothing saved is overwritten; choose another file with --out",
                    path);
  return path;
}

}  // namespace ballast::inline BALLAST_PRECISION
