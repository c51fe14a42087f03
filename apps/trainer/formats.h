#pragma once

#include <string>

#include <ballast/data/dataset.h>
#include <ballast/data/image.h>
#include <ballast/data/npy.h>

#include "options/choice.h"
#include "options/options.h"
#include "trainer/table.h"

namespace ballast::app {

/// Data as they are read from the disk. Parts that they don't have are of size 0.
struct OpenedData {
  Split split;
  TableSchema schema = {};     // of tables
  MissingValues missing = {};  // of tables
};

/// A kind of data that --data takes. `known` is the schema of the table that a model was trained on, or
/// null.
struct DataFormat {
  bool (*recognizes)(const std::string& path);
  OpenedData (*open)(const std::string& path, const DataOptions& options, const TableSchema* known);
};

OpenedData open_images(const std::string& path, const DataOptions& options, const TableSchema* known);
OpenedData open_table(const std::string& path, const DataOptions& options, const TableSchema* known);
OpenedData open_arrays(const std::string& path, const DataOptions& options, const TableSchema* known);

/// All of them, in the order in which they are asked whether they recognize a path.
const Choices<DataFormat>& data_formats();

/// What --data means: the path, and the format that stands before it ("csv:table.txt") or recognizes it.
struct DataSource {
  const Choice<DataFormat>* format;
  std::string path;  // "" for the built-in digits
};
/// Throws ValueError, which lists the formats, if none recognizes the path.
DataSource data_source(const std::string& data);

/// The path in the text of --data, and what stands before it ("csv:" or "").
struct DataText {
  std::string prefix, path;
};
DataText split_data_text(const std::string& data);

/// Images that can't be read, unless --skip-damaged leaves them out. The message names the first of them.
struct DamagedImages : ValueError {
  DamagedImages(const std::string& text, std::vector<std::string> all)
      : ValueError(text), errors(std::move(all)) {}
  std::vector<std::string> errors;  // a line for each
};

/// The pixels of an image, resized to `shape` and with its channels; bytes (C, H, W).
std::vector<uint8_t> fitted_pixels(const Image& image, const Shape& shape);

/// The samples of an array (N, F), (N, H, W), (N, C, H, W) or, with 1 to 4 channels last, (N, H, W, C); rows
/// (N, F) are of the shape `wanted` unless that is empty. Bytes are read as byte / 255. Throws ValueError.
Tensor array_samples(const NpyArray& array, const std::string& path, const Shape& wanted);

/// Of "28x28" or "3x32x32"; of rank 0 for "". Throws ValueError that names --shape.
Shape parse_shape(const std::string& text);
/// --shape for samples whose channels aren't known by themselves: without a number of them, one.
Shape sample_shape(const DataOptions& options);

}  // namespace ballast::app
