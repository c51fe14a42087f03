#include "trainer/formats.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

#include <ballast/core/parallel.h>
#include <ballast/data/cifar.h>
#include <ballast/data/idx.h>
#include <ballast/data/image.h>
#include <ballast/data/image_folder.h>
#include <ballast/data/npy.h>

#include "output.h"

namespace ballast::app {
namespace {

namespace fs = std::filesystem;

constexpr int64_t usual_side = 64;  // of images of mixed sizes

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

/// The name of a file without its folder, in lower case, and without .gz.
std::string plain_name(const std::string& path) {
  std::string name = lower(fs::path(path).filename().native());
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  return name;
}

/// Whether a folder holds something of which `matches` says so.
template <class Matches>
bool holds(const std::string& folder, Matches matches) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error))
    if (matches(entry)) return true;
  return false;
}

template <class Matches>
bool holds_name(const std::string& folder, Matches matches) {
  return holds(folder, [&](const fs::directory_entry& entry) { return matches(plain_name(entry.path())); });
}

// --- digits, MNIST, CIFAR

OpenedData open_digits(const std::string&, const DataOptions& options, const TableSchema*) {
  if (std::error_code error; fs::is_directory("digits", error))
    complain(
        "note: --data digits are the built-in digits; for the folder of that name here give --data "
        "./digits\n");
  // The validation part is drawn besides, so that the training part is the same without one.
  const auto more = static_cast<int64_t>(options.validation * static_cast<double>(options.train_size));
  Split split = digits(options.train_size + more, options.test_size);
  split.validation = subset(split.train, options.train_size, more);
  split.train = subset(split.train, 0, options.train_size);
  return {split};
}

/// EMNIST's images are stored column by column, and the classes of its letters begin with 1.
void mend_emnist(LabeledImages& part) {
  const auto rows = static_cast<size_t>(part.images.rows), cols = static_cast<size_t>(part.images.cols);
  const size_t size = rows * cols;
  std::vector<uint8_t> image(size);
  for (size_t begin = 0; begin + size <= part.images.pixels.size(); begin += size) {
    std::copy_n(part.images.pixels.data() + begin, size, image.data());
    for (size_t r = 0; r < rows; ++r)
      for (size_t c = 0; c < cols; ++c) part.images.pixels[begin + c * rows + r] = image[r * cols + c];
  }
  std::swap(part.images.rows, part.images.cols);
}

Split split_of(MnistFiles files, int least_classes) {
  int classes = least_classes;
  for (const LabeledImages* part : {&files.train, &files.test})
    for (const uint8_t label : part->labels) classes = std::max(classes, label + 1);
  const auto dataset = [classes](LabeledImages& part) {
    return from_bytes(std::move(part.images.pixels), std::move(part.labels),
                      {part.images.channels, part.images.rows, part.images.cols}, classes);
  };
  return {dataset(files.train), dataset(files.test)};
}

OpenedData open_mnist(const std::string& path, const DataOptions&, const TableSchema*) {
  if (!holds_name(path, [](const std::string& name) { return name.starts_with("emnist"); }))
    return {mnist(path)};
  MnistFiles files = read_mnist(path);
  mend_emnist(files.train);
  mend_emnist(files.test);
  if (std::ranges::find(files.train.labels, uint8_t{0}) == files.train.labels.end())
    for (LabeledImages* part : {&files.train, &files.test})
      for (uint8_t& label : part->labels) label = static_cast<uint8_t>(label - (label > 0));
  return {split_of(std::move(files), 2)};
}

OpenedData open_cifar(const std::string& path, const DataOptions&, const TableSchema*) {
  CifarFiles files = read_cifar(path);
  OpenedData opened{split_of({std::move(files.train), std::move(files.test)}, 10)};
  for (Dataset* part : {&opened.split.train, &opened.split.test}) part->class_names = files.classes;
  return opened;
}

// --- images

