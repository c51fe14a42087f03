#include <fmt/format.h>
#include <png.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
#include <new>
#include <string_view>

#include <ballast/data/detail/image_codecs.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

constexpr size_t signature_size = 8, chunk_overhead = 12;  // a chunk: length, type, data, CRC
constexpr uint64_t best_ratio = 1032;                      // of deflate

using Bytes = std::span<const uint8_t>;

uint32_t big_endian(Bytes bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

[[noreturn]] void fail(const std::string& name, const char* code, const std::string& detail, size_t at) {
  throw FileError(name, code, fmt::format("{} at byte {}", detail, at));
}

struct Header {
  int64_t rows = 0, cols = 0;
  uint64_t bytes = 0;  // of all rows, uncompressed
};

Header read_header(Bytes data, const std::string& name) {
  Header header{big_endian(data.subspan(4)), big_endian(data), 0};
  check_image_size(header.rows, header.cols, name);
  constexpr std::array<uint64_t, 7> channels_of_color_type = {1, 0, 3, 1, 2, 0, 4};
  const uint64_t depth = data[8], color_type = data[9];
  const uint64_t channels = color_type < 7 ? channels_of_color_type[color_type] : 0;
  if (channels == 0 || depth > 16)
    throw FileError(name, "DATA", fmt::format("no PNG has color type {} and {} bits", color_type, depth));
  const uint64_t row = (static_cast<uint64_t>(header.cols) * channels * depth + 7) / 8 + 1;
  header.bytes = static_cast<uint64_t>(header.rows) * row;
  return header;
}

/// Where the zlib data of a compressed text or profile begin; the chunk's end if there are none.
size_t compressed_text(Bytes data, std::string_view type) {
  const auto after_nul = [&](size_t from) {
    const auto begin = data.begin() + static_cast<std::ptrdiff_t>(std::min(from, data.size()));
    return static_cast<size_t>(std::find(begin, data.end(), 0) - data.begin()) + 1;
  };
  size_t at = after_nul(0);  // keyword
  if (type == "iTXt") {
    if (at >= data.size() || data[at] == 0) return data.size();
    at = after_nul(after_nul(at + 2));  // compression flag and method, language, translated keyword
  } else {
    ++at;  // compression method
  }
  return std::min(at, data.size());
}

/// The size of what is packed, counted up to a little beyond `limit`.
uint64_t inflated_size(Bytes packed, uint64_t limit) {
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) throw std::bad_alloc();
  std::array<uint8_t, 65536> scratch;
  stream.next_in = const_cast<Bytef*>(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  int status = Z_OK;
  while (status == Z_OK && stream.total_out <= limit) {
    stream.next_out = scratch.data();
    stream.avail_out = static_cast<uInt>(scratch.size());
    status = inflate(&stream, Z_NO_FLUSH);
  }
  inflateEnd(&stream);
  return stream.total_out;
}

/// Checks everything but the pixels: that the chunks follow each other up to IEND, their checksums, the
/// size of the image. The text is looked at only for a bomb.
Header check_chunks(Bytes bytes, const std::string& name) {
  constexpr uint64_t max_text = 64 << 20;
  Header header;
  uint64_t packed = 0, text = 0;
  size_t at = signature_size;
  for (std::string_view type; type != "IEND";) {
    if (bytes.size() - at < chunk_overhead) fail(name, "TRUNC", "the file ends before its IEND chunk", at);
    const size_t length = big_endian(bytes.subspan(at));
    type = {reinterpret_cast<const char*>(&bytes[at + 4]), 4};
    if (length > bytes.size() - at - chunk_overhead)
      fail(name, "TRUNC", fmt::format("the file ends within a chunk of {} bytes, which begins", length), at);
    const Bytes data = bytes.subspan(at + 8, length);
    if (crc32(crc32(0, nullptr, 0), &bytes[at + 4], static_cast<uInt>(length + 4)) !=
        big_endian(bytes.subspan(at + 8 + length)))
      fail(name, "CRC", "the checksum is wrong of the chunk that begins", at);
    if (at == signature_size) {
      if (type != "IHDR" || length != 13) fail(name, "DATA", "IHDR, the image's size, is expected", at);
      header = read_header(data, name);
    }
    if (type == "IDAT") packed += length;
    if (type == "zTXt" || type == "iTXt" || type == "iCCP") {
      text += inflated_size(data.subspan(compressed_text(data, type)), max_text - text);
      if (text > max_text) fail(name, "LIMIT", "more than 64 MiB of compressed text; a chunk", at);
    }
    at += chunk_overhead + length;
  }
  if (header.bytes > packed * best_ratio)
    throw FileError(name, "TRUNC",
                    fmt::format("{} rows of {} pixels can't come from {} bytes of data", header.rows,
                                header.cols, packed));
  return header;
}

/// What outlives libpng's longjmp.
struct Decoding {
  Bytes rest;
  int64_t channels = 0, row_bytes = 0;
  std::vector<uint8_t> pixels;
  std::array<char, 160> message{};
};

extern "C" {
static void ballast_png_read(png_structp png, png_bytep out, size_t size) {
  auto& decoding = *static_cast<Decoding*>(png_get_io_ptr(png));
  if (size > decoding.rest.size()) png_error(png, "Not enough image data");
  std::copy_n(decoding.rest.begin(), size, out);
  decoding.rest = decoding.rest.subspan(size);
}
[[noreturn]] static void ballast_png_error(png_structp png, png_const_charp message) {
  auto& decoding = *static_cast<Decoding*>(png_get_error_ptr(png));
  std::snprintf(decoding.message.data(), decoding.message.size(), "%s", message);
  png_longjmp(png, 1);
}
static void ballast_png_warning(png_structp, png_const_charp) {}
}

class Reader {
 public:
  explicit Reader(Decoding& decoding)
      : png_(
            png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoding, ballast_png_error, ballast_png_warning)),
        info_(png_ ? png_create_info_struct(png_) : nullptr) {
    if (!info_) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      throw std::bad_alloc();
    }
    png_set_read_fn(png_, &decoding, ballast_png_read);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { png_destroy_read_struct(&png_, &info_, nullptr); }

  /// False with a message when libpng refuses.
  bool read(Decoding& decoding, int64_t rows) {
    if (setjmp(png_jmpbuf(png_))) return false;
    read_info(decoding);
    read_rows(decoding, rows);
    png_read_end(png_, nullptr);
    return true;
  }

 private:
  void read_info(Decoding& decoding) {
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);  // nothing but the pixels
    png_read_info(png_, info_);
    if (png_get_color_type(png_, info_) == PNG_COLOR_TYPE_PALETTE)
      png_set_palette_to_rgb(png_);
    else
      png_set_expand_gray_1_2_4_to_8(png_);
    png_set_strip_16(png_);
    png_set_strip_alpha(png_);
    passes_ = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    decoding.channels = png_get_channels(png_, info_);
    decoding.row_bytes = static_cast<int64_t>(png_get_rowbytes(png_, info_));
  }

  /// Reserving touches no page: memory grows with the data that really come, unless they are interlaced.
  void read_rows(Decoding& decoding, int64_t rows) {
    std::vector<uint8_t>& pixels = decoding.pixels;
    const auto row_bytes = static_cast<size_t>(decoding.row_bytes);
    pixels.reserve(static_cast<size_t>(rows) * row_bytes);
    for (int pass = 0; pass < passes_; ++pass) {
      for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
        if (pass == 0) pixels.resize((row + 1) * row_bytes);
        png_read_row(png_, &pixels[row * row_bytes], nullptr);
      }
    }
  }

  png_structp png_;
  png_infop info_;
  int passes_ = 1;
};

}  // namespace

