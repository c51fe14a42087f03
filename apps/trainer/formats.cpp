#include "trainer/formats.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>

#include <ballast/data/cifar.h>
#include <ballast/data/idx.h>

#include "output.h"
#include "trainer/text.h"

namespace ballast::app {
namespace {

namespace fs = std::filesystem;

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
    //~ for (size_t c = 0; c < cols; ++c) part.images.pixels[begin + r * cols + c] = image[r * cols + c];
  }
  std::swap(part.images.rows, part.images.cols);
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
  return {from_files(std::move(files), 2)};
}

OpenedData open_cifar(const std::string& path, const DataOptions&, const TableSchema*) {
  CifarFiles files = read_cifar(path);
  OpenedData opened{from_files({std::move(files.train), std::move(files.test)}, 10)};
  for (Dataset* part : {&opened.split.train, &opened.split.test}) part->class_names = files.classes;
  return opened;
}

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

bool is_image(const fs::directory_entry& entry) {
  const std::string ending = lower(entry.path().extension());
  return ending == ".png" || ending == ".jpg" || ending == ".jpeg";
}

bool recognizes_images(const std::string& path) {
  return holds(path,
               [](const fs::directory_entry& entry) { return entry.is_directory() || is_image(entry); });
}

/// Visible folders and files, in alphabetical order.
std::vector<fs::directory_entry> entries_of(const std::string& folder) {
  std::vector<fs::directory_entry> found;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error))
    if (!entry.path().filename().native().starts_with('.')) found.push_back(entry);
  std::ranges::sort(found);
  return found;
}

/// Whether there are images in two sub-folders, which are classes then, or the same in a sub-folder train.
bool holds_classes(const std::string& folder) {
  int64_t classes = 0;
  for (const fs::directory_entry& entry : entries_of(folder))
    classes += entry.is_directory() && holds(entry.path(), is_image);
  std::error_code error;
  return classes >= 2 || (fs::is_directory(folder + "/train", error) && holds_classes(folder + "/train"));
}

/// The format that recognizes the path, or null.
const Choice<DataFormat>* format_of(const std::string& path) {
  for (const Choice<DataFormat>& format : data_formats())
    if (format.make.recognizes(path)) return &format;
  return nullptr;
}

/// What there is to be given instead of a folder that holds no data itself: those in its files and folders,
/// and in theirs.
std::vector<std::string> data_below(const std::string& folder, int depth = 2) {
  std::vector<std::string> found;
  std::error_code error;
  if (fs::exists(folder + "/metrics.jsonl", error)) return found;  // a run
  for (const fs::directory_entry& entry : entries_of(folder)) {
    const std::string path = entry.path();
    if (path.ends_with(".txt")) continue;  // rarely a table
    const Choice<DataFormat>* format = format_of(path);
    if (format && (format->make.open != open_images || holds_classes(path)))
      found.push_back(path);
    else if (entry.is_directory() && !entry.is_symlink() && depth > 1)
      std::ranges::copy(data_below(path, depth - 1), std::back_inserter(found));
  }
  return found;
}

/// "a" of "a/b" and of "a/b/", "." of "b".
std::string parent_of(const std::string& folder) {
  fs::path path = fs::path(folder).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // of the slash at the end
  return path.has_parent_path() ? path.parent_path().native() : ".";
}

/// Throws ValueError, which names them, if a folder holds data of which it is surely not the folder itself.
void check_level(const std::string& folder, const Choice<DataFormat>* format) {
  const bool images = format && format->make.open == open_images;
  std::error_code error;
  if (!fs::is_directory(folder, error) || (format && !images) || (images && holds_classes(folder))) return;
  const std::string parent = parent_of(folder);
  check<ValueError>(!images || !holds(folder, is_image) || !holds_classes(parent),
                    "--data {}: this looks like the folder of one class; did you mean --data {}?", folder,
                    shell_word(parent));
  const std::vector<std::string> below = data_below(folder);
  // Images may lie deeper in the folders of classes: several of them are what was given.
  const auto other =
      std::ranges::count_if(below, [](const std::string& path) { return !holds_classes(path); });
  if (below.empty() || (below.size() > 1 && images && other == 0)) return;
  constexpr std::ptrdiff_t shown = 5;
  check<ValueError>(below.size() > 1,
                    "--data {}: it holds no data itself, but {} does; did you mean --data {}?", folder,
                    below[0], shell_word(below[0]));
  throw ValueError(
      fmt::format("--data {}: it holds no data itself, but several data sets; give one of them: {}{}", folder,
                  fmt::join(below.begin(), below.begin() + std::min(shown, std::ssize(below)), ", "),
                  std::ssize(below) > shown ? ", ..." : ""));
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
       {"label", "ignore", "header", "missing", "task", "shape"}},
      {"npz",
       "arrays x_train, y_train, ... of NumPy, an .npz or a folder of .npy",
       {recognizes_arrays, open_arrays},
       {"task", "shape"}},
      {"images",
       "a folder of PNG and JPEG files in a sub-folder for each class",
       {recognizes_images, open_images},
       {"shape", "skip-damaged"}},
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
  const auto named = std::ranges::find(data_formats(), prefix.substr(0, prefix.size() - !prefix.empty()),
                                       &Choice<DataFormat>::name);
  const Choice<DataFormat>* format = prefix.empty() ? format_of(path) : &*named;
  check_level(path, format);
  if (format) return {format, path};
  check<ValueError>(!fs::is_directory(path, error) || !fs::is_empty(path, error),
                    "--data {}: the folder is empty", data);
  const std::string extension = lower(fs::path(path).extension().native());
  check<ValueError>(extension != ".npy",
                    "--data {}: a single array; give the folder that has x_train.npy and y_train.npy, or an "
                    ".npz with both",
                    data);
  check<ValueError>(
      extension != ".xlsx" && extension != ".xls" && extension != ".ods" && extension != ".parquet",
      "--data {}: a table of a format that isn't read; save it as CSV", data);
  throw ValueError(
      fmt::format("--data {0}: nothing there looks like data of a known format ({1}); if it is of one of "
                  "them, say which, as "
                  "in csv:{0}; see ballast data --help",
                  data, fmt::join(names_of(data_formats()), ", ")));
}

Shape sample_shape(const DataOptions& options) {
  const Shape shape = parse_shape(options.shape);
  return shape.rank() == 2 ? shape.inserted(0, 1) : shape;
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
