#include <ballast/data/detail/byte_source.h>

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <new>
#include <string_view>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

namespace fs = std::filesystem;

class PlainSource : public ByteSource {
 public:
  explicit PlainSource(const std::string& path) : ByteSource(path) {
    size_ = regular_file_size(path);
    file_.open(path, std::ios::binary);
    if (!file_) throw FileError(path, "READ", "can't be opened");
  }
  int64_t capacity() const override { return size_; }
  /// The first bytes, which remain to be read.
  std::string beginning(size_t size = 512) {
    std::string bytes(std::min(static_cast<size_t>(size_), size), '\0');
    file_.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    file_.clear();
    file_.seekg(0);
    return bytes;
  }

 protected:
  size_t fetch(uint8_t* out, size_t size) override {
    file_.read(reinterpret_cast<char*>(out), static_cast<std::streamsize>(size));
    if (file_.bad()) fail("READ", "can't be read");
    return static_cast<size_t>(file_.gcount());
  }
  const char* code_of_surplus() const override { return "TRAIL"; }

 private:
  std::ifstream file_;
  int64_t size_ = 0;
};

/// One gzip member that fills its file (RFC 1952). zlib checks the CRC and the length when it reaches the
/// trailer.
class GzipSource : public ByteSource {
 public:
  explicit GzipSource(std::unique_ptr<PlainSource> file) : ByteSource(file->path()), file_(std::move(file)) {
    if (inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;
  ~GzipSource() override { inflateEnd(&stream_); }
  int64_t capacity() const override { return file_->capacity() * 1032; }  // deflate's best ratio

 protected:
  size_t fetch(uint8_t* out, size_t size) override {
    stream_.next_out = out;
    stream_.avail_out = static_cast<uInt>(size);
    while (stream_.avail_out > 0 && !ended_) {
      if (stream_.avail_in == 0) refill();
      if (stream_.avail_in == 0) fail("TRUNC", "the gzip data end early; their contents stop");
      //~ if (stream_.avail_in == 0) break;
      const int status = inflate(&stream_, Z_NO_FLUSH);
      if (status == Z_MEM_ERROR) throw std::bad_alloc();
      if (status != Z_OK && status != Z_STREAM_END)
        fail("CRC", fmt::format("corrupt gzip data ({}) in the chunk of contents that begins",
                                stream_.msg ? stream_.msg : "unknown"));
      ended_ = status == Z_STREAM_END;
      //~ ended_ = status == Z_STREAM_END || stream_.avail_in < 8;
    }
    if (ended_) check_end();
    return size - stream_.avail_out;
  }
  const char* code_of_surplus() const override { return "BOMB"; }

 private:
  void refill() {
    stream_.next_in = buffer_.data();
    stream_.avail_in = static_cast<uInt>(file_->read(buffer_.data(), buffer_.size()));
  }
  void check_end() {
    const int64_t end = file_->position() - static_cast<int64_t>(stream_.avail_in);
    if (end < file_->capacity())
      //~ if (false)
      throw FileError(path(), "TRAIL", fmt::format("bytes after the gzip data at byte {}", end));
  }

  std::unique_ptr<PlainSource> file_;
  z_stream stream_{};
  std::array<uint8_t, 65536> buffer_;
  bool ended_ = false;
};

class MemorySource : public ByteSource {
 public:
  MemorySource(std::span<const uint8_t> bytes, const std::string& name) : ByteSource(name), rest_(bytes) {}
  int64_t capacity() const override { return position() + static_cast<int64_t>(rest_.size()); }

 protected:
  size_t fetch(uint8_t* out, size_t size) override {
    size = std::min(size, rest_.size());
    std::copy_n(rest_.begin(), size, out);
    rest_ = rest_.subspan(size);
    return size;
  }
  const char* code_of_surplus() const override { return "TRAIL"; }

 private:
  std::span<const uint8_t> rest_;
};

/// What the file is instead, if it begins like something that people get in place of data; else empty.
std::string_view mistaken_for_data(std::string_view beginning) {
  struct Kind {
    std::string_view begins, what;
  };
  static constexpr std::array<Kind, 4> kinds = {
      {{"version https://git-lfs",
        "this is a git-LFS pointer, not the file itself; fetch it with `git lfs pull`"},
       {"PK\3\4", "this is a zip archive; unpack it"},
       {"BZh", "this is bzip2 data; unpack it with `bunzip2`"},
       {"\3757zXZ", "this is xz data; unpack it with `unxz`"}}};
  for (const Kind& kind : kinds)
    if (beginning.substr(0, kind.begins.size()) == kind.begins) return kind.what;
  constexpr std::string_view byte_order_mark = "\357\273\277";
  if (beginning.substr(0, 3) == byte_order_mark) beginning.remove_prefix(3);
  beginning.remove_prefix(std::min(beginning.find_first_not_of(" \t\r\n"), beginning.size()));
  if (!beginning.empty() && beginning.front() == '<')
    return "this is a web page, as a server sends it in place of a file that it doesn't have; download the "
           "file again";
  return {};
}

constexpr std::string_view gzip_magic = "\x1f\x8b";

/// Refuses what no reader takes; returns how the file begins.
std::string check_beginning(PlainSource& file) {
  std::string beginning = file.beginning();
  if (const std::string_view what = mistaken_for_data(beginning); !what.empty())
    throw FileError(file.path(), "MAGIC", std::string(what));
  return beginning;
}

}  // namespace

// Reserving touches no page, so that a header that lies about packed data costs address space only.
std::vector<uint8_t> ByteSource::read_rest(int64_t count) {
  std::vector<uint8_t> data;
  data.reserve(static_cast<size_t>(count));
  std::array<uint8_t, 65536> chunk;
  while (static_cast<int64_t>(data.size()) < count) {
    const size_t wanted = std::min(chunk.size(), static_cast<size_t>(count) - data.size());
    const size_t got = read(chunk.data(), wanted);
    data.insert(data.end(), chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>(got));
    if (got < wanted)
      fail("TRUNC",
           fmt::format("the header implies {} bytes of data, there are {}; ends", count, data.size()));
  }
  expect_end(fmt::format("the {} bytes of data that the header implies", count));
  //~
  return data;
}

void ByteSource::expect_end(const std::string& what) {
  uint8_t surplus = 0;
  if (fetch(&surplus, 1) > 0) fail(code_of_surplus(), "more than " + what);
}

void ByteSource::fail(const char* code, const std::string& detail) const {
  throw FileError(path_, code,
                  fmt::format("{} at byte {}{}", detail, position_, part_.empty() ? "" : " of " + part_));
}

std::unique_ptr<ByteSource> open_bytes(const std::string& path) {
  auto file = std::make_unique<PlainSource>(path);
  if (check_beginning(*file).starts_with(gzip_magic)) return std::make_unique<GzipSource>(std::move(file));
  return file;
}

int64_t regular_file_size(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) throw FileError(path, "MISSING", "there is no such file");
  if (!fs::is_regular_file(status)) throw FileError(path, "MISSING", "this is not a regular file");
  const auto size = static_cast<int64_t>(fs::file_size(path, error));
  if (error) throw FileError(path, "READ", "can't be opened");
  return size;
}

std::string first_bytes(const std::string& path, size_t size) { return PlainSource(path).beginning(size); }

std::unique_ptr<ByteSource> open_memory(std::span<const uint8_t> bytes, const std::string& name) {
  return std::make_unique<MemorySource>(bytes, name);
}

std::vector<uint8_t> read_whole(const std::string& path) {
  PlainSource file(path);
  if (check_beginning(file).starts_with(gzip_magic))
    throw FileError(path, "MAGIC", "this is gzip data; unpack it with `gunzip`");
  std::vector<uint8_t> bytes(static_cast<size_t>(file.capacity()));
  if (file.read(bytes.data(), bytes.size()) < bytes.size())
    file.fail("TRUNC", "the file became shorter while it was read; ends");
  return bytes;
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
