#pragma once

#include <optional>
#include <string>

#include <ballast/layers/sequential.h>

#include "trainer/checkpoint_info.h"

namespace ballast::app {

/// A network from a checkpoint, and what is known of it: what the file says, but options that were given win.
struct Trained {
  std::string path;  // of the checkpoint
  bool described;    // the file says what it is: `ballast` wrote it
  bool own_data;     // as the file says, rather than given
  CheckpointInfo info;
  Sequential model;
  std::optional<DataOptions> saved_data;  // those that the file names
};

/// Throws FileError for a file that is no checkpoint of the model, ValueError for options that make no sense.
Trained load_trained(const std::string& path, const TrainedOptions& options, const Given& given);

/// Throws FileError if the checkpoint `path` is the state of a run, which holds more than a model.
void check_not_state(const std::string& path);

/// All images, or those of the test alone; then --train-size has no effect, which is an error if it was
/// given.
enum class Needs { test, all };

/// The images that the network is meant for, standardized as those it was trained on (which are measured, and
/// noted in `trained.info`, if the file doesn't tell). Says so if they have changed since. Throws ValueError
/// unless the model can take them.
Split data_for(Trained& trained, Needs needs, const Given& given);

/// The file to write: `out`, or if that is "", <checkpoint>-<what><extension> beside the checkpoint. Throws
/// ValueError if it exists: nothing that was saved is overwritten.
std::string new_file(const std::string& out, const std::string& checkpoint, const std::string& what,
                     const std::string& extension = ".safetensors");

}  // namespace ballast::app
