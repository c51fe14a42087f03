#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ballast/core/shape.h>
#include <ballast/core/tensor.h>

namespace ballast::inline BALLAST_PRECISION {

/// Samples of one shape, each with a class label 0 ... classes-1. `read` fills x with sample `index` and
/// returns its label; it is called from several threads at once. For data of your own that fit none of the
/// functions below, fill in the four members.
struct Dataset {
  Shape sample_shape;
  int64_t size = 0;
  int classes = 0;
  std::function<int32_t(int64_t index, real* x)> read;
};

/// Training and test samples of one task.
struct Split {
  Dataset train, test;
};

/// The samples x[0], x[1], ... of x (N, ...) with labels y (N). Shares the memory of both; classes is the
/// largest label plus one. Throws ShapeError when the numbers differ, ValueError for a negative label or
/// without samples.
Dataset from_tensors(Tensor x, Labels y);

/// Bytes of count x sample_shape, each read as byte / 255. Throws ShapeError when the numbers differ,
/// ValueError for a label >= classes.
Dataset from_bytes(std::vector<uint8_t> pixels, std::vector<uint8_t> labels, const Shape& sample_shape,
                   int classes);

/// Samples first, ..., first+count-1. Throws ValueError when the data set has fewer.
Dataset subset(Dataset dataset, int64_t first, int64_t count);

/// The built-in digits (1, 28, 28), 10 classes, drawn here and now; see `draw_digit`. Sample n is the same
/// for every count.
Split digits(int64_t train_count, int64_t test_count, uint64_t seed = 0);

/// MNIST, or a data set laid out like it, from its four files in a folder (see `read_mnist`): samples
/// (channels, rows, cols), of at least 10 classes.
Split mnist(const std::string& folder);

/// One mean and one standard deviation for all pixels, as is usual for MNIST (0.1307, 0.3081).
struct Standardization {
  double mean = 0, std = 1;
};

/// Over all values of all samples; the biased deviation. The same bits on any number of threads.
Standardization measure(const Dataset& dataset);

/// Reads (x - mean) / std. Throws ValueError unless std > 0.
Dataset standardized(Dataset dataset, Standardization standardization);

}  // namespace ballast::inline BALLAST_PRECISION
