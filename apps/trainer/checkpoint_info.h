#pragma once

#include <map>
#include <optional>
#include <string>

#include <ballast/data/standardization.h>

#include "options/options.h"
#include "trainer/data.h"

namespace ballast::app {

/// What a run's checkpoints say about themselves, so that evaluating one needs no options: kept as JSON in
/// the file's metadata under "ballast". The file may be passed on, so it says nothing of where things are on
/// its author's disk: of the data's folder it knows the name, the way to it from its own folder unless that
/// leads through the root, and the fingerprint.
struct CheckpointInfo {
  ModelOptions model;
  DataOptions data;       // "" where the way to their folder is unknown
  std::string data_name;  // of their folder; "" for older files
  Fingerprint fingerprint;
  Shape sample_shape = {1, 28, 28};
  int64_t outputs = 10;  // classes, or values of a regression
  TargetKind kind = TargetKind::classes;
  std::vector<std::string> class_names = {};  // or those of the values; may be empty
  TableSchema schema = {};                    // of tables
  Standardization standardization;
  Standardization target_standardization = {};
  int64_t epoch = 0, step = 0;
  double val_loss = 0, val_accuracy = 0;
};

/// The names of the outputs: those of the classes or values, "0", "1", ... where they have none.
std::vector<std::string> output_names(const CheckpointInfo& info);

using Metadata = std::map<std::string, std::string>;

/// For the checkpoint `path`.
Metadata to_metadata(const CheckpointInfo& info, const std::string& path);
/// None if the file wasn't written by `ballast train`; throws FileError METADATA if it says so but can't be
/// understood.
std::optional<CheckpointInfo> checkpoint_info(const std::string& path, const Metadata& metadata);

/// The name of the data's folder, without the way to it, or "digits".
std::string data_name(const CheckpointInfo& info);

/// `path` itself, or if it is the folder of a run, its best.safetensors: the weights that `train` measured on
/// the test part. Throws ValueError if there is none.
std::string checkpoint_of(const std::string& path);

}  // namespace ballast::app
