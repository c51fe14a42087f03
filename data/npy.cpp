#include <ballast/data/npy.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include <ballast/data/atomic_file.h>
#include <ballast/data/detail/half.h>
#include <ballast/data/detail/npy_header.h>
#include <ballast/data/detail/zip.h>
#include <ballast/data/text.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

static_assert(std::endian::native == std::endian::little, ".npy files are read where they are little-endian");

using detail::ByteSource;
constexpr std::string_view magic = "\x93NUMPY";

std::string read_text(ByteSource& source, size_t length, const char* what) {
  std::string text(length, '\0');
  if (source.read(reinterpret_cast<uint8_t*>(text.data()), length) < length)
    source.fail("TRUNC", fmt::format("ends within {}", what));
  return text;
}

std::string read_header_text(ByteSource& source) {
  const std::string start = read_text(source, magic.size(), "the magic number");
  if (start != magic) source.fail("MAGIC", "this is no .npy file; its magic number should end");
  const std::string version = read_text(source, 2, "the version");
  if (version != std::string("\1\0", 2) && version != std::string("\2\0", 2) &&
      version != std::string("\3\0", 2))
    source.fail("MAGIC",
                fmt::format("version {}.{} of the format, which is not known; the version ends",
                            static_cast<unsigned char>(version[0]), static_cast<unsigned char>(version[1])));
  const std::string bytes = read_text(source, version[0] == 1 ? 2 : 4, "the header's length");
  int64_t length = 0;
  std::memcpy(&length, bytes.data(), bytes.size());
  constexpr int64_t longest = 10000;  // as in NumPy
  if (length > source.capacity() - source.position())
    source.fail("TRUNC", fmt::format("a header of {} bytes, beyond the end of the file; it begins", length));
  if (length > longest)
    source.fail("LIMIT",
                fmt::format("a header of {} bytes, at most {} are read; it begins", length, longest));
  return read_text(source, static_cast<size_t>(length), "the header");
}

/// Elements in C order from those of an array whose first index varies fastest.
std::vector<uint8_t> transposed(const std::vector<uint8_t>& from, const std::vector<int64_t>& shape,
                                size_t size) {
  std::vector<size_t> strides, index(shape.size(), 0);
  size_t stride = size;
  for (const int64_t length : shape) {
    strides.push_back(stride);
    stride *= static_cast<size_t>(length);
  }
  std::vector<uint8_t> to(from.size());
  size_t at = 0;
  for (size_t out = 0; out < to.size(); out += size) {
    std::memcpy(&to[out], &from[at], size);
    for (size_t axis = shape.size(); axis-- > 0;) {  // the next index, and where its element is
      at += strides[axis];
      if (++index[axis] < static_cast<size_t>(shape[axis])) break;
      at -= index[axis] * strides[axis];
      index[axis] = 0;
    }
  }
  return to;
}

NpyArray read(ByteSource& source) {
  const detail::NpyHeader header = detail::parse_npy_header(read_header_text(source), source);
  const int64_t size = detail::npy_item_size(header.dtype);
  int64_t bytes = size;
  bool overflow = false;
  for (const int64_t length : header.shape) overflow |= __builtin_mul_overflow(bytes, length, &bytes);
  const std::string shape = fmt::format("({})", fmt::join(header.shape, ", "));
  if (overflow)
    source.fail("OVERFLOW", fmt::format("shape {} is more than any file holds; the header ends", shape));
  if (bytes > source.capacity() - source.position())
    source.fail("TRUNC", fmt::format("shape {} implies {} bytes, the file can hold {}; the data begin", shape,
                                     bytes, source.capacity() - source.position()));
  NpyArray array{header.dtype, header.shape, source.read_rest(bytes)};
  if (header.fortran_order) array.bytes = transposed(array.bytes, array.shape, static_cast<size_t>(size));
  return array;
}

/// Calls `visit` with each element in the type it is stored in.
template <class Visit>
void for_each(const NpyArray& array, Visit visit) {
  const auto as = [&](auto example) {
    using Stored = decltype(example);
    for (size_t at = 0; at + sizeof(Stored) <= array.bytes.size(); at += sizeof(Stored)) {
      Stored value;
      std::memcpy(&value, &array.bytes[at], sizeof value);
      if constexpr (std::is_same_v<Stored, detail::F16>)
        visit(static_cast<float>(value));
      else
        visit(value);
    }
  };
  const std::string& type = array.dtype;
  if (type == "u1" || type == "b1") return as(uint8_t{});
  if (type == "i1") return as(int8_t{});
  if (type == "u2") return as(uint16_t{});
  if (type == "i2") return as(int16_t{});
  if (type == "u4") return as(uint32_t{});
  if (type == "i4") return as(int32_t{});
  if (type == "u8") return as(uint64_t{});
  if (type == "i8") return as(int64_t{});
  if (type == "f2") return as(detail::F16{});
  if (type == "f4") return as(float{});
  if (type == "f8") return as(double{});
  throw ValueError(fmt::format("an array can't have dtype {}", in_quotes(type)));
}

