#pragma once

#include <ballast/data/image.h>

namespace ballast::inline BALLAST_PRECISION::detail {

inline constexpr int64_t max_image_side = 16384;

/// Each throws FileError as `read_image` does, for bytes that begin like its format.
Image decode_png(std::span<const uint8_t> bytes, const std::string& name);
Image decode_jpeg(std::span<const uint8_t> bytes, const std::string& name);
/// From the beginning of a file.
ImageSize png_size(std::span<const uint8_t> bytes, const std::string& name);
ImageSize jpeg_size(std::span<const uint8_t> bytes, const std::string& name);

/// FileError DIM or LIMIT unless both sides are from 1 to `max_image_side`.
void check_image_size(int64_t rows, int64_t cols, const std::string& name);

/// From pixels (rows, cols, channels), and back.
Image from_interleaved(std::vector<uint8_t> pixels, int64_t channels, int64_t rows, int64_t cols);
std::vector<uint8_t> interleaved(const Image& image);

}  // namespace ballast::inline BALLAST_PRECISION::detail
