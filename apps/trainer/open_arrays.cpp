#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "output.h"
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

using Found = const Arrays::value_type*;  // name and array, or null

/// The first of these arrays that there is.
Found find_array(const Arrays& arrays, const std::vector<std::string>& names) {
  for (const std::string& name : names)
    if (const auto found = arrays.find(name); found != arrays.end()) return &*found;
  return nullptr;
}

/// Throws ValueError, which names the entry, for what is not finite.
void check_finite(const std::vector<real>& values, int64_t per_entry, const std::string& name) {
  const auto bad = std::ranges::find_if(values, [](real value) { return !std::isfinite(value); });
  check<ValueError>(bad == values.end(), "{}: entry {} has a value of {}", name,
                    bad == values.end() ? 0 : (bad - values.begin()) / per_entry,
                    bad == values.end() ? real(0) : *bad);
}

/// The column of the 1 in each row of zeros (N, K), K > 1; nothing if a row is something else.
std::vector<int32_t> one_hot_classes(const NpyArray& y) {
  if (y.shape.size() != 2 || y.shape[1] < 2) return {};
  const std::vector<real> values = y.as_real();
  const auto width = static_cast<size_t>(y.shape[1]);
  std::vector<int32_t> classes;
  for (size_t row = 0; row < values.size(); row += width) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row),
               end = begin + static_cast<std::ptrdiff_t>(width);
    const auto one = std::find(begin, end, real(1));
    if (one == end || std::count(begin, end, real(0)) != y.shape[1] - 1) return {};
    //~ if (one == end) return {};
    classes.push_back(static_cast<int32_t>(one - begin));
  }
  return classes;
}

/// Samples and their targets. With `one_hot`, these are classes as rows with a single 1.
Dataset array_dataset(const Tensor& x, const NpyArray& y, const std::string& name, const std::string& task,
                      bool one_hot) {
  Shape shape(y.shape.data(), static_cast<int64_t>(y.shape.size()));
  check<ValueError>(shape.rank() >= 1 && shape[0] == x.size(0), "{}: targets {} of {} samples", name, shape,
                    x.size(0));
  const int64_t width = shape.count() / shape[0];
  if (y.dtype[0] == 'f') check_finite(y.as_real(), width, name);
  Labels labels(one_hot ? shape[0] : shape.count());
  if (one_hot) {
    const std::vector<int32_t> classes = one_hot_classes(y);
    check<ValueError>(!classes.empty(), "{}: not every row has a single 1, as those of the training part",
                      name);
    std::ranges::copy(classes, labels.data());
    Dataset dataset = from_tensors(x, labels);
    dataset.classes = static_cast<int>(width);
    return dataset;
  }
  const bool whole = y.dtype[0] != 'f';
  if (task == "regression" || (task == "auto" && !whole)) {
    Tensor values({shape[0], width});
    std::ranges::copy(y.as_real(), values.data());
    return from_tensors(x, values);
  }
  const std::vector<int64_t> numbers = y.as_int();
  std::transform(numbers.begin(), numbers.end(), labels.data(), [&](int64_t label) {
    check<ValueError>((label >= 0 && label < 1'000'000) || (label == ignored_label && width > 1),
                      "{}: a label of {}; they are 0, 1, ..., or {} for a position that is ignored", name,
                      label, ignored_label);
    return static_cast<int32_t>(label);
  });
  if (width == 1) return from_tensors(x, labels);
  return from_tensors(x, labels, shape.without(0));
}

/// Whether images (N, ?, ?, ?) are (N, H, W, C) rather than (N, C, H, W): up to four channels, or square
/// images of fewer channels than rows.
bool channels_last(const Shape& shape) {
  return (shape[3] <= 4 && shape[1] > 4) || (shape[1] == shape[2] && shape[3] < shape[1]);
  //~ return shape[3] <= 4 && shape[1] > 4;
}

}  // namespace

Tensor array_samples(const NpyArray& array, const std::string& path, const Shape& wanted) {
  Shape shape(array.shape.data(), static_cast<int64_t>(array.shape.size()));
  check<ValueError>(shape.rank() >= 2 && shape.rank() <= 4 && shape.count() > 0,
                    "{}: the samples are {}; they must be (N, F), (N, H, W), (N, C, H, W) or (N, H, W, C)",
                    path, shape);
  std::vector<real> values = array.as_real();
  check_finite(values, shape.count() / shape[0], path);
  if (array.dtype == "u1")
    for (real& value : values) value /= 255;
  if (shape.rank() == 3) shape = shape.inserted(1, 1);
  if (wanted.rank() > 0 && shape.rank() == 2) {
    check<ValueError>(wanted.count() == shape[1], "--shape {}: that is {} values, and a sample has {}",
                      wanted, wanted.count(), shape[1]);
    shape = wanted.inserted(0, shape[0]);
  }
  if (shape.rank() == 4 && channels_last(shape)) {
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
  const std::vector<std::string> train_targets = {"y_train", "train_labels", "Y_train", "y", "Y", "labels"};
  const Found y_train = find_array(arrays, train_targets);
  const bool one_hot = y_train && options.task != "regression" && !one_hot_classes(y_train->second).empty();
  if (one_hot && options.task == "auto")
    complain(
        "note: {}: each row of {} has a single 1 and is read as one of {} classes; --task regression reads "
        "numbers\n",
        path, y_train->first, y_train->second.shape[1]);
  const auto part = [&](const std::vector<std::string>& xs, const std::vector<std::string>& ys) -> Dataset {
    const Found x = find_array(arrays, xs), y = find_array(arrays, ys);
    if (!x && !y) return {};
    check<ValueError>(x && y, "{}: there is {} without {}", path, x ? x->first : y->first, x ? ys[0] : xs[0]);
    return array_dataset(array_samples(x->second, path + ": " + x->first, sample_shape(options)), y->second,
                         path + ": " + y->first, options.task, one_hot);
  };
  OpenedData opened;
  Split& split = opened.split;
  split.train = part({"x_train", "train_images", "X_train", "x", "X", "images"}, train_targets);
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
