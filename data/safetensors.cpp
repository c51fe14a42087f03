#include <ballast/data/safetensors.h>

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <system_error>

#include <ballast/data/atomic_file.h>
#include <ballast/data/detail/half.h>
#include <ballast/data/safetensors_header.h>
#include <ballast/data/text.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

/// Opens a regular file: anything else could block or never end.
std::FILE* open_regular(const std::string& path, uint64_t* size) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0)
    throw FileError(path, "OPEN", std::generic_category().message(errno));
  if (!S_ISREG(status.st_mode)) throw FileError(path, "OPEN", "not a regular file");
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) throw FileError(path, "OPEN", std::generic_category().message(errno));
  *size = static_cast<uint64_t>(status.st_size);
  return file;
}

void read_bytes(const std::string& path, std::FILE* file, void* bytes, size_t count) {
  if (std::fread(bytes, 1, count, file) == count) return;
  if (std::ferror(file)) throw FileError(path, "READ", std::generic_category().message(errno));
  throw FileError(path, "TRUNC", "the file became shorter while it was read");
}

std::string read_header_text(const std::string& path, std::FILE* file, uint64_t file_size) {
  constexpr std::string_view pointer = "version https://git-lfs";
  std::string start(std::min<uint64_t>(file_size, pointer.size()), '\0');
  read_bytes(path, file, start.data(), start.size());
  if (start == pointer) {
    throw FileError(path, "MAGIC",
                    "this is a git-LFS pointer, not the file itself; fetch it with `git lfs pull`");
  }
  if (start.size() < safetensors_prefix) {
    throw FileError(path, "TRUNC",
                    fmt::format("the file ends within the length of its header at byte {}", file_size));
  }
  uint64_t length = 0;
  std::memcpy(&length, start.data(), sizeof length);
  if (length > max_safetensors_header) {
    if (start.starts_with("PK\3\4") || start.starts_with("\x80\2"))  // a zip archive, or a pickle
      throw FileError(path, "MAGIC",
                      "this is no safetensors file but looks like one of torch.save; in Python, load it and "
                      "write its state_dict with safetensors.torch.save_file");
    throw FileError(path, "LIMIT",
                    fmt::format("a header of {} bytes, the format allows {}; not a safetensors file?", length,
                                max_safetensors_header));
  }
  if (length > file_size - safetensors_prefix) {
    throw FileError(path, "TRUNC",
                    fmt::format("a header of {} bytes, but the file ends at byte {}", length, file_size));
  }
  std::string text(length, '\0');
  std::fseek(file, safetensors_prefix, SEEK_SET);
  read_bytes(path, file, text.data(), text.size());
  return text;
}

/// The tensors must cover the data from first to last byte, in any order, without holes or overlaps. A tensor
/// of no elements may stand wherever another one begins or ends.
void check_layout(const std::string& path, const std::map<std::string, SafetensorsEntry>& entries,
                  uint64_t data_start, uint64_t file_size) {
  using Item = std::pair<const std::string, SafetensorsEntry>;
  std::vector<const Item*> items;
  items.reserve(entries.size());
  for (const Item& item : entries) items.push_back(&item);
  const auto extent = [](const Item* item) { return std::pair(item->second.begin, item->second.end); };
  std::sort(items.begin(), items.end(), [&](const Item* a, const Item* b) { return extent(a) < extent(b); });

  uint64_t position = 0;
  for (const Item* item : items) {
    const uint64_t begin = item->second.begin;
    if (begin != position) {
      throw FileError(path, begin < position ? "OVERLAP" : "HOLE",
                      fmt::format("tensor {} begins at offset {}, but the data before it end at {}",
                                  in_quotes(item->first), begin, position));
    }
    position = item->second.end;
    //~ position = begin;
  }
  const uint64_t data_size = file_size - data_start;
  if (position > data_size) {
    throw FileError(path, "TRUNC",
                    fmt::format("the tensors take {} bytes, but only {} follow the header; the file ends at "
                                "byte {}",
                                position, data_size, file_size));
  }
  if (position < data_size) {
    throw FileError(path, "TRAIL",
                    fmt::format("{} bytes after the last tensor at byte {}", data_size - position,
                                data_start + position));
  }
}

template <class Value>
std::string_view bytes_of(const Value* data, const Shape& shape) {
  return {reinterpret_cast<const char*>(data), static_cast<size_t>(shape.count()) * sizeof(Value)};
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::string path) : path_(std::move(path)) {
  uint64_t file_size = 0;
  file_.reset(open_regular(path_, &file_size));
  const std::string text = read_header_text(path_, file_.get(), file_size);
  data_start_ = safetensors_prefix + text.size();
  SafetensorsHeader header = parse_safetensors_header(path_, text);
  check_layout(path_, header.entries, data_start_, file_size);
  entries_ = std::move(header.entries);
  metadata_ = std::move(header.metadata);
}

const SafetensorsEntry& SafetensorsFile::entry(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end())
    throw FileError(path_, "NAME", fmt::format("no tensor is named {}", in_quotes(name)));
  return found->second;
}

