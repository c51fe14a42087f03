#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "trainer/formats.h"

namespace ballast::app {
namespace {

namespace fs = std::filesystem;

using Arrays = std::map<std::string, NpyArray>;

Arrays read_arrays(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return read_npz(path);
  Arrays arrays;
  for (const fs::directory_entry& entry : fs::directory_iterator(path))
    if (entry.path().extension() == ".npy") arrays[entry.path().stem()] = read_npy(entry.path());
  return arrays;
}

/// The first of these arrays that there is; null if there is none.
const NpyArray* find_array(const Arrays& arrays, const std::vector<std::string>& names) {
  for (const std::string& name : names)
    if (const auto found = arrays.find(name); found != arrays.end()) return &found->second;
  return nullptr;
}

Dataset array_dataset(const Tensor& x, const NpyArray& y, const std::string& path,
                      const DataOptions& options) {
  Shape shape(y.shape.data(), static_cast<int64_t>(y.shape.size()));
  check<ValueError>(shape.rank() >= 1 && shape[0] == x.size(0), "{}: {} samples and targets {}", path,
                    x.size(0), shape);
  const bool whole = y.dtype[0] != 'f';
  if (options.task == "regression" || (options.task == "auto" && !whole)) {
    Tensor values({shape[0], shape.count() / shape[0]});
    std::ranges::copy(y.as_real(), values.data());
    return from_tensors(x, values);
  }
  Labels labels(shape.count());
  const std::vector<int64_t> numbers = y.as_int();
  std::transform(numbers.begin(), numbers.end(), labels.data(), [&](int64_t label) {
    check<ValueError>(label >= 0 && label < 1'000'000, "{}: a label of {}; they are 0, 1, ...", path, label);
    return static_cast<int32_t>(label);
  });
  if (shape.count() == shape[0]) return from_tensors(x, labels);
  return from_tensors(x, labels, shape.without(0));
}

}  // namespace

Tensor array_samples(const NpyArray& array, const std::string& path, const Shape& wanted) {
  Shape shape(array.shape.data(), static_cast<int64_t>(array.shape.size()));
  check<ValueError>(shape.rank() >= 2 && shape.rank() <= 4 && shape.count() > 0,
                    "{}: the samples are {}; they must be (N, F), (N, H, W), (N, C, H, W) or (N, H, W, C)",
                    path, shape);
  std::vector<real> values = array.as_real();
  const auto bad = std::ranges::find_if(values, [](real value) { return !std::isfinite(value); });
  check<ValueError>(bad == values.end(), "{}: sample {} has a value of {}", path,
                    bad == values.end() ? 0 : (bad - values.begin()) / (shape.count() / shape[0]),
                    bad == values.end() ? real(0) : *bad);
  if (array.dtype == "u1")
    for (real& value : values) value /= 255;
  if (shape.rank() == 3) shape = shape.inserted(1, 1);
  if (wanted.rank() > 0 && shape.rank() == 2) {
    check<ValueError>(wanted.count() == shape[1], "--shape {}: that is {} values, and a sample has {}",
                      wanted, wanted.count(), shape[1]);
    shape = wanted.inserted(0, shape[0]);
  }
  if (shape.rank() == 4 && shape[3] <= 4 && shape[1] > 4) {  // channels last
    const int64_t rows = shape[1], cols = shape[2], channels = shape[3];
    Tensor x({shape[0], channels, rows, cols});
    for (int64_t n = 0; n < shape[0]; ++n)
      for (int64_t i = 0; i < rows * cols; ++i)
        for (int64_t c = 0; c < channels; ++c)
          x.data()[(n * channels + c) * rows * cols + i] =
              values[static_cast<size_t>((n * rows * cols + i) * channels + c)];
    return x;
  }
  Tensor x(shape);
  std::ranges::copy(values, x.data());
  return x;
}

OpenedData open_arrays(const std::string& path, const DataOptions& options, const TableSchema*) {
  const Arrays arrays = read_arrays(path);
  const auto part = [&](const std::vector<std::string>& xs, const std::vector<std::string>& ys) -> Dataset {
    const NpyArray *x = find_array(arrays, xs), *y = find_array(arrays, ys);
    if (!x && !y) return {};
    check<ValueError>(x && y, "{}: there is {} without {}", path, x ? xs[0] : ys[0], x ? ys[0] : xs[0]);
    return array_dataset(array_samples(*x, path, sample_shape(options)), *y, path, options);
  };
  OpenedData opened;
  Split& split = opened.split;
  split.train = part({"x_train", "train_images", "X_train", "x", "X", "images"},
                     {"y_train", "train_labels", "Y_train", "y", "Y", "labels"});
  split.validation = part({"x_val", "val_images", "X_val"}, {"y_val", "val_labels", "Y_val"});
  split.test = part({"x_test", "test_images", "X_test"}, {"y_test", "test_labels", "Y_test"});
  std::vector<std::string> names;
  for (const auto& [name, array] : arrays) names.push_back(name);
  check<ValueError>(split.train.size > 0,
                    "{}: there are no arrays x_train and y_train, x and y, or train_images and train_labels; "
                    "there is {}",
                    path, names.empty() ? "nothing" : fmt::format("{}", fmt::join(names, ", ")));
  int classes = 0;
  for (const Dataset* data : {&split.train, &split.validation, &split.test})
    classes = std::max(classes, data->classes);
  for (Dataset* data : {&split.train, &split.validation, &split.test})
    if (data->size > 0) data->classes = classes;
  return opened;
}

}  // namespace ballast::app
