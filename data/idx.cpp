#include <ballast/data/idx.h>

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>

namespace ballast::inline BALLAST_PRECISION {
namespace {

namespace fs = std::filesystem;

/// The bytes of an IDX file, wherever they come from.
struct Source {
  std::string path;
  int64_t position = 0;  // bytes handed out so far
  int64_t capacity = 0;  // more than this the file can't hold

  explicit Source(const std::string& name) : path(name) {}
  virtual ~Source() = default;

  [[noreturn]] void fail(const char* code, const std::string& detail) const {
    throw FileError(path, code, fmt::format("{} at byte {}", detail, position));
  }
  /// Up to `size` bytes; fewer only at the end.
  size_t read(uint8_t* out, size_t size) {
    const size_t got = fetch(out, size);
    position += static_cast<int64_t>(got);
    return got;
  }
  /// What it is called when more follows than the header implies.
  virtual const char* surplus() const = 0;

 protected:
  virtual size_t fetch(uint8_t* out, size_t size) = 0;
};

class PlainSource : public Source {
 public:
  explicit PlainSource(const std::string& name) : Source(name) {
    std::error_code error;
    if (!fs::is_regular_file(path, error)) throw FileError(path, "MISSING", "there is no such file");
    capacity = static_cast<int64_t>(fs::file_size(path));
    file_.open(path, std::ios::binary);
    if (!file_) throw FileError(path, "READ", "can't be opened");
  }
  const char* surplus() const override { return "TRAIL"; }

 protected:
  size_t fetch(uint8_t* out, size_t size) override {
    file_.read(reinterpret_cast<char*>(out), static_cast<std::streamsize>(size));
    if (file_.bad()) fail("READ", "can't be read");
    return static_cast<size_t>(file_.gcount());
  }

