#pragma once

#include <map>
#include <optional>
#include <string>

#include <ballast/data/dataset.h>

#include "options.h"

namespace ballast::inline BALLAST_PRECISION {

/// What a run's checkpoints say about themselves, so that evaluating one needs no options: kept as JSON in
/// the file's metadata under "ballast".
struct CheckpointInfo {
  ModelOptions model;
  DataOptions data;
  Shape sample_shape = {1, 28, 28};
  int classes = 10;
  Standardization standardization;
  int64_t epoch = 0, step = 0;
  double test_loss = 0, test_accuracy = 0;
};

using Metadata = std::map<std::string, std::string>;

Metadata to_metadata(const CheckpointInfo& info);
/// None if the file wasn't written by `ballast train`; throws FileError METADATA if it says so but can't be
/// understood.
std::optional<CheckpointInfo> checkpoint_info(const std::string& path, const Metadata& metadata);

/// `path` itself, or if it is the folder of a run, its last.safetensors. Throws ValueError if there is none.
std::string checkpoint_of(const std::string& path);

/// The data that the options name, as they are read from the disk.
Split load_data(const DataOptions& options);

}  // namespace ballast::inline BALLAST_PRECISION