template <class T>
NpyArray array_of(const char* dtype, std::vector<int64_t> shape, std::span<const T> values) {
  NpyArray array{dtype, std::move(shape), std::vector<uint8_t>(values.size_bytes())};
  if (!values.empty()) std::memcpy(array.bytes.data(), values.data(), values.size_bytes());
  return array;
}

std::vector<uint8_t> encode(const NpyArray& array) {
  const int64_t size = detail::npy_item_size(array.dtype);
  check<ValueError>(size > 0, "an array can't have dtype {}", in_quotes(array.dtype));
  check<ShapeError>(static_cast<int64_t>(array.bytes.size()) == array.count() * size,
                    "an array of shape ({}) and dtype {} can't have {} bytes", fmt::join(array.shape, ", "),
                    array.dtype, array.bytes.size());
  std::string header =
      fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}{}), }}", size == 1 ? '|' : '<',
                  array.dtype, fmt::join(array.shape, ", "), array.shape.size() == 1 ? "," : "");
  constexpr size_t alignment = 64, before = magic.size() + 4;
  header.append(alignment - 1 - (before + header.size()) % alignment, ' ');
  header += '\n';
  std::string start(magic);
  start += {'\1', '\0', static_cast<char>(header.size()), static_cast<char>(header.size() >> 8)};
  start += header;
  std::vector<uint8_t> bytes(start.begin(), start.end());
  bytes.insert(bytes.end(), array.bytes.begin(), array.bytes.end());
  return bytes;
}

void write(const std::string& path, const std::vector<uint8_t>& bytes) {
  write_file_atomically(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace

int64_t NpyArray::count() const {
  int64_t product = 1;
  for (const int64_t size : shape) product *= size;
  return product;
}

std::vector<real> NpyArray::as_real() const {
  std::vector<real> values;
  values.reserve(static_cast<size_t>(count()));
  for_each(*this, [&](auto value) { values.push_back(static_cast<real>(value)); });
  return values;
}

std::vector<int64_t> NpyArray::as_int() const {
  std::vector<int64_t> values;
  values.reserve(static_cast<size_t>(count()));
  for_each(*this, [&](auto value) {
    bool whole = true;
    if constexpr (std::is_floating_point_v<decltype(value)>)
      whole = std::abs(value) <= 0x1p53 && std::trunc(value) == value;
    else if constexpr (std::is_same_v<decltype(value), uint64_t>)
      whole = value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    check<ValueError>(whole, "element {} of an array is {}, where whole numbers of 64 bits are expected",
                      values.size(), value);
    values.push_back(static_cast<int64_t>(value));
  });
  return values;
}

NpyArray npy_array(std::vector<int64_t> shape, std::span<const real> values) {
  return array_of(sizeof(real) == 8 ? "f8" : "f4", std::move(shape), values);
}

NpyArray npy_array(std::vector<int64_t> shape, std::span<const int64_t> values) {
  return array_of("i8", std::move(shape), values);
}

NpyArray read_npy(const std::string& path) { return read(*detail::open_bytes(path)); }

NpyArray decode_npy(std::span<const uint8_t> bytes, const std::string& name) {
  return read(*detail::open_memory(bytes, name));
}

std::map<std::string, NpyArray> read_npz(const std::string& path) {
  const detail::ZipArchive archive(path);
  std::map<std::string, NpyArray> arrays;
  for (size_t i = 0; i < archive.members().size(); ++i) {
    std::string name = archive.members()[i];
    if (name.ends_with(".npy")) name.resize(name.size() - 4);
    if (arrays.count(name)) throw FileError(path, "ZIP", fmt::format("two members are {}", in_quotes(name)));
    arrays.emplace(name, read(*archive.open(i)));
  }
  return arrays;
}

void write_npy(const std::string& path, const NpyArray& array) { write(path, encode(array)); }

void write_npz(const std::string& path, const std::map<std::string, NpyArray>& arrays) {
  std::map<std::string, std::vector<uint8_t>> members;
  for (const auto& [name, array] : arrays) members.emplace(name + ".npy", encode(array));
  write(path, detail::encode_zip(members));
}

}  // namespace ballast::inline BALLAST_PRECISION