Dataset image_dataset(const std::vector<ImageFile>& files, const Shape& shape,
                      const std::vector<std::string>& classes) {
  if (files.empty()) return {};
  const auto size = static_cast<int64_t>(files.size()), count = shape.count();
  auto pixels = std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(size * count));
  parallel_for(size, 8, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n)
      std::ranges::copy(fitted_pixels(read_image(files[static_cast<size_t>(n)].path), shape),
                        pixels->begin() + n * count);
  });
  std::vector<int32_t> labels;
  for (const ImageFile& file : files) labels.push_back(file.label);
  Dataset dataset{shape, size, static_cast<int>(classes.size()),
                  [pixels, labels = std::move(labels), count](int64_t index, real* x) {
                    const uint8_t* pixel = pixels->data() + index * count;
                    for (int64_t n = 0; n < count; ++n) x[n] = static_cast<real>(pixel[n]) / 255;
                    return labels[static_cast<size_t>(index)];
                  }};
  dataset.class_names = classes;
  return dataset;
}

OpenedData open_images(const std::string& path, const DataOptions& options, const TableSchema*) {
  const ImageFolder folder = read_image_folder(path);
  std::vector<std::string> paths;
  for (const auto* part : {&folder.train, &folder.validation, &folder.test})
    for (const ImageFile& file : *part) paths.push_back(file.path);
  const Shape shape = shape_of_images(paths, parse_shape(options.shape));
  const auto dataset = [&](const std::vector<ImageFile>& files) {
    return image_dataset(files, shape, folder.classes);
  };
  return {{dataset(folder.train), dataset(folder.test), dataset(folder.validation)}};
}

/// --shape for samples whose channels aren't known by themselves: without a number of them, one.
Shape sample_shape(const DataOptions& options) {
  const Shape shape = parse_shape(options.shape);
  return shape.rank() == 2 ? shape.inserted(0, 1) : shape;
}

// --- tables

OpenedData open_table(const std::string& path, const DataOptions& options, const TableSchema* known) {
  const auto read = [&](const std::string& file) {
    CsvOptions csv;
    if (known)
      for (const TableColumn& column : known->inputs)
        if (!column.texts.empty()) csv.text.push_back(column.name);
    return read_csv(file, csv);
  };
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    const CsvTable table = read(path);
    OpenedData opened{
        .split = {},
        .schema = known ? *known : schema_of(table, {options.label, options.task, sample_shape(options)})};
    opened.split.train = table_dataset(table, opened.schema);
    return opened;
  }
  // A folder with a table for each part.
  OpenedData opened;
  const auto part = [&](const char* name) -> Dataset {
    for (const char* extension : {".csv", ".tsv", ".csv.gz", ".tsv.gz"}) {
      const std::string file = path + "/" + name + extension;
      if (!fs::exists(file)) continue;
      const CsvTable table = read(file);
      if (opened.schema.empty())
        opened.schema =
            known ? *known : schema_of(table, {options.label, options.task, sample_shape(options)});
      return table_dataset(table, opened.schema);
    }
    return {};
  };
  opened.split.train = part("train");
  opened.split.validation = part("validation");
  if (opened.split.validation.size == 0) opened.split.validation = part("val");
  opened.split.test = part("test");
  return opened;
}

// --- arrays of NumPy

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

// --- recognition

bool is_table(const std::string& name) {
  return name.ends_with(".csv") || name.ends_with(".tsv") || name.ends_with(".txt");
}

bool recognizes_mnist(const std::string& path) {
  return holds_name(path, [](const std::string& name) {
    return name.find("images-idx") != std::string::npos || name.find("images.idx") != std::string::npos;
  });
}

bool recognizes_cifar(const std::string& path) {
  return holds_name(path, [](const std::string& name) {
    return name == "test_batch.bin" || name == "test.bin" || name == "data_batch_1.bin";
  });
}

bool recognizes_table(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return is_table(plain_name(path));
  return holds_name(path, [](const std::string& name) { return name == "train.csv" || name == "train.tsv"; });
}

bool recognizes_arrays(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return plain_name(path).ends_with(".npz");
  return holds_name(path, [](const std::string& name) { return name.ends_with(".npy"); });
}

bool recognizes_images(const std::string& path) {
  return holds(path, [](const fs::directory_entry& entry) { return entry.is_directory(); });
}

}  // namespace

