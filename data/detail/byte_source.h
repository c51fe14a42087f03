#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ballast/core/check.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// The bytes of a file from first to last, inflated when the file holds gzip data. Errors name the position
/// among the bytes handed out.
class ByteSource {
 public:
  /// `part` says which part of the file this is, if not all: "member 'x.npy'".
  explicit ByteSource(const std::string& path, const std::string& part = "") : path_(path), part_(part) {}
  virtual ~ByteSource() = default;

  const std::string& path() const { return path_; }
  int64_t position() const { return position_; }
  /// At most so many bytes can come, whatever a header claims: the file's size, or what deflate could have
  /// made it from.
  virtual int64_t capacity() const = 0;
  /// Fills `out` with up to `size` bytes; returns how many, fewer only at the end. Throws FileError READ,
  /// TRUNC (gzip data that end early), CRC (corrupt gzip data) or TRAIL (bytes after the gzip data).
  size_t read(uint8_t* out, size_t size) {
    const size_t got = fetch(out, size);
    position_ += static_cast<int64_t>(got);
    return got;
  }
  /// The rest of the source, which must be `count` bytes: what the header implies. Throws FileError TRUNC, or
  /// as `expect_end`. Memory grows with the data that really come.
  std::vector<uint8_t> read_rest(int64_t count);
  /// Nothing may be left. Throws FileError TRAIL, of gzip data BOMB, saying "more than `what`".
  void expect_end(const std::string& what);
  /// The position follows `detail`, as in "the file ends at byte 7".
  [[noreturn]] void fail(const char* code, const std::string& detail) const;

 protected:
  virtual size_t fetch(uint8_t* out, size_t size) = 0;
  virtual const char* code_of_surplus() const = 0;

 private:
  std::string path_, part_;
  int64_t position_ = 0;
};

/// What a file is, is decided by how it begins, not by its name. Throws FileError MISSING, READ, or MAGIC for
/// what no reader takes: a web page saved in place of the file, a git-LFS pointer, an archive.
std::unique_ptr<ByteSource> open_bytes(const std::string& path);

/// Throws FileError MISSING unless there is such a file, and a regular one.
int64_t regular_file_size(const std::string& path);

/// Up to `size` bytes.
std::string first_bytes(const std::string& path, size_t size);

/// Bytes in memory, which must outlive the source. Errors call them `name`.
std::unique_ptr<ByteSource> open_memory(std::span<const uint8_t> bytes, const std::string& name);

/// All bytes of a file, as they are stored. Throws as `open_bytes` does, and MAGIC for gzip data.
std::vector<uint8_t> read_whole(const std::string& path);

}  // namespace ballast::inline BALLAST_PRECISION::detail
