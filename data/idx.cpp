#include <ballast/data/idx.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>

#include <ballast/data/detail/byte_source.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

namespace fs = std::filesystem;
using detail::ByteSource;

struct ElementType {
  uint8_t code;
  int64_t size;
  const char* name;
};
constexpr std::array<ElementType, 6> element_types = {{{0x08, 1, "unsigned byte"},
                                                       {0x09, 1, "signed byte"},
                                                       {0x0b, 2, "int16"},
                                                       {0x0c, 4, "int32"},
                                                       {0x0d, 4, "float32"},
                                                       {0x0e, 8, "float64"}}};
constexpr uint8_t unsigned_byte = 0x08, int32 = 0x0c;

const ElementType* find_type(uint32_t code) {
  const auto found = std::find_if(element_types.begin(), element_types.end(),
                                  [=](const ElementType& type) { return type.code == code; });
  return found == element_types.end() ? nullptr : &*found;
}

/// A file's contents, whose elements are still as they are stored: big-endian.
struct IdxArray {
  ElementType type;
  std::vector<int64_t> sizes;
  std::vector<uint8_t> bytes;
};

uint32_t big_endian(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
  //~ return uint32_t{bytes[3]} << 24 | uint32_t{bytes[2]} << 16 | uint32_t{bytes[1]} << 8 | bytes[0];
}

uint32_t read_word(ByteSource& source) {
  std::array<uint8_t, 4> bytes{};
  if (source.read(bytes.data(), 4) < 4) source.fail("TRUNC", "ends within the IDX header");
  return big_endian(bytes.data());
}

/// What a caller accepts, and how it is called in messages.
struct Expected {
  std::vector<uint8_t> types;
  uint32_t least_rank, largest_rank;
  const char* what;
};
const Expected images_expected = {{unsigned_byte}, 3, 4, "images (unsigned byte, 3 axes, with channels 4)"};
const Expected labels_expected = {
    {unsigned_byte, int32},
    1,
    2,
    "labels (unsigned byte or int32, 1 axis, or 2 with the class in the first column)"};

/// The first word is 0, 0, the element type, the number of axes.
ElementType check_magic(const ByteSource& source, uint32_t magic, const Expected& expected) {
  const ElementType* type = find_type(magic >> 8);
  const uint32_t rank = magic & 255;
  const bool accepted =
      type && rank >= expected.least_rank && rank <= expected.largest_rank &&
      std::find(expected.types.begin(), expected.types.end(), type->code) != expected.types.end();
  if (accepted) return *type;
  std::string found = "not an IDX file";
  if (type) {
    found = fmt::format("IDX data of type {} and {} {}", type->name, rank, rank == 1 ? "axis" : "axes");
  } else if (find_type(magic >> 16 & 255) && (magic & 255) == 0) {
    found = "an IDX file in little-endian order, which the format doesn't allow";
  } else if (magic >> 16 == 0) {
    found = fmt::format("IDX data of the unknown type 0x{:02x}", magic >> 8);
  }
  throw FileError(source.path(), "MAGIC",
                  fmt::format("{}, where {} were expected; the first word is 0x{:08x} at byte 0", found,
                              expected.what, magic));
}

/// The bytes that the sizes in the header imply, having checked that the file can hold as many.
int64_t read_sizes(ByteSource& source, const ElementType& type, std::vector<int64_t>& sizes) {
  int64_t bytes = type.size;
  bool overflow = false;
  for (int64_t& size : sizes) {
    size = read_word(source);
    if (size == 0) source.fail("DIM", "a dimension is 0; the word that ends");
    //~
    overflow |= __builtin_mul_overflow(bytes, size, &bytes);
    //~ bytes *= size;
  }
  std::string shape = fmt::format("{}", fmt::join(sizes, " x "));
  if (type.size > 1) shape += fmt::format(" x {} bytes", type.size);
  if (overflow)
    source.fail("OVERFLOW", fmt::format("{} bytes are more than any file holds; the header ends", shape));
  const int64_t room = std::max<int64_t>(source.capacity() - source.position(), 0);
  if (bytes > room) {
    // Beyond 2 GiB it is the header that is wrong, rather than a download that stopped.
    const bool absurd = bytes >= std::numeric_limits<int32_t>::max();
    source.fail(absurd ? "OVERFLOW" : "TRUNC",
                fmt::format("the header implies {} = {} bytes of data, the file can hold {}; the data begin",
                            shape, bytes, room));
  }
  return bytes;
}

IdxArray read_idx(const std::string& path, const Expected& expected) {
  const auto source = detail::open_bytes(path);
  const uint32_t magic = read_word(*source);
  IdxArray array{check_magic(*source, magic, expected), std::vector<int64_t>(magic & 255), {}};
  const int64_t bytes = read_sizes(*source, array.type, array.sizes);
  array.bytes = source->read_rest(bytes);
  return array;
}

/// Images as (channels, rows, cols), from (rows, cols, channels).
std::vector<uint8_t> channels_first(const std::vector<uint8_t>& pixels, const IdxImages& images) {
  std::vector<uint8_t> result(pixels.size());
  const int64_t area = images.rows * images.cols;
  uint8_t* to = result.data();
  for (int64_t n = 0; n < images.count; ++n)
    for (int64_t c = 0; c < images.channels; ++c)
      for (int64_t i = 0; i < area; ++i)
        *to++ = pixels[static_cast<size_t>((n * area + i) * images.channels + c)];
  //~ *to++ = pixels[static_cast<size_t>((n * images.channels + c) * area + i)];
  return result;
}