 private:
  std::ifstream file_;
};

/// One gzip member that fills its file (RFC 1952). zlib checks the CRC and the length when it reaches the
/// trailer.
class GzipSource : public Source {
 public:
  explicit GzipSource(const std::string& name) : Source(name), file_(name) {
    capacity = file_.capacity * 1032;  // deflate's best ratio
    refill();
    if (stream_.avail_in == 0) fail("TRUNC", "the file is empty");
    if (buffer_[0] != 0x1f || (stream_.avail_in > 1 && buffer_[1] != 0x8b))
      fail("MAGIC", "named .gz but doesn't begin like gzip");
    if (inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  const char* surplus() const override { return "BOMB"; }

 protected:
  size_t fetch(uint8_t* out, size_t size) override {
    stream_.next_out = out;
    stream_.avail_out = static_cast<uInt>(size);
    while (stream_.avail_out > 0 && !ended_) {
      if (stream_.avail_in == 0) refill();
      if (stream_.avail_in == 0) fail("TRUNC", "the gzip data end early; their contents stop");
      const int status = inflate(&stream_, Z_NO_FLUSH);
      if (status == Z_MEM_ERROR) throw std::bad_alloc();
      if (status != Z_OK && status != Z_STREAM_END)
        fail("CRC", fmt::format("corrupt gzip data ({}) in the chunk of contents that begins",
                                stream_.msg ? stream_.msg : "unknown"));
      ended_ = status == Z_STREAM_END;
    }
    if (ended_) check_end();
    return size - stream_.avail_out;
  }

 private:
  void refill() {
    stream_.next_in = buffer_.data();
    stream_.avail_in = static_cast<uInt>(file_.read(buffer_.data(), buffer_.size()));
  }
  void check_end() {
    const int64_t end = file_.position - static_cast<int64_t>(stream_.avail_in);
    if (end < file_.capacity)
      throw FileError(path, "TRAIL", fmt::format("bytes after the gzip data at byte {}", end));
  }

  PlainSource file_;
  z_stream stream_{};
  std::array<uint8_t, 65536> buffer_;
  bool ended_ = false;
};

std::unique_ptr<Source> open_source(const std::string& path) {
  if (path.ends_with(".gz")) return std::make_unique<GzipSource>(path);
  return std::make_unique<PlainSource>(path);
}

/// Four big-endian bytes.
uint32_t read_word(Source& source) {
  std::array<uint8_t, 4> b{};
  if (source.read(b.data(), 4) < 4) source.fail("TRUNC", "ends within the IDX header");
  return uint32_t{b[0]} << 24 | uint32_t{b[1]} << 16 | uint32_t{b[2]} << 8 | b[3];
}

void check_magic(const Source& source, uint32_t magic, uint32_t rank) {
  const uint32_t expected = 0x0800 | rank;
  if (magic == expected) return;
  const auto name = [](uint32_t r) { return r == 3 ? "images" : "labels"; };
  std::string detail = "not an IDX file";
  if (magic == __builtin_bswap32(expected)) {
    detail = "an IDX file in little-endian order, which the format doesn't allow";
  } else if (magic == 0x0801 || magic == 0x0803) {
    detail = fmt::format("IDX {}, where IDX {} were expected", name(magic & 255), name(rank));
  } else if (magic >> 16 == 0x1f8b) {
    detail = "gzip data: give the file a name ending in .gz";
  } else if (magic >> 16 == 0 && (magic & 255) == rank) {
    detail = fmt::format("an IDX file of element type 0x{:02x}, where unsigned bytes (0x08) were expected",
                         magic >> 8);
  }
  throw FileError(
      source.path, "MAGIC",
      fmt::format("{} (the first word is 0x{:08x}, not 0x{:08x}) at byte 0", detail, magic, expected));
}

/// The product of the dimensions that follow the magic number, having checked that the file can hold as much.
template <size_t Rank>
int64_t read_dimensions(Source& source, std::array<int64_t, Rank>& dims) {
  int64_t count = 1;
  bool overflow = false;
  for (int64_t& dim : dims) {
    dim = read_word(source);
    if (dim == 0) source.fail("DIM", "a dimension is 0; the word that ends");
    overflow |= __builtin_mul_overflow(count, dim, &count);
  }
  const std::string shape = fmt::format("{}", fmt::join(dims, " x "));
  if (overflow)
    source.fail("OVERFLOW", fmt::format("{} bytes are more than any file holds; the header ends", shape));
  if (count > source.capacity - source.position) {
    // Beyond 2 GiB it is the header that is wrong, rather than a download that stopped.
    const bool absurd = count >= std::numeric_limits<int32_t>::max();
    source.fail(absurd ? "OVERFLOW" : "TRUNC",
                fmt::format("the header implies {} = {} bytes of data, the file can hold {}; the data begin",
                            shape, count, std::max<int64_t>(source.capacity - source.position, 0)));
  }
  return count;
}

/// The rest of the file, which must be `count` bytes. Reserving touches no page, so that a header that lies
/// about a gzip file costs address space only.
std::vector<uint8_t> read_data(Source& source, int64_t count) {
  std::vector<uint8_t> data;
  data.reserve(static_cast<size_t>(count));
  std::array<uint8_t, 65536> chunk;
  while (static_cast<int64_t>(data.size()) < count) {
    const size_t wanted = std::min(chunk.size(), static_cast<size_t>(count) - data.size());
    const size_t got = source.read(chunk.data(), wanted);
    data.insert(data.end(), chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>(got));
    if (got < wanted)
      source.fail("TRUNC",
                  fmt::format("the header implies {} bytes of data, there are {}; ends", count, data.size()));
  }
  if (source.read(chunk.data(), 1) > 0) {
    source.position -= 1;
    source.fail(source.surplus(),
                fmt::format("more than the {} bytes of data that the header implies", count));
  }
  return data;
}

template <size_t Rank>
std::vector<uint8_t> read_idx(const std::string& path, std::array<int64_t, Rank>& dims) {
  const auto source = open_source(path);
  check_magic(*source, read_word(*source), Rank);
  const int64_t count = read_dimensions(*source, dims);
  return read_data(*source, count);
}

/// The path of one of MNIST's files under the name it has in this folder; empty if it isn't there.
std::string find_file(const fs::path& folder, const std::string& stem, const std::string& kind) {
  for (const char* separator : {"-", "."})
    for (const char* suffix : {"", ".gz"}) {
      const fs::path path = folder / (stem + separator + kind + suffix);
      std::error_code error;
      if (fs::is_regular_file(path, error)) return path.string();
    }
  return "";
}

LabeledImages read_split(const std::string& folder, const std::string& name) {
  const std::string images = find_file(folder, name + "-images", "idx3-ubyte");
  const std::string labels = find_file(folder, name + "-labels", "idx1-ubyte");
  if (images.empty() || labels.empty()) {
    std::error_code error;
    throw FileError(
        folder, "MISSING",
        fmt::format("{}; looked for train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte "
                    "and t10k-labels-idx1-ubyte, also with .idx for -idx, and with .gz",
                    fs::is_directory(folder, error)
                        ? fmt::format("no {}-{} in this folder", name, images.empty() ? "images" : "labels")
                        : "there is no such folder"));
  }
  return read_idx_pair(images, labels);
}

}  // namespace

IdxImages read_idx_images(const std::string& path) {
  std::array<int64_t, 3> dims{};
  std::vector<uint8_t> pixels = read_idx(path, dims);
  return {dims[0], dims[1], dims[2], std::move(pixels)};
}

std::vector<uint8_t> read_idx_labels(const std::string& path) {
  std::array<int64_t, 1> dims{};
  return read_idx(path, dims);
}

LabeledImages read_idx_pair(const std::string& images, const std::string& labels) {
  LabeledImages pair{read_idx_images(images), read_idx_labels(labels)};
  if (pair.images.count != static_cast<int64_t>(pair.labels.size()))
    throw FileError(
        labels, "COUNT",
        fmt::format("{} labels for the {} images of {}", pair.labels.size(), pair.images.count, images));
  return pair;
}

MnistFiles read_mnist(const std::string& folder) {
  MnistFiles files{read_split(folder, "train"), read_split(folder, "t10k")};
  const IdxImages &a = files.train.images, &b = files.test.images;
  if (a.rows != b.rows || a.cols != b.cols)
    throw FileError(
        folder, "SHAPE",
        fmt::format("training images are {} x {}, test images {} x {}", a.rows, a.cols, b.rows, b.cols));
  return files;
}

}  // namespace ballast::inline BALLAST_PRECISION
