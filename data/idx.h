#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ballast/core/check.h>

namespace ballast::inline BALLAST_PRECISION {

/// Images (count, channels, rows, cols), one byte per pixel and channel.
struct IdxImages {
  int64_t count = 0, channels = 1, rows = 0, cols = 0;
  std::vector<uint8_t> pixels;
};

/// Reads IDX, the format of MNIST. A file may be packed with gzip, whatever its name; it is inflated up to
/// the size its header implies and no further, and every size is checked before memory is asked for.
///
/// Images are unsigned bytes of 3 axes (count, rows, cols), or of 4 with 1 to 4 channels before the rows
/// or after the columns; where both could be channels, those before the rows are.
/// Labels are unsigned bytes (count) or (count, 1), or int32 with any number of columns, of which the first
/// is the class, as in QMNIST.
///
/// Throws FileError; its codes: MISSING, READ, TRUNC (ends early), MAGIC (something else), DIM (a size of 0),
/// OVERFLOW (sizes no file can hold), SHAPE (axes that are none of the above), LABEL (beyond 0 to 255), TRAIL
/// (bytes after the data), CRC (corrupt gzip data), BOMB (inflates to more than the header implies).
IdxImages read_idx_images(const std::string& path);
std::vector<uint8_t> read_idx_labels(const std::string& path);

struct LabeledImages {
  IdxImages images;
  std::vector<uint8_t> labels;
};

/// Images and their labels; FileError COUNT (of the label file) when their numbers differ.
LabeledImages read_idx_pair(const std::string& images, const std::string& labels);

struct MnistFiles {
  LabeledImages train, test;
};

/// The four files of MNIST, or of a data set laid out like it, in a folder: one whose name ends in
/// train-images-idx3-ubyte, one in train-labels-idx1-ubyte, and two with t10k or test for train. There
/// may be a prefix, as in emnist-digits-train-images-idx3-ubyte; `.idx` may stand for `-idx`, idx4 for
/// idx3, idx2 for idx1, `int` for `ubyte` of labels, and .gz may follow. Throws FileError MISSING naming
/// those looked for, NAME listing several files for one part, SHAPE when images of the test split differ in
/// size.
MnistFiles read_mnist(const std::string& folder);

}  // namespace ballast::inline BALLAST_PRECISION
