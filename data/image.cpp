#include <ballast/data/image.h>

#include <fmt/format.h>
#include <png.h>

#include <array>
#include <cstring>
#include <new>
#include <string_view>

#include <ballast/data/atomic_file.h>
#include <ballast/data/detail/byte_source.h>
#include <ballast/data/detail/image_codecs.h>

namespace ballast::inline BALLAST_PRECISION {

namespace detail {

void check_image_size(int64_t rows, int64_t cols, const std::string& name) {
  if (rows == 0 || cols == 0)
    throw FileError(name, "DIM", fmt::format("an image of {} rows and {} columns", rows, cols));
  if (rows > max_image_side || cols > max_image_side)
    throw FileError(name, "LIMIT",
                    fmt::format("an image of {} rows and {} columns; at most {} of each are read", rows, cols,
                                max_image_side));
}

Image from_interleaved(std::vector<uint8_t> pixels, int64_t channels, int64_t rows, int64_t cols) {
  if (channels == 1) return {channels, rows, cols, std::move(pixels)};
  Image image{channels, rows, cols, std::vector<uint8_t>(pixels.size())};
  const auto area = static_cast<size_t>(rows * cols), count = static_cast<size_t>(channels);
  for (size_t c = 0; c < count; ++c)
    for (size_t i = 0; i < area; ++i) image.pixels[c * area + i] = pixels[i * count + c];
  //~ for (size_t i = 0; i < area; ++i) image.pixels[c * area + i] = pixels[i * count + count - 1 - c];
  return image;
}

std::vector<uint8_t> interleaved(const Image& image) {
  std::vector<uint8_t> pixels(image.pixels.size());
  const auto area = static_cast<size_t>(image.rows * image.cols), count = static_cast<size_t>(image.channels);
  for (size_t c = 0; c < count; ++c)
    for (size_t i = 0; i < area; ++i) pixels[i * count + c] = image.pixels[c * area + i];
  return pixels;
}

}  // namespace detail

namespace {

void check_image(const Image& image) {
  check<ShapeError>((image.channels == 1 || image.channels == 3) && image.rows > 0 && image.cols > 0 &&
                        static_cast<int64_t>(image.pixels.size()) == image.channels * image.rows * image.cols,
                    "an image of {} channels, {} rows, {} columns and {} bytes; 1 or 3 channels are expected "
                    "and a byte for each pixel and channel",
                    image.channels, image.rows, image.cols, image.pixels.size());
}

bool begins(std::span<const uint8_t> bytes, std::string_view magic, size_t at = 0) {
  return bytes.size() >= at + magic.size() && std::memcmp(&bytes[at], magic.data(), magic.size()) == 0;
}

/// What the file is, if people take it for an image that is read.
std::string_view other_kind(std::span<const uint8_t> bytes) {
  struct Kind {
    std::string_view begins, what;
    size_t at = 0;
  };
  static constexpr std::array<Kind, 7> kinds = {{{"GIF8", "a GIF"},
                                                 {"BM", "a BMP image"},
                                                 {"WEBP", "a WebP image", 8},
                                                 {"ftyp", "a HEIC or AVIF image", 4},
                                                 {"II*", "a TIFF image"},
                                                 {"MM", "a TIFF image"},
                                                 {"%PDF", "a PDF document"}}};
  for (const Kind& kind : kinds)
    if (begins(bytes, kind.begins, kind.at)) return kind.what;
  return "neither";
}

}  // namespace

namespace {

[[noreturn]] void refuse(std::span<const uint8_t> bytes, const std::string& name) {
  if (bytes.size() < 4) throw FileError(name, "TRUNC", fmt::format("the file ends at byte {}", bytes.size()));
  throw FileError(name, "MAGIC",
                  fmt::format("PNG and JPEG are read, this is {}; convert it first", other_kind(bytes)));
}

ImageSize size_of(std::span<const uint8_t> bytes, const std::string& name) {
  if (begins(bytes, "\x89PNG")) return detail::png_size(bytes, name);
  if (begins(bytes, "\xff\xd8")) return detail::jpeg_size(bytes, name);
  refuse(bytes, name);
}

}  // namespace

Image decode_image(std::span<const uint8_t> bytes, const std::string& name) {
  if (begins(bytes, "\x89PNG")) return detail::decode_png(bytes, name);
  if (begins(bytes, "\xff\xd8")) return detail::decode_jpeg(bytes, name);
  refuse(bytes, name);
}

ImageSize read_image_size(const std::string& path) {
  constexpr size_t enough = 65536;  // but for a JPEG with long text or profiles before its size
  const std::string head = detail::first_bytes(path, enough);
  try {
    return size_of({reinterpret_cast<const uint8_t*>(head.data()), head.size()}, path);
  } catch (const FileError&) {
    return size_of(detail::read_whole(path), path);  // which has more, or says better what is wrong
  }
}

Image read_image(const std::string& path) { return decode_image(detail::read_whole(path), path); }

std::vector<uint8_t> encode_png(const Image& image) {
  check_image(image);
  const std::vector<uint8_t> pixels = detail::interleaved(image);
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.cols);
  png.height = static_cast<png_uint_32>(image.rows);
  png.format = image.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
  std::vector<uint8_t> bytes(size);
  if (!png_image_write_to_memory(&png, bytes.data(), &size, 0, pixels.data(), 0, nullptr))
    throw std::bad_alloc();  // nothing else can be wrong
  bytes.resize(size);
  return bytes;
}

void write_png(const std::string& path, const Image& image) {
  const std::vector<uint8_t> bytes = encode_png(image);
  write_file_atomically(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

Image to_channels(const Image& image, int64_t channels) {
  check_image(image);
  check<ValueError>(channels == 1 || channels == 3, "an image can't have {} channels; 1 or 3", channels);
  if (image.channels == channels) return image;
  Image result{channels, image.rows, image.cols, {}};
  const auto area = static_cast<size_t>(image.rows * image.cols);
  const std::vector<uint8_t>& from = image.pixels;
  if (channels == 3) {
    for (int c = 0; c < 3; ++c) result.pixels.insert(result.pixels.end(), from.begin(), from.end());
    return result;
  }
  result.pixels.resize(area);
  for (size_t i = 0; i < area; ++i) {
    // The weights in units of 2^-16, and a half for rounding.
    const int luma = 19595 * from[i] + 38470 * from[area + i] + 7471 * from[2 * area + i] + 32768;
    //~ const int luma = 19595 * from[i] + 38470 * from[area + i] + 7471 * from[2 * area + i];
    result.pixels[i] = static_cast<uint8_t>(luma >> 16);
  }
  return result;
}

}  // namespace ballast::inline BALLAST_PRECISION
