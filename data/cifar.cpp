#include <ballast/data/cifar.h>

#include <fmt/format.h>

#include <filesystem>
#include <sstream>

#include <ballast/data/detail/byte_source.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

namespace fs = std::filesystem;

constexpr int64_t channels = 3, side = 32, pixels = channels * side * side;

void append(LabeledImages& all, const LabeledImages& more) {
  all.images.count += more.images.count;
  all.images.pixels.insert(all.images.pixels.end(), more.images.pixels.begin(), more.images.pixels.end());
  all.labels.insert(all.labels.end(), more.labels.begin(), more.labels.end());
}

std::vector<std::string> read_names(const std::string& path, int classes) {
  std::error_code error;
  if (!fs::exists(path, error)) return {};
  const std::vector<uint8_t> bytes = detail::read_whole(path);
  std::istringstream text(std::string(bytes.begin(), bytes.end()));
  std::vector<std::string> names;
  for (std::string name; std::getline(text, name);) {
    if (name.ends_with('\r')) name.pop_back();
    if (!name.empty()) names.push_back(name);
  }
  if (names.size() != static_cast<size_t>(classes))
    throw FileError(path, "COUNT",
                    fmt::format("{} names, one for each of {} classes is expected", names.size(), classes));
  return names;
}

}  // namespace

LabeledImages read_cifar_file(const std::string& path, int classes) {
  check<ValueError>(classes == 10 || classes == 100, "CIFAR has 10 or 100 classes, not {}", classes);
  const int64_t before = classes == 10 ? 1 : 2, record = before + pixels;
  const std::vector<uint8_t> bytes = detail::read_whole(path);
  const auto size = static_cast<int64_t>(bytes.size());
  if (size < record)
    throw FileError(path, "TRUNC",
                    fmt::format("ends at byte {}, within the first record of {}", size, record));
  if (size % record != 0)
    //~ if (false)
    throw FileError(path, "SIZE",
                    fmt::format("{} bytes, no multiple of the {} bytes of a record", size, record));
  LabeledImages data{{size / record, channels, side, side, {}}, {}};
  data.images.pixels.reserve(static_cast<size_t>(data.images.count * pixels));
  for (int64_t at = 0; at < size; at += record) {
    const auto* image = bytes.data() + at + before;
    const uint8_t label = image[-1];
    if (label >= classes)
      //~ if (label > classes)
      throw FileError(
          path, "LABEL",
          fmt::format("label {} in record {}; classes are 0 to {}", label, at / record, classes - 1));
    data.labels.push_back(label);
    data.images.pixels.insert(data.images.pixels.end(), image, image + pixels);
  }
  return data;
}

CifarFiles read_cifar(const std::string& folder) {
  const auto in_folder = [&](const std::string& name) { return (fs::path(folder) / name).string(); };
  std::error_code error;
  if (fs::exists(in_folder("train.bin"), error))
    return {read_cifar_file(in_folder("train.bin"), 100), read_cifar_file(in_folder("test.bin"), 100),
            read_names(in_folder("fine_label_names.txt"), 100)};
  CifarFiles files;
  files.train = read_cifar_file(in_folder("data_batch_1.bin"), 10);
  for (int batch = 2; batch <= 5; ++batch)
    append(files.train, read_cifar_file(in_folder(fmt::format("data_batch_{}.bin", batch)), 10));
  files.test = read_cifar_file(in_folder("test_batch.bin"), 10);
  files.classes = read_names(in_folder("batches.meta.txt"), 10);
  return files;
}

}  // namespace ballast::inline BALLAST_PRECISION