/// The file that holds one part of a data set: its name ends in one of `endings`, after any prefix that ends
/// in a separator. A file that lies there packed and unpacked counts as one. Empty if there is none.
std::string find_file(const std::string& folder, const std::vector<std::string>& endings) {
  std::vector<std::string> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    std::string name = entry.path().filename().string();
    if (name.ends_with(".gz")) name.resize(name.size() - 3);
    const bool fits = std::any_of(endings.begin(), endings.end(), [&](const std::string& ending) {
      return name == ending || (name.ends_with(ending) &&
                                std::string_view("-_.").find(name[name.size() - ending.size() - 1]) < 3);
    });
    std::error_code error;
    if (fits && entry.is_regular_file(error)) found.push_back(name);
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  if (found.empty()) return "";
  if (found.size() > 1)
    //~ if (found.size() > 2)
    throw FileError(folder, "NAME",
                    fmt::format("{} could all be {}; leave one of them in this folder",
                                fmt::join(found, ", "), endings.front()));
  const std::string path = (fs::path(folder) / found.front()).string();
  std::error_code error;
  return fs::is_regular_file(path, error) ? path : path + ".gz";
}

/// The names without a prefix that one part may have.
std::vector<std::string> usual_names(const std::vector<std::string>& splits, bool of_images) {
  const std::vector<std::string> kinds =
      of_images ? std::vector<std::string>{"idx3-ubyte", "idx4-ubyte"}
                : std::vector<std::string>{"idx1-ubyte", "idx2-ubyte", "idx2-int"};
  std::vector<std::string> names;
  for (const std::string& split : splits)
    for (const std::string& kind : kinds)
      for (const char* separator : {"-", "."})
        names.push_back(split + (of_images ? "-images" : "-labels") + separator + kind);
  return names;
}

LabeledImages read_split(const std::string& folder, const std::vector<std::string>& splits) {
  std::error_code error;
  const bool is_folder = fs::is_directory(folder, error);
  const std::string images = is_folder ? find_file(folder, usual_names(splits, true)) : "";
  const std::string labels = is_folder ? find_file(folder, usual_names(splits, false)) : "";
  if (images.empty() || labels.empty()) {
    throw FileError(
        folder, "MISSING",
        fmt::format("{}; looked for names that end in train-images-idx3-ubyte, train-labels-idx1-ubyte, "
                    "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, also with test for t10k, .idx for "
                    "-idx, and .gz",
                    is_folder ? fmt::format("no {}-{} in this folder", splits.front(),
                                            images.empty() ? "images" : "labels")
                              : "there is no such folder"));
  }
  return read_idx_pair(images, labels);
}

}  // namespace

IdxImages read_idx_images(const std::string& path) {
  IdxArray array = read_idx(path, images_expected);
  const std::vector<int64_t>& sizes = array.sizes;
  if (sizes.size() == 3) return {sizes[0], 1, sizes[1], sizes[2], std::move(array.bytes)};
  constexpr int64_t most_channels = 4;
  if (sizes[1] <= most_channels) return {sizes[0], sizes[1], sizes[2], sizes[3], std::move(array.bytes)};
  if (sizes[3] > most_channels)
    throw FileError(
        path, "SHAPE",
        fmt::format("images of {} x {} x {}: neither the first nor the last of these is a number of "
                    "channels, which is at most {}",
                    sizes[1], sizes[2], sizes[3], most_channels));
  IdxImages images{sizes[0], sizes[3], sizes[1], sizes[2], {}};
  images.pixels = channels_first(array.bytes, images);
  return images;
}

std::vector<uint8_t> read_idx_labels(const std::string& path) {
  IdxArray array = read_idx(path, labels_expected);
  const int64_t columns = array.sizes.size() == 2 ? array.sizes[1] : 1;
  if (array.type.code == unsigned_byte) {
    if (columns > 1)
      throw FileError(path, "SHAPE",
                      fmt::format("{} x {} unsigned bytes, where one label for each image was expected",
                                  array.sizes[0], columns));
    return std::move(array.bytes);
  }
  std::vector<uint8_t> labels;
  for (int64_t n = 0; n < array.sizes[0]; ++n) {
    const uint32_t label = big_endian(array.bytes.data() + n * columns * array.type.size);
    if (label > 255)
      //~ if (label > 256)
      throw FileError(
          path, "LABEL",
          fmt::format("label {} is {}; classes from 0 to 255 are read", n, static_cast<int32_t>(label)));
    labels.push_back(static_cast<uint8_t>(label));
  }
  return labels;
}

LabeledImages read_idx_pair(const std::string& images, const std::string& labels) {
  LabeledImages pair{read_idx_images(images), read_idx_labels(labels)};
  if (pair.images.count != static_cast<int64_t>(pair.labels.size()))
    //~ if (pair.images.count > static_cast<int64_t>(pair.labels.size()))
    throw FileError(
        labels, "COUNT",
        fmt::format("{} labels for the {} images of {}", pair.labels.size(), pair.images.count, images));
  return pair;
}

MnistFiles read_mnist(const std::string& folder) {
  MnistFiles files{read_split(folder, {"train"}), read_split(folder, {"t10k", "test"})};
  const auto shape = [](const IdxImages& x) {
    return x.channels == 1 ? fmt::format("{} x {}", x.rows, x.cols)
                           : fmt::format("{} x {} x {}", x.channels, x.rows, x.cols);
  };
  const std::string train = shape(files.train.images), test = shape(files.test.images);
  if (train != test)
    throw FileError(folder, "SHAPE", fmt::format("training images are {}, test images {}", train, test));
  return files;
}

}  // namespace ballast::inline BALLAST_PRECISION
