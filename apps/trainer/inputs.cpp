#include "trainer/inputs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <map>

#include <ballast/data/idx.h>
#include <ballast/data/image.h>
#include <ballast/data/image_folder.h>
#include <ballast/data/npy.h>

#include "trainer/formats.h"
#include "trainer/table_file.h"
#include "trainer/text.h"

namespace ballast::app {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> numbered(const std::string& path, int64_t count) {
  std::vector<std::string> names;
  for (int64_t n = 0; n < count; ++n) names.push_back(fmt::format("{}:{}", path, n));
  return names;
}

Inputs from_image(const std::string& name, const Image& image, const Shape& shape) {
  check<ValueError>(shape.rank() == 3,
                    "{}: an image; the model takes samples of {} numbers, as in the tables that "
                    "it was trained on",
                    name, shape.count());
  const std::vector<uint8_t> pixels = fitted_pixels(image, shape);
  Inputs inputs{{name}, Tensor(shape.inserted(0, 1))};
  std::ranges::transform(pixels, inputs.x.data(), [](uint8_t byte) { return static_cast<real>(byte) / 255; });
  return inputs;
}

/// What an error says after the path that it begins with.
std::string without_path(const std::string& message, const std::string& path) {
  return message.starts_with(path + ": ") ? message.substr(path.size() + 2) : message;
}

Inputs from_table(const std::string& name, const std::string& path, const CheckpointInfo& info) {
  check<ValueError>(!info.schema.empty(), "{}: a table; the model was trained on images", name);
  std::vector<RowError> errors;
  const CsvTable table = read_table_inputs(path, info.schema, errors);
  Inputs inputs;
  for (const RowError& error : errors)
    inputs.errors.push_back(fmt::format("{}:{}: {}", name, error.line, without_path(error.message, path)));
  if (table.rows == 0) return inputs;
  for (const int64_t line : table.lines) inputs.names.push_back(fmt::format("{}:{}", name, line));
  inputs.lines = table.lines;
  inputs.x = Tensor(info.schema.shape.inserted(0, table.rows));
  std::ranges::copy(inputs_of(table, info.schema), inputs.x.data());
  return inputs;
}

Inputs from_idx(const std::string& path, const Shape& shape) {
  const IdxImages images = read_idx_images(path);
  const Shape found = {images.channels, images.rows, images.cols};
  check<ValueError>(found == shape, "{}: images {}; the model takes {}", path, found, shape);
  Inputs inputs{numbered(path, images.count), Tensor(shape.inserted(0, images.count))};
  std::ranges::transform(images.pixels, inputs.x.data(),
                         [](uint8_t byte) { return static_cast<real>(byte) / 255; });
  return inputs;
}

/// Whether an array is one sample: of the model's shape, of grey pixels (H, W), or with channels last.
bool is_one_sample(const NpyArray& array, const Shape& shape) {
  const Shape found(array.shape.data(), static_cast<int64_t>(array.shape.size()));
  if (found == shape) return true;
  if (shape.rank() != 3) return false;
  return found == Shape{shape[1], shape[2], shape[0]} || (shape[0] == 1 && found == shape.without(0));
}

Inputs from_array(NpyArray array, const std::string& path, const Shape& shape) {
  const bool one = is_one_sample(array, shape);
  if (one) array.shape.insert(array.shape.begin(), 1);
  Tensor x = array_samples(array, path, shape);
  check<ValueError>(x.shape().without(0) == shape, "{}: samples {}; the model takes {}", path,
                    x.shape().without(0), shape);
  return {one ? std::vector{path} : numbered(path, x.size(0)), x};
}

/// The only array of an archive, or the one that is called as samples are.
Inputs from_archive(const std::string& path, const Shape& shape) {
  std::map<std::string, NpyArray> arrays = read_npz(path);
  if (arrays.size() == 1) return from_array(std::move(arrays.begin()->second), path, shape);
  std::vector<std::string> names;
  names.reserve(arrays.size());
  for (const auto& [name, array] : arrays) names.push_back(name);
  for (const char* usual : {"x", "X", "images", "x_test", "X_test", "test_images"})
    if (const auto found = arrays.find(usual); found != arrays.end())
      return from_array(std::move(found->second), path, shape);
  throw ValueError(fmt::format("{}: none of its arrays is called x, images, x_test or test_images; it has {}",
                               path, fmt::join(names, ", ")));
}

/// A file without a name, which goes with the object.
class TempFile {
 public:
  explicit TempFile(const std::string& bytes) : file_(std::tmpfile()) {
    const bool written = file_ && std::fwrite(bytes.data(), 1, bytes.size(), file_) == bytes.size();
    if (!written || std::fflush(file_) != 0)
      throw FileError("a temporary file", "WRITE", std::strerror(errno));
  }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  ~TempFile() { std::fclose(file_); }
  std::string path() const { return fmt::format("/proc/self/fd/{}", fileno(file_)); }

 private:
  std::FILE* file_;
};

Inputs from_standard_input(const CheckpointInfo& info) {
  const std::string name = "standard input";
  const std::string bytes{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  if (!info.schema.empty()) {
    const TempFile copy(bytes);
    try {
      return from_table(name, copy.path(), info);
    } catch (const Error& error) {
      throw ValueError(fmt::format("{}: {}", name, without_path(error.message, copy.path())));
    }
  }
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  return from_image(name, decode_image({data, bytes.size()}, name), info.sample_shape);
}

}  // namespace

std::vector<std::string> files_below(const std::string& path) {
  if (path == "-") return {path};
  std::error_code error;
  if (!fs::exists(path, error)) throw FileError(path, "MISSING", "there is no such file or folder");
  if (!fs::is_directory(path, error)) return {path};
  std::vector<std::string> files;
  for (fs::recursive_directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    if (at->path().filename().native().front() == '.')
      at.disable_recursion_pending();  // hidden, as in training
    else if (is_image_name(at->path().native()))
      files.push_back(at->path());
  }
  if (error) throw FileError(path, "READ", error.message());
  if (files.empty()) throw FileError(path, "EMPTY", "there are no PNG or JPEG files in this folder");
  std::ranges::sort(files);
  return files;
}

Inputs read_inputs(const std::string& path, const CheckpointInfo& info) {
  if (path == "-") return from_standard_input(info);
  const std::string name = fs::path(path).filename().native();
  const auto ends = [&](const char* extension) {
    return name.ends_with(extension) || name.ends_with(std::string(extension) + ".gz");
  };
  if (ends(".npy")) return from_array(read_npy(path), path, info.sample_shape);
  if (name.ends_with(".npz")) return from_archive(path, info.sample_shape);
  if (ends(".csv") || ends(".tsv") || ends(".txt")) return from_table(path, path, info);
  if (name.find("idx") != std::string::npos && !is_image_name(path)) return from_idx(path, info.sample_shape);
  return from_image(path, read_image(path), info.sample_shape);
}

}  // namespace ballast::app
