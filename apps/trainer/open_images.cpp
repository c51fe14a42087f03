#include <algorithm>
#include <memory>

#include <ballast/core/parallel.h>
#include <ballast/data/image_folder.h>
#include <ballast/data/text.h>

#include "output.h"
#include "trainer/formats.h"

namespace ballast::app {
namespace {

constexpr int64_t usual_side = 64;  // of images of mixed sizes

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
  labels.reserve(files.size());
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

}  // namespace

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

std::vector<uint8_t> fitted_pixels(const Image& image, const Shape& shape) {
  const bool same_size = image.rows == shape[1] && image.cols == shape[2];
  Image fitted = image.channels == shape[0] ? image : to_channels(image, shape[0]);
  if (!same_size) fitted = resized(fitted, shape[1], shape[2]);
  return std::move(fitted.pixels);
}

OpenedData open_images(const std::string& path, const DataOptions& options, const TableSchema*) {
  const ImageFolder folder = read_image_folder(path);
  for (const std::string& name : folder.classes)
    if (first_invalid_utf8(name) != name.size())
      throw FileError(path, "NAME", "the name of a class's folder is not UTF-8; rename it");
  std::vector<std::string> paths;
  for (const auto* part : {&folder.train, &folder.validation, &folder.test})
    for (const ImageFile& file : *part) paths.push_back(file.path);
  const Shape shape = shape_of_images(paths, parse_shape(options.shape));
  const auto dataset = [&](const std::vector<ImageFile>& files) {
    return image_dataset(files, shape, folder.classes);
  };
  return {{dataset(folder.train), dataset(folder.test), dataset(folder.validation)}};
}

}  // namespace ballast::app
