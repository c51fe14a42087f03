#pragma once

#include <string>
#include <vector>

#include "trainer/checkpoint_info.h"

namespace ballast::app {

/// Samples from one file, as they are before standardization.
struct Inputs {
  std::vector<std::string> names;        // the file, or file:number where it holds several: its line, in a
                                         // table, or its place from 0
  Tensor x;                              // (N, sample shape ...)
  std::vector<std::string> errors = {};  // of the rows of a table that can't be read
  std::vector<int64_t> lines = {};       // of a table, for each sample
};

/// The files that a path stands for: itself or, of a folder, all below it that are named like images and
/// aren't hidden, by name.
/// Throws FileError MISSING, and EMPTY for a folder without images.
std::vector<std::string> files_below(const std::string& path);

/// Reads a file for a model that was trained as `info` says: an image (PNG, JPEG), which is resized; a table,
/// whose columns are found by name or, without a header, by
/// place, and whose rows are named by their lines; images in IDX; an array (.npy) of samples or of one, or
/// such an array in an archive (.npz). "-" is standard input: an
/// image or a table, whatever the model takes. Throws FileError and ValueError.
Inputs read_inputs(const std::string& path, const CheckpointInfo& info);

}  // namespace ballast::app