Image decode_png(std::span<const uint8_t> bytes, const std::string& name) {
  constexpr std::string_view signature = "\x89PNG\r\n\x1a\n";
  if (bytes.size() < signature_size) fail(name, "TRUNC", "the file ends within the PNG signature", 0);
  if (png_sig_cmp(bytes.data(), 0, signature.size()) != 0)
    fail(name, "MAGIC", "this PNG was damaged by a transfer as text; fetch it again as binary", 0);
  const Header header = check_chunks(bytes, name);
  Decoding decoding;
  decoding.rest = bytes;
  Reader reader(decoding);
  if (!reader.read(decoding, header.rows)) {
    const std::string message = decoding.message.data();
    throw FileError(name, message == "Not enough image data" ? "TRUNC" : "DATA",
                    fmt::format("the pixels can't be decoded ({})", message));
  }
  return from_interleaved(std::move(decoding.pixels), decoding.channels, header.rows, header.cols);
}

ImageSize png_size(std::span<const uint8_t> bytes, const std::string& name) {
  constexpr size_t ihdr = signature_size + 8, ihdr_size = 13;
  if (bytes.size() < ihdr + ihdr_size) fail(name, "TRUNC", "the file ends within its header", bytes.size());
  const Bytes data = bytes.subspan(ihdr, ihdr_size);
  const Header header = read_header(data, name);
  const bool grey = data[9] == PNG_COLOR_TYPE_GRAY || data[9] == PNG_COLOR_TYPE_GRAY_ALPHA;
  return {grey ? 1 : 3, header.rows, header.cols};
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
