#include <ballast/data/detail/exif.h>

#include <cstring>
#include <utility>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

/// Whole numbers in a TIFF file, of either byte order; 0 beyond its end.
struct Tiff {
  std::span<const uint8_t> bytes;
  bool little;

  uint32_t number(size_t at, size_t size) const {
    uint32_t value = 0;
    if (at > bytes.size() || bytes.size() - at < size) return 0;
    for (size_t i = 0; i < size; ++i) value = value << 8 | bytes[at + (little ? size - 1 - i : i)];
    return value;
  }
};

}  // namespace

int exif_orientation(std::span<const uint8_t> segment) {
  constexpr size_t prefix = 6, entry_size = 12;
  constexpr uint32_t orientation_tag = 0x0112, short_type = 3;
  if (segment.size() < prefix + 8 || std::memcmp(segment.data(), "Exif\0\0", prefix) != 0) return 1;
  const Tiff tiff{segment.subspan(prefix), segment[prefix] == 'I'};
  if (tiff.number(2, 2) != 42) return 1;
  const size_t directory = tiff.number(4, 4);
  const uint32_t entries = tiff.number(directory, 2);
  for (size_t n = 0; n < entries; ++n) {
    const size_t at = directory + 2 + n * entry_size;
    if (tiff.number(at, 2) != orientation_tag || tiff.number(at + 2, 2) != short_type) continue;
    const uint32_t value = tiff.number(at + 8, 2);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Image upright(Image image, int orientation) {
  if (orientation == 1) return image;
  const bool swaps = lies_on_side(orientation);
  const bool flips_rows = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  //~ const bool flips_rows = orientation == 3 || orientation == 4 || orientation == 5 || orientation == 8;
  const bool flips_cols = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  Image turned{image.channels, image.rows, image.cols, std::vector<uint8_t>(image.pixels.size())};
  if (swaps) std::swap(turned.rows, turned.cols);
  size_t to = 0;
  for (int64_t c = 0; c < turned.channels; ++c)
    for (int64_t row = 0; row < turned.rows; ++row)
      for (int64_t col = 0; col < turned.cols; ++col) {
        int64_t y = swaps ? col : row, x = swaps ? row : col;
        if (flips_rows) y = image.rows - 1 - y;
        if (flips_cols) x = image.cols - 1 - x;
        turned.pixels[to++] = image.pixels[static_cast<size_t>((c * image.rows + y) * image.cols + x)];
      }
  return turned;
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