const Choices<DataFormat>& data_formats() {
  static const Choices<DataFormat> table = {
      {"digits",
       "the built-in digits, drawn by the program itself",
       {[](const std::string& path) { return path.empty(); }, open_digits},
       {"train-size", "test-size"}},
      {"mnist",
       "a folder with the four files of MNIST or its family, in IDX, plain or .gz",
       {recognizes_mnist, open_mnist}},
      {"cifar",
       "a folder with the files of CIFAR-10 or CIFAR-100, binary version",
       {recognizes_cifar, open_cifar}},
      {"csv",
       "a table, .csv or .tsv, or a folder with train.csv and test.csv",
       {recognizes_table, open_table},
       {"label", "task", "shape"}},
      {"npz",
       "arrays x_train, y_train, ... of NumPy, an .npz or a folder of .npy",
       {recognizes_arrays, open_arrays},
       {"task", "shape"}},
      {"images",
       "a folder of PNG and JPEG files in a sub-folder for each class",
       {recognizes_images, open_images},
       {"shape"}},
  };
  return table;
}

DataText split_data_text(const std::string& data) {
  for (const Choice<DataFormat>& format : data_formats()) {
    const std::string prefix = format.name + ":";
    if (format.name != "digits" && data.starts_with(prefix)) return {prefix, data.substr(prefix.size())};
  }
  return {"", data};
}

DataSource data_source(const std::string& data) {
  if (data == "digits") return {&data_formats()[0], ""};
  const auto [prefix, path] = split_data_text(data);
  std::error_code error;
  if (!fs::exists(path, error)) throw FileError(path, "MISSING", "there is no such file or folder");
  for (const Choice<DataFormat>& format : data_formats()) {
    const bool wanted = prefix.empty() ? format.make.recognizes(path) : prefix == format.name + ":";
    if (wanted) return {&format, path};
  }
  throw ValueError(fmt::format(
      "--data {0}: nothing there looks like data of a known format ({1}); if it is of one of them, say which, as "
      "in csv:{0}; see ballast data --help",
      data, fmt::join(names_of(data_formats()), ", ")));
}

Shape shape_of_images(const std::vector<std::string>& paths, const Shape& wanted) {
  if (wanted.rank() == 3) return wanted;
  std::vector<Shape> shapes(paths.size());
  parallel_for(static_cast<int64_t>(paths.size()), 8, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const Image image = read_image(paths[static_cast<size_t>(n)]);
      shapes[static_cast<size_t>(n)] = {image.channels, image.rows, image.cols};
    }
  });
  bool same_size = true;
  int64_t channels = 1;
  for (const Shape& one : shapes) {
    same_size &= one[1] == shapes[0][1] && one[2] == shapes[0][2];
    channels = std::max(channels, one[0]);
  }
  if (wanted.rank() == 2) return wanted.inserted(0, channels);
  if (same_size && !shapes.empty()) return {channels, shapes[0][1], shapes[0][2]};
  complain(
      "note: the images have several sizes; they are resized to {0} x {0} pixels (--shape changes that)\n",
      usual_side);
  return {channels, usual_side, usual_side};
}

Tensor array_samples(const NpyArray& array, const std::string& path, const Shape& wanted) {
  Shape shape(array.shape.data(), static_cast<int64_t>(array.shape.size()));
  check<ValueError>(shape.rank() >= 2 && shape.rank() <= 4 && shape.count() > 0,
                    "{}: the samples are {}; they must be (N, F), (N, H, W), (N, C, H, W) or (N, H, W, C)",
                    path, shape);
  std::vector<real> values = array.as_real();
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

std::vector<uint8_t> fitted_pixels(const Image& image, const Shape& shape) {
  const bool same_size = image.rows == shape[1] && image.cols == shape[2];
  Image fitted = image.channels == shape[0] ? image : to_channels(image, shape[0]);
  if (!same_size) fitted = resized(fitted, shape[1], shape[2]);
  return std::move(fitted.pixels);
}

Shape parse_shape(const std::string& text) {
  if (text.empty()) return {};
  std::vector<int64_t> sizes;
  const char *at = text.data(), *end = at + text.size();
  for (;;) {
    const std::from_chars_result read = std::from_chars(at, end, sizes.emplace_back());
    const bool good = read.ec == std::errc{} && sizes.back() >= 1 && sizes.back() <= 16384;
    if (good && read.ptr != end && *read.ptr == 'x') {
      at = read.ptr + 1;
      continue;
    }
    check<ValueError>(
        good && read.ptr == end && (sizes.size() == 2 || sizes.size() == 3),
        "--shape \"{}\": give rows and columns, as in 28x28, or channels before them, as in 3x32x32", text);
    break;
  }
  return Shape(sizes.data(), static_cast<int64_t>(sizes.size()));
}

}  // namespace ballast::app
