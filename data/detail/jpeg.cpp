#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
#include <utility>

#include <jerror.h>
#include <jpeglib.h>  // needs FILE of cstdio

#include <ballast/data/detail/exif.h>
#include <ballast/data/detail/image_codecs.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

/// libjpeg's errors come here, and jump back to `read`.
struct ErrorManager {
  jpeg_error_mgr base;  // first: libjpeg knows of nothing else
  std::jmp_buf back;
  std::array<char, JMSG_LENGTH_MAX> message;
};

const char* code_of(int message) {
  switch (message) {
    case JWRN_JPEG_EOF:
    case JERR_INPUT_EMPTY:
    case JERR_INPUT_EOF:
    case JERR_NO_IMAGE:
      return "TRUNC";
    case JERR_EMPTY_IMAGE:
      return "DIM";
    case JERR_IMAGE_TOO_BIG:
      return "LIMIT";
    default:
      return "DATA";
  }
}

/// libjpeg only warns where it fills in for pixels that are lost, and of other oddities.
bool loses_pixels(int message) {
  return message != JWRN_EXTRANEOUS_DATA && message != JWRN_ADOBE_XFORM && message != JWRN_JFIF_MAJOR &&
         message != JWRN_NOT_SEQUENTIAL && message != JWRN_BOGUS_PROGRESSION && message != JWRN_BOGUS_ICC;
}

extern "C" {
[[noreturn]] static void ballast_jpeg_error(j_common_ptr jpeg) {
  auto* errors = reinterpret_cast<ErrorManager*>(jpeg->err);
  errors->base.format_message(jpeg, errors->message.data());
  std::longjmp(errors->back, 1);
}
static void ballast_jpeg_message(j_common_ptr jpeg, int level) {
  if (level < 0 && loses_pixels(jpeg->err->msg_code)) ballast_jpeg_error(jpeg);
}
/// A progressive file may have any number of scans, each as slow to decode as an image.
static void ballast_jpeg_progress(j_common_ptr jpeg) {
  constexpr int max_scans = 100;
  if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number <= max_scans) return;
  auto* errors = reinterpret_cast<ErrorManager*>(jpeg->err);
  errors->base.msg_code = JERR_IMAGE_TOO_BIG;
  std::snprintf(errors->message.data(), errors->message.size(), "more than %d scans", max_scans);
  std::longjmp(errors->back, 1);
}
}

class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes, const std::string& name) : bytes_(bytes), name_(name) {
    jpeg_.err = jpeg_std_error(&errors_.base);
    errors_.base.error_exit = ballast_jpeg_error;
    errors_.base.emit_message = ballast_jpeg_message;
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { jpeg_destroy_decompress(&jpeg_); }

  Image image() {
    if (!read(true)) fail();
    const int64_t channels = jpeg_.output_components == 1 ? 1 : 3;
    return upright(from_interleaved(std::move(pixels_), channels, jpeg_.output_height, jpeg_.output_width),
                   orientation_);
  }

  ImageSize size() {
    if (!read(false)) fail();
    ImageSize size{jpeg_.jpeg_color_space == JCS_GRAYSCALE ? 1 : 3, jpeg_.image_height, jpeg_.image_width};
    if (lies_on_side(orientation_)) std::swap(size.rows, size.cols);
    return size;
  }

 private:
  [[noreturn]] void fail() const {
    throw FileError(name_, code_of(errors_.base.msg_code),
                    fmt::format("the JPEG can't be decoded ({})", errors_.message.data()));
  }

  /// False with a message when libjpeg refuses.
  bool read(bool pixels) {
    if (setjmp(errors_.back)) return false;
    jpeg_create_decompress(&jpeg_);
    progress_.progress_monitor = ballast_jpeg_progress;
    jpeg_.progress = &progress_;
    jpeg_mem_src(&jpeg_, bytes_.data(), bytes_.size());
    jpeg_save_markers(&jpeg_, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(&jpeg_, TRUE);
    for (auto* marker = jpeg_.marker_list; marker && orientation_ == 1; marker = marker->next)
      orientation_ = exif_orientation({marker->data, marker->data_length});
    check_image_size(jpeg_.image_height, jpeg_.image_width, name_);
    if (!pixels) return true;
    check_size();
    switch (jpeg_.jpeg_color_space) {
      case JCS_GRAYSCALE:
        jpeg_.out_color_space = JCS_GRAYSCALE;
        break;
      case JCS_CMYK:
      case JCS_YCCK:
        jpeg_.out_color_space = JCS_CMYK;
        break;
      default:
        jpeg_.out_color_space = JCS_RGB;
    }
    jpeg_start_decompress(&jpeg_);
    read_rows();
    jpeg_finish_decompress(&jpeg_);
    return true;
  }

  /// Each block of 8 x 8 pixels takes at least one bit.
  void check_size() const {
    const uint64_t blocks = uint64_t{jpeg_.image_height} * jpeg_.image_width / 64;
    if (blocks > 8 * bytes_.size())
      throw FileError(name_, "TRUNC",
                      fmt::format("{} x {} pixels can't come from {} bytes", jpeg_.image_height,
                                  jpeg_.image_width, bytes_.size()));
  }

  /// Reserving touches no page: memory grows with the data that really come.
  void read_rows() {
    const size_t cols = jpeg_.output_width, components = static_cast<size_t>(jpeg_.output_components);
    const size_t channels = components == 1 ? 1 : 3;
    pixels_.reserve(jpeg_.output_height * cols * channels);
    std::vector<uint8_t>& row = row_;
    row.resize(cols * components);
    while (jpeg_.output_scanline < jpeg_.output_height) {
      JSAMPROW to = row.data();
      jpeg_read_scanlines(&jpeg_, &to, 1);
      if (components == 4) rgb_from_cmyk(row);
      pixels_.insert(pixels_.end(), row.begin(), row.begin() + static_cast<std::ptrdiff_t>(cols * channels));
    }
  }

  /// In place. By Adobe's convention, which Pillow assumes as well, ink is stored inverted.
  static void rgb_from_cmyk(std::vector<uint8_t>& row) {
    for (size_t from = 0, to = 0; from < row.size(); from += 4) {
      const int light = row[from + 3];
      for (size_t c = 0; c < 3; ++c) {
        const int product = (255 - row[from + c]) * light + 128;
        row[to++] = static_cast<uint8_t>(light - ((product >> 8) + product) / 256);
      }
    }
  }

  std::span<const uint8_t> bytes_;
  const std::string& name_;
  jpeg_decompress_struct jpeg_{};
  jpeg_progress_mgr progress_{};
  ErrorManager errors_{};
  int orientation_ = 1;
  std::vector<uint8_t> pixels_, row_;
};

}  // namespace

Image decode_jpeg(std::span<const uint8_t> bytes, const std::string& name) {
  return Reader(bytes, name).image();
}

ImageSize jpeg_size(std::span<const uint8_t> bytes, const std::string& name) {
  return Reader(bytes, name).size();
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
