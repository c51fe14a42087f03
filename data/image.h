#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ballast/core/check.h>

namespace ballast::inline BALLAST_PRECISION {

/// An image of one (grey) or three channels (RGB), one byte per pixel and channel.
struct Image {
  int64_t channels = 0, rows = 0, cols = 0;
  std::vector<uint8_t> pixels;  // (channels, rows, cols)
};

/// Reads a PNG or JPEG file, told apart by how it begins, not by its name. Pixels are what Pillow's
/// `convert("L")` and `convert("RGB")` make of them: palettes are looked up, 16 bits are cut to the upper 8,
/// alpha is dropped without blending, gamma is ignored, CMYK becomes RGB. JPEGs are turned as the orientation
/// in their EXIF data says (`ImageOps.exif_transpose`). Bytes after the image are ignored.
///
/// Throws FileError; its codes: MISSING, READ, MAGIC (something else), TRUNC (ends early), CRC (a chunk's
/// checksum is wrong), DATA (pixels that can't be decoded), DIM (a side of 0), LIMIT (a side beyond 16,384,
/// more than 64 MiB of compressed text in a PNG, more than 100 scans in a JPEG).
Image read_image(const std::string& path);

/// How large the image is that `read_image` makes of a file, from the file's first bytes. Throws as
/// `read_image` does for what these show.
struct ImageSize {
  int64_t channels = 0, rows = 0, cols = 0;
};
ImageSize read_image_size(const std::string& path);

/// The same as `read_image` for bytes in memory, which errors call `name`.
Image decode_image(std::span<const uint8_t> bytes, const std::string& name);

/// The image as a PNG file of 8 bits per channel. Throws ShapeError unless it has 1 or 3 channels and as many
/// pixels as it says.
std::vector<uint8_t> encode_png(const Image& image);
/// Writes atomically; FileError WRITE when that fails.
void write_png(const std::string& path, const Image& image);

/// Bilinear interpolation with antialiasing: a triangle filter, which in a direction that shrinks is as many
/// times wider. The same bits as Pillow's `resize(..., Image.BILINEAR)`. Throws ValueError unless both sizes
/// are from 1 to 16,384.
Image resized(const Image& image, int64_t rows, int64_t cols);

/// Grey from RGB by luma = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), RGB from grey by repeating it. Throws
/// ValueError for another number of channels than 1 or 3.
Image to_channels(const Image& image, int64_t channels);

}  // namespace ballast::inline BALLAST_PRECISION
