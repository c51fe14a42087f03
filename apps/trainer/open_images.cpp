#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <memory>

#include <ballast/core/parallel.h>
#include <ballast/data/image_folder.h>
#include <ballast/data/text.h>

#include "output.h"
#include "trainer/formats.h"

namespace ballast::app {
namespace {

constexpr int64_t usual_side = 64;  // of images of mixed sizes

/// The files of a part, and of each why it can't be read, or "".
struct Files {
  const std::vector<ImageFile>* files;
  std::vector<std::string> errors = std::vector<std::string>(files->size());

  /// Calls read(index, path) for each that nothing is known against; from several threads.
  template <class Read>
  void for_each(Read read) {
    parallel_for(static_cast<int64_t>(files->size()), 8, [&](int64_t begin, int64_t end) {
      for (auto n = static_cast<size_t>(begin); n < static_cast<size_t>(end); ++n) {
        if (!errors[n].empty()) continue;
        try {
          read(n, (*files)[n].path);
        } catch (const FileError& error) {
          errors[n] = error.message;
        }
      }
    });
  }
};

/// The shape (C, H, W) of the samples that these images become: as `wanted` says, which may be empty, (H, W)
/// or (C, H, W). Without it, the size that all of them have, else 64 x 64 pixels; grey if all of them are.
Shape shape_of_images(std::vector<Files>& parts, const Shape& wanted) {
  if (wanted.rank() == 3) return wanted;
  ImageSize first;
  bool same_size = true;
  int64_t channels = 1;
  for (Files& part : parts) {
    std::vector<ImageSize> sizes(part.files->size());
    part.for_each([&](size_t n, const std::string& path) { sizes[n] = read_image_size(path); });
    for (const ImageSize& size : sizes) {
      if (size.rows == 0) continue;  // damaged
      if (first.rows == 0) first = size;
      same_size &= size.rows == first.rows && size.cols == first.cols;
      channels = std::max(channels, size.channels);
    }
  }
  if (wanted.rank() == 2) return wanted.inserted(0, channels);
  if (same_size && first.rows > 0) return {channels, first.rows, first.cols};
  if (!same_size)
    complain(
        "note: the images have several sizes; they are resized to {0} x {0} pixels (--shape changes that)\n",
        usual_side);
  return {channels, usual_side, usual_side};
}

Dataset image_dataset(Files& part, const Shape& shape, const std::vector<std::string>& classes) {
  const int64_t count = shape.count();
  auto pixels = std::make_shared<std::vector<uint8_t>>(part.files->size() * static_cast<size_t>(count));
  part.for_each([&](size_t n, const std::string& path) {
    std::ranges::copy(fitted_pixels(read_image(path), shape),
                      pixels->begin() + static_cast<std::ptrdiff_t>(n) * count);
  });
  std::vector<int32_t> labels;
  std::vector<int64_t> places;  // of the samples' pixels
  for (size_t n = 0; n < part.files->size(); ++n) {
    if (!part.errors[n].empty()) continue;
    labels.push_back((*part.files)[n].label);
    places.push_back(static_cast<int64_t>(n) * count);
  }
  const auto size = static_cast<int64_t>(labels.size());
  if (size == 0) return {};
  Dataset dataset{
      shape, size, static_cast<int>(classes.size()),
      [pixels, labels = std::move(labels), places = std::move(places), count](int64_t index, real* x) {
        const uint8_t* pixel = pixels->data() + places[static_cast<size_t>(index)];
        for (int64_t n = 0; n < count; ++n) x[n] = static_cast<real>(pixel[n]) / 255;
        return labels[static_cast<size_t>(index)];
      }};
  dataset.class_names = classes;
  return dataset;
}

/// Throws ValueError unless each class has an image to learn from.
void check_classes(const std::string& path, const ImageFolder& folder, const Files& train) {
  std::vector<bool> seen(folder.classes.size());
  for (size_t n = 0; n < train.errors.size(); ++n)
    if (train.errors[n].empty()) seen[static_cast<size_t>(folder.train[n].label)] = true;
  const auto none = std::ranges::find(seen, false) - seen.begin();
  check<ValueError>(
      none == static_cast<std::ptrdiff_t>(seen.size()), "{}: no image of the class \"{}\" is left", path,
      none == static_cast<std::ptrdiff_t>(seen.size()) ? "" : folder.classes[static_cast<size_t>(none)]);
}

/// Throws DamagedImages if there are any, or says how many are left out.
void report_damaged(const std::string& path, const ImageFolder& folder, const std::vector<Files>& parts,
                    bool skip) {
  constexpr size_t shown = 10;
  std::vector<std::string> damaged;
  size_t all = 0;
  for (const Files& part : parts) {
    all += part.errors.size();
    std::ranges::copy_if(part.errors, std::back_inserter(damaged),
                         [](const std::string& error) { return !error.empty(); });
  }
  if (damaged.empty()) return;
  if (skip) {
    check_classes(path, folder, parts[0]);
    complain("note: {}: {} of {} images can't be read and {} left out\n", path, damaged.size(), all,
             damaged.size() == 1 ? "is" : "are");
    return;
  }
  const auto end = damaged.begin() + static_cast<std::ptrdiff_t>(std::min(shown, damaged.size()));
  std::string message = fmt::format(
      "{}: {} of {} images can't be read; mend or remove them, or leave them out with --skip-damaged: {}",
      path, damaged.size(), all, fmt::join(damaged.begin(), end, "; "));
  if (damaged.size() > shown) message += fmt::format("; and {} more", damaged.size() - shown);
  throw DamagedImages(message, std::move(damaged));
}

}  // namespace

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
  std::vector<Files> parts = {{&folder.train}, {&folder.validation}, {&folder.test}};
  const Shape shape = shape_of_images(parts, parse_shape(options.shape));
  OpenedData opened;
  opened.split.train = image_dataset(parts[0], shape, folder.classes);
  opened.split.validation = image_dataset(parts[1], shape, folder.classes);
  opened.split.test = image_dataset(parts[2], shape, folder.classes);
  report_damaged(path, folder, parts, options.skip_damaged);
  return opened;
}

}  // namespace ballast::app
