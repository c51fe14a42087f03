#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ballast/core/check.h>

namespace ballast::inline BALLAST_PRECISION {

/// Gray images (count, rows, cols), one byte per pixel.
struct IdxImages {
  int64_t count = 0, rows = 0, cols = 0;
  std::vector<uint8_t> pixels;
};

/// Reads an IDX file of unsigned bytes, the format of MNIST: images of rank 3, labels of rank 1. A name that
/// ends in
/// `.gz` is inflated, up to the size its header implies and no further. Every size is checked before memory
/// is asked for. Throws FileError; its codes: MISSING, TRUNC (ends early), MAGIC (something else), DIM (a
/// size of 0), OVERFLOW (sizes no file can hold), TRAIL (bytes after the data), CRC (corrupt gzip data), BOMB
/// (inflates to more than the header implies).
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

/// The four files of MNIST, or of a data set laid out like it, in a folder: {train,t10k}-images-idx3-ubyte
/// and {train,t10k}-labels-idx1-ubyte, with `-` or `.` in front of idx, plain or with .gz. FileError MISSING
/// names those looked for; SHAPE when images of the test split differ in size.
MnistFiles read_mnist(const std::string& folder);

}  // namespace ballast::inline BALLAST_PRECISION
