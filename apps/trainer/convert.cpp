#include "trainer/convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <vector>

#include <ballast/core/check.h>
#include <ballast/data/atomic_file.h>
#include <ballast/data/image.h>
#include <ballast/data/npy.h>

#include "options/choice.h"

namespace ballast::app {
namespace {

namespace fs = std::filesystem;

struct Pixels {
  std::vector<uint8_t> bytes;  // (N, C, H, W)
  std::vector<int32_t> labels;
};

Pixels pixels_of(const Dataset& data) {
  Pixels all;
  for (int64_t n = 0; n < data.size; ++n) {
    const Sample sample = data.sample(n);
    for (const real x : sample.x) {
      check<ValueError>(x >= 0 && x <= 1, "a value of {} is no pixel: they are 0 to 1, or bytes", x);
      all.bytes.push_back(static_cast<uint8_t>(std::lround(255 * x)));
    }
    all.labels.push_back(sample.label());
  }
  return all;
}

std::string class_folder(const Dataset& data, int32_t label) {
  const auto n = static_cast<size_t>(label);
  if (n >= data.class_names.size()) return fmt::format("{:0{}}", label, data.classes > 100 ? 6 : 2);
  const std::string& name = data.class_names[n];
  check<ValueError>(!name.empty() && name[0] != '.' && name.find('/') == std::string::npos,
                    "a class is called \"{}\", which can't be the name of a folder", name);
  return name;
}

void write_images(const Dataset& data, const std::string& part, const std::string& out) {
  const Pixels pixels = pixels_of(data);
  const auto size = static_cast<size_t>(data.sample_shape.count());
  for (size_t n = 0; n < pixels.labels.size(); ++n) {
    const std::string folder = out + "/" + part + "/" + class_folder(data, pixels.labels[n]);
    fs::create_directories(folder);
    const auto* begin = pixels.bytes.data() + n * size;
    const std::vector<uint8_t> png =
        encode_png({data.sample_shape[0], data.sample_shape[1], data.sample_shape[2], {begin, begin + size}});
    write_file_unsynced(fmt::format("{}/{:09}.png", folder, n),
                        {reinterpret_cast<const char*>(png.data()), png.size()});
  }
}

void write_table(const Dataset& data, const std::string& part, const std::string& out) {
  const Pixels pixels = pixels_of(data);
  const auto size = static_cast<size_t>(data.sample_shape.count());
  std::string text = "label";
  for (size_t i = 0; i < size; ++i) text += fmt::format(",pixel{}", i);
  for (size_t n = 0; n < pixels.labels.size(); ++n) {
    text += fmt::format("\n{}", pixels.labels[n]);
    for (size_t i = 0; i < size; ++i) text += fmt::format(",{}", pixels.bytes[n * size + i]);
  }
  write_file_unsynced(out + "/" + part + ".csv", text + "\n");
}

void append_big_endian(std::string& bytes, int64_t number) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(number >> shift & 0xff);
}

void write_idx(const Dataset& data, const std::string& part, const std::string& out) {
  const Pixels pixels = pixels_of(data);
  const std::string prefix = out + "/" + (part == "test" ? "t10k" : part);
  std::string images, labels;
  append_big_endian(images, 0x803);
  for (const int64_t size : {data.size, data.sample_shape[1], data.sample_shape[2]})
    append_big_endian(images, size);
  images.append(pixels.bytes.begin(), pixels.bytes.end());
  append_big_endian(labels, 0x801);
  append_big_endian(labels, data.size);
  for (const int32_t label : pixels.labels) labels += static_cast<char>(label);
  write_file_unsynced(prefix + "-images-idx3-ubyte", images);
  write_file_unsynced(prefix + "-labels-idx1-ubyte", labels);
}

void write_arrays(const Split& split, const std::string& out) {
  std::map<std::string, NpyArray> arrays;
  const auto add = [&](const std::string& part, const Dataset& data) {
    if (data.size == 0) return;
    Pixels pixels = pixels_of(data);
    std::vector<int64_t> shape = {data.size};
    shape.insert(shape.end(), data.sample_shape.begin() + (data.sample_shape[0] == 1),
                 data.sample_shape.end());
    arrays["x_" + part] = {"u1", shape, std::move(pixels.bytes)};
    const std::vector<int64_t> labels(pixels.labels.begin(), pixels.labels.end());
    arrays["y_" + part] = npy_array({data.size}, std::span<const int64_t>(labels));
  };
  add("train", split.train);
  add("val", split.validation);
  add("test", split.test);
  write_npz(out, arrays);
}

using PartWriter = void (*)(const Dataset&, const std::string& part, const std::string& out);

}  // namespace

void convert(const Split& split, const std::string& format, const std::string& out) {
  check<ValueError>(split.train.sample_shape.rank() == 3 && split.train.kind == TargetKind::classes,
                    "only images with a class each can be converted");
  std::error_code error;
  check<ValueError>(!fs::exists(out, error), "{} exists already; choose another name", out);
  if (format == "mnist") {
    check<ValueError>(split.validation.size == 0, "the files of MNIST have no validation part");
    check<ValueError>(split.train.sample_shape[0] == 1 && split.train.classes <= 256,
                      "the files of MNIST are of grey images in at most 256 classes, and these are {} in {}",
                      split.train.sample_shape, split.train.classes);
  }
  if (format == "npz") return write_arrays(split, out);
  static const Choices<PartWriter> writers = {
      {"images", "", write_images}, {"csv", "", write_table}, {"mnist", "", write_idx}, {"npz", "", nullptr}};
  const PartWriter write = find("to", writers, format).make;
  write_folder_atomically(out, [&](const std::string& folder) {
    if (split.train.size > 0) write(split.train, "train", folder);
    if (split.validation.size > 0) write(split.validation, "val", folder);
    if (split.test.size > 0) write(split.test, "test", folder);
  });
}

}  // namespace ballast::app