template <class Stored, class Value>
void SafetensorsFile::read_as(const std::string& name, const SafetensorsEntry& entry,
                              std::span<Value> out) const {
  check<ShapeError>(static_cast<int64_t>(out.size()) == entry.shape.count(),
                    "{}: tensor {} has shape {}, so it can't be read into {} elements", path_,
                    in_quotes(name), entry.shape, out.size());
  if (::fseeko(file_.get(), static_cast<off_t>(data_start_ + entry.begin), SEEK_SET) != 0) {
    throw FileError(path_, "READ", std::generic_category().message(errno));
  }
  if constexpr (std::is_same_v<Stored, Value>) {
    read_bytes(path_, file_.get(), out.data(), out.size_bytes());
  } else {
    std::array<Stored, 4096> block;
    while (!out.empty()) {
      const size_t count = std::min(out.size(), block.size());
      read_bytes(path_, file_.get(), block.data(), count * sizeof(Stored));
      std::transform(block.begin(), block.begin() + static_cast<std::ptrdiff_t>(count), out.begin(),
                     [](Stored value) { return static_cast<Value>(value); });
      out = out.subspan(count);
    }
  }
}

template <class Value>
void SafetensorsFile::read_floating(const std::string& name, const SafetensorsEntry& entry,
                                    std::span<Value> out, const char* advice) const {
  switch (entry.dtype) {
    case DType::f64:
      return read_as<double>(name, entry, out);
    case DType::f32:
      return read_as<float>(name, entry, out);
    case DType::f16:
      return read_as<detail::F16>(name, entry, out);
    case DType::bf16:
      return read_as<detail::Bf16>(name, entry, out);
    default:
      throw FileError(path_, "DTYPE",
                      fmt::format("tensor {} is {}, a legal type, but not supported here; store it as {}",
                                  in_quotes(name), dtype_name(entry.dtype), advice));
  }
}

void SafetensorsFile::read(const std::string& name, std::span<real> out) const {
  read_floating(name, entry(name), out, "F32, F64, F16 or BF16");
}

void SafetensorsFile::read(const std::string& name, std::span<int64_t> out) const {
  const SafetensorsEntry& entry = this->entry(name);
  switch (entry.dtype) {
    case DType::i64:
      return read_as<int64_t>(name, entry, out);
    case DType::i32:
      return read_as<int32_t>(name, entry, out);
    case DType::u32:
      return read_as<uint32_t>(name, entry, out);
    case DType::i16:
      return read_as<int16_t>(name, entry, out);
    case DType::u16:
      return read_as<uint16_t>(name, entry, out);
    case DType::i8:
      return read_as<int8_t>(name, entry, out);
    case DType::u8:
    case DType::boolean:
      return read_as<uint8_t>(name, entry, out);
    default:
      return read_whole(name, entry, out);
  }
}

/// From a file whose every tensor was cast to a floating-point type, counters included.
void SafetensorsFile::read_whole(const std::string& name, const SafetensorsEntry& entry,
                                 std::span<int64_t> out) const {
  std::vector<double> values(out.size());
  read_floating(name, entry, std::span(values), "I64");
  for (size_t i = 0; i < out.size(); ++i) {
    constexpr double exact = 0x1p53;  // beyond it not every whole number is a double
    if (!(std::abs(values[i]) <= exact) || std::trunc(values[i]) != values[i])
      throw FileError(
          path_, "DTYPE",
          fmt::format("tensor {} is {} and holds {}, where whole numbers are expected; store it as I64",
                      in_quotes(name), dtype_name(entry.dtype), values[i]));
    out[i] = static_cast<int64_t>(values[i]);
    //~ out[0] = static_cast<int64_t>(values[i]);
  }
}

SafetensorsTensor::SafetensorsTensor(std::string tensor_name, const Shape& tensor_shape, const real* data)
    : name(std::move(tensor_name)),
      dtype(sizeof(real) == 8 ? DType::f64 : DType::f32),
      shape(tensor_shape),
      bytes(bytes_of(data, shape)) {}

SafetensorsTensor::SafetensorsTensor(std::string tensor_name, const Shape& tensor_shape, const int64_t* data)
    : name(std::move(tensor_name)), dtype(DType::i64), shape(tensor_shape), bytes(bytes_of(data, shape)) {}

void write_safetensors(const std::string& path, std::vector<SafetensorsTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::stable_sort(tensors.begin(), tensors.end(),
                   [](const SafetensorsTensor& a, const SafetensorsTensor& b) {
                     return dtype_bits(a.dtype) > dtype_bits(b.dtype);
                   });
  const std::string text = format_safetensors_header(path, tensors, metadata);
  const uint64_t length = text.size();
  std::vector<std::string_view> parts = {{reinterpret_cast<const char*>(&length), sizeof length}, text};
  for (const SafetensorsTensor& tensor : tensors) parts.push_back(tensor.bytes);
  write_file_atomically(path, parts);
}

}  // namespace ballast::inline BALLAST_PRECISION
