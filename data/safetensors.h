#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ballast/core/check.h>
#include <ballast/core/shape.h>

namespace ballast::inline BALLAST_PRECISION {

/// The element types of the format. Ballast reads f64, f32, f16 and bf16 as `real`, and boolean, the signed
/// integers and the unsigned ones up to 32 bits as int64; it writes `real` and int64.
enum class DType {
  boolean,
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  u64,
  i64,
  f16,
  bf16,
  f32,
  f64,
  f8_e4m3,
  f8_e5m2,
  f8_e8m0,
  f6_e2m3,
  f6_e3m2,
  f4,
  c64
};

/// The format's name of an element type, as in "BF16".
std::string_view dtype_name(DType dtype);

/// One tensor of a file. Its bytes are [begin, end) of the data that follows the header.
struct SafetensorsEntry {
  DType dtype;
  Shape shape;
  uint64_t begin;
  uint64_t end;
};

/// A safetensors file, opened for reading: names, shapes and types at once, values on demand. Not for
/// concurrent use. The constructor checks the whole header against the file and throws FileError with one of
/// the codes OPEN, TRUNC, LIMIT, MAGIC, UTF8, JSON, DUPKEY, DTYPE, SCHEMA, DIM, OVERFLOW, RANGE, OVERLAP,
/// HOLE, TRAIL, NAME. Beyond the format's own limits it refuses more than 6 axes, 100,000 names, and 8 MiB
/// of header text without its padding (LIMIT).
class SafetensorsFile {
 public:
  explicit SafetensorsFile(std::string path);

  const std::string& path() const { return path_; }
  /// The tensors by name, in alphabetical order.
  const std::map<std::string, SafetensorsEntry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  bool contains(const std::string& name) const { return entries_.count(name) != 0; }
  /// Throws FileError NAME when the file has no tensor of this name.
  const SafetensorsEntry& entry(const std::string& name) const;

  /// Copies a tensor's values to `out`, which must have as many elements. Throws FileError DTYPE unless the
  /// stored type is a floating-point one (for `real`) or an integer one (for int64) that Ballast reads; as
  /// int64, floating-point values are read too if all of them are whole.
  void read(const std::string& name, std::span<real> out) const;
  void read(const std::string& name, std::span<int64_t> out) const;

 private:
  template <class Stored, class Value>
  void read_as(const std::string& name, const SafetensorsEntry& entry, std::span<Value> out) const;
  template <class Value>
  void read_floating(const std::string& name, const SafetensorsEntry& entry, std::span<Value> out,
                     const char* advice) const;
  void read_whole(const std::string& name, const SafetensorsEntry& entry, std::span<int64_t> out) const;

  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  uint64_t data_start_ = 0;
  std::map<std::string, SafetensorsEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

/// A tensor to be written; `data` holds `shape.count()` elements and must live until then.
struct SafetensorsTensor {
  SafetensorsTensor(std::string tensor_name, const Shape& tensor_shape, const real* data);
  SafetensorsTensor(std::string tensor_name, const Shape& tensor_shape, const int64_t* data);

  std::string name;
  DType dtype;
  Shape shape;
  std::string_view bytes;
};

/// Writes the tensors to `path` atomically, larger element types first so that every tensor is aligned to its
/// type, else in the order given. Throws FileError NAME, SCHEMA (`__metadata__`), DUPKEY, UTF8 or LIMIT for
/// names that no reader would accept, WRITE when the disk refuses.
void write_safetensors(const std::string& path, std::vector<SafetensorsTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace ballast::inline BALLAST_PRECISION
