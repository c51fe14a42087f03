#include <ballast/data/safetensors_header.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include <ballast/data/text.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

struct DTypeInfo {
  std::string_view name;
  uint64_t bits;
};

// In the order of DType.
constexpr std::array<DTypeInfo, 20> dtypes = {
    {{"BOOL", 8},    {"U8", 8},      {"I8", 8},      {"U16", 16},    {"I16", 16}, {"U32", 32}, {"I32", 32},
     {"U64", 64},    {"I64", 64},    {"F16", 16},    {"BF16", 16},   {"F32", 32}, {"F64", 64}, {"F8_E4M3", 8},
     {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4},   {"C64", 64}}};

constexpr std::string_view metadata_name = "__metadata__";

/// Refuses what the JSON parser would accept or pay too much for: bytes that aren't UTF-8, endless text, deep
/// nesting, and NUL bytes, which nlohmann/json takes for the end of the text.
void check_text(const std::string& path, std::string_view text) {
  constexpr int max_depth = 8;
  const auto fail = [&](const char* code, std::string detail, size_t at) {
    throw FileError(path, code, fmt::format("{} at byte {}", detail, safetensors_prefix + at));
  };
  if (text.size() > max_safetensors_text)
    fail("LIMIT", "the header's text exceeds 8 MiB", max_safetensors_text);
  const size_t invalid = first_invalid_utf8(text);
  if (invalid < text.size()) fail("UTF8", "the header is not valid UTF-8", invalid);

  int depth = 0;
  bool in_string = false;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '\0') fail("JSON", "the header holds a NUL byte", at);
    if (c == '"') in_string = !in_string;
    if (in_string) {
      if (c == '\\') ++at;  // the next one can't end the string
      continue;
    }
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (depth > max_depth)
      fail("LIMIT", fmt::format("the header nests deeper than {} levels", max_depth), at);
  }
  if (text.empty() || text.front() != '{') fail("JSON", "the header must be an object and begin with '{'", 0);
}

/// Receives the header's JSON from nlohmann/json piece by piece. `place_` says what may come next; whatever
/// else comes is refused there, under the code that fits the place. The parser itself sees to the grammar.
class HeaderReader {
 public:
  explicit HeaderReader(const std::string& path) : path_(path) {}

  SafetensorsHeader header;

  bool start_object(size_t) {
    if (place_ == Place::file) return go(Place::names);
    if (place_ == Place::tensor) return go(Place::fields);
    if (place_ == Place::metadata) return go(Place::pairs);
    return refuse("an object");
  }

  bool key(std::string& key) {
    if (place_ == Place::names) return start_name(key);
    if (place_ == Place::fields) return start_field(key);
    return start_pair(key);
  }

  bool end_object() {
    if (place_ == Place::fields) finish_tensor();
    return go(Place::names);
  }

  bool start_array(size_t) {
    if (place_ == Place::shape) return go(Place::sizes);
    if (place_ == Place::data_offsets) return go(Place::offsets);
    return refuse("an array");
  }

  bool end_array() { return go(Place::fields); }

  bool string(std::string& value) {
    if (place_ == Place::pairs) {
      *metadata_value_ = value;
      return true;
    }
    if (place_ != Place::dtype) return refuse(in_quotes(value));
    const auto found =
        std::find_if(dtypes.begin(), dtypes.end(), [&](const DTypeInfo& info) { return info.name == value; });
    if (found == dtypes.end()) fail("DTYPE", fmt::format("{} is no type of the format", in_quotes(value)));
    dtype_ = static_cast<DType>(found - dtypes.begin());
    return go(Place::fields);
  }

  bool number_unsigned(uint64_t value) {
    if (place_ != Place::sizes && place_ != Place::offsets) return refuse(std::to_string(value));
    if (value > uint64_t{std::numeric_limits<int64_t>::max()}) {
      fail("OVERFLOW", fmt::format("{} does not fit in 63 bits", value));
    }
    return place_ == Place::sizes ? add_size(static_cast<int64_t>(value)) : add_offset(value);
  }

  // Only numbers that aren't integers from 0 to 2^64-1 get here.
  bool number_integer(int64_t value) { return refuse_number(std::to_string(value)); }
  bool number_float(double, const std::string& text) { return refuse_number(text); }
  bool boolean(bool value) { return refuse(value ? "true" : "false"); }
  bool null() { return refuse("null"); }
  bool binary(std::vector<uint8_t>&) { return refuse("binary data"); }  // never called for text

  bool parse_error(size_t position, const std::string& token, const nlohmann::json::exception& error) {
    constexpr int number_overflow = 406;
    if (error.id == number_overflow) return refuse_number(token);
    std::string_view what = error.what();
    what = what.substr(what.find(": ") + 2);
    throw FileError(
        path_, "JSON",
        fmt::format("{} at byte {}", in_quotes(what), safetensors_prefix + position - (position > 0)));
  }

 private:
  enum class Place {
    file,
    names,
    tensor,
    fields,
    dtype,
    shape,
    sizes,
    data_offsets,
    offsets,
    metadata,
    pairs
  };

  bool go(Place place) {
    place_ = place;
    return true;
  }

  [[noreturn]] void fail(const char* code, const std::string& detail) const {
    throw FileError(path_, code, fmt::format("tensor {}: {}", in_quotes(*name_), detail));
  }

  /// A value that may not stand here, whatever it is.
  bool refuse(const std::string& value) const {
    switch (place_) {
      case Place::tensor:
        fail("SCHEMA", value + " where an object should describe it");
      case Place::dtype:
        fail("SCHEMA", value + " as dtype, which must be a string");
      case Place::shape:
        fail("SCHEMA", value + " as shape, which must be an array");
      case Place::sizes:
        fail("DIM", value + " in shape; sizes are integers from 0 on");
      case Place::data_offsets:
        fail("SCHEMA", value + " as data_offsets, which must be an array of two integers");
      case Place::offsets:
        fail("SCHEMA", value + " in data_offsets, which must be two integers");
      default:
        throw FileError(path_, "SCHEMA",
                        fmt::format("{}: {}; it maps strings to strings", metadata_name, value));
    }
  }

  bool refuse_number(const std::string& text) const {
    if (place_ == Place::offsets)
      fail("RANGE", in_quotes(text) + " in data_offsets, which must be two integers from 0 on");
    return refuse(in_quotes(text));
  }

  bool start_name(const std::string& name) {
    if (header.entries.size() + header.metadata.size() >= max_safetensors_names) too_many_names();
    if (name == metadata_name) {
      if (has_metadata_) throw FileError(path_, "DUPKEY", fmt::format("{} appears twice", metadata_name));
      has_metadata_ = true;
      return go(Place::metadata);
    }
    if (name.find('\0') != std::string::npos) {
      throw FileError(path_, "NAME", fmt::format("the tensor name {} holds a NUL", in_quotes(name)));
    }
    const auto [position, is_new] = header.entries.try_emplace(name);
    name_ = &position->first;
    entry_ = &position->second;
    if (!is_new) fail("DUPKEY", "appears twice");
    dtype_.reset();
    rank_ = offset_count_ = 0;
    has_shape_ = has_offsets_ = false;
    return go(Place::tensor);
  }

  bool start_field(const std::string& field) {
    const auto once = [&](bool seen, Place place) {
      if (seen) fail("DUPKEY", field + " appears twice");
      return go(place);
    };
    if (field == "dtype") return once(dtype_.has_value(), Place::dtype);
    if (field == "shape") return once(std::exchange(has_shape_, true), Place::shape);
    if (field == "data_offsets") return once(std::exchange(has_offsets_, true), Place::data_offsets);
    fail("SCHEMA", fmt::format("unknown key {}; known are dtype, shape and data_offsets", in_quotes(field)));
  }

  bool start_pair(const std::string& key) {
    if (header.entries.size() + header.metadata.size() >= max_safetensors_names) too_many_names();
    const auto [position, is_new] = header.metadata.try_emplace(key);
    if (!is_new)
      throw FileError(path_, "DUPKEY", fmt::format("{}: {} appears twice", metadata_name, in_quotes(key)));
    metadata_value_ = &position->second;
    return true;
  }

  [[noreturn]] void too_many_names() const {
    throw FileError(path_, "LIMIT", fmt::format("more than {} names in the header", max_safetensors_names));
  }

  bool add_size(int64_t size) {
    if (rank_ == Shape::max_rank)
      fail("LIMIT", fmt::format("Ballast tensors have at most {} axes", Shape::max_rank));
    sizes_[static_cast<size_t>(rank_++)] = size;
    return true;
  }

  bool add_offset(uint64_t offset) {
    (offset_count_++ == 0 ? entry_->begin : entry_->end) = offset;
    return true;
  }

  void finish_tensor() {
    if (!dtype_) fail("SCHEMA", "dtype is missing");
    if (!has_shape_) fail("SCHEMA", "shape is missing");
    if (!has_offsets_) fail("SCHEMA", "data_offsets is missing");
    if (offset_count_ != 2) fail("SCHEMA", "data_offsets must be two integers");
    const uint64_t bits = shape_bits();
    entry_->dtype = *dtype_;
    entry_->shape = Shape(sizes_.data(), rank_);
    if (entry_->end < entry_->begin) {
      fail("RANGE", fmt::format("ends at {}, before it begins at {}", entry_->end, entry_->begin));
    }
    if (bits % 8 != 0 || entry_->end - entry_->begin != bits / 8) {
      fail("RANGE",
           fmt::format("data_offsets span {} bytes, but {} of shape {} take {}", entry_->end - entry_->begin,
                       dtype_name(*dtype_), entry_->shape, static_cast<double>(bits) / 8));
    }
  }

  /// Size of the tensor in bits, with the product checked; Shape itself stops at 2^60 elements.
  uint64_t shape_bits() const {
    const auto end = sizes_.begin() + rank_;
    if (std::find(sizes_.begin(), end, 0) != end) return 0;
    int64_t bits = static_cast<int64_t>(dtype_bits(*dtype_));
    int64_t count = 1;
    for (auto size = sizes_.begin(); size != end; ++size) {
      if (__builtin_mul_overflow(bits, *size, &bits) || __builtin_mul_overflow(count, *size, &count) ||
          count >= int64_t{1} << 60) {
        fail("OVERFLOW",
             fmt::format("a shape of {} is too large for any file", fmt::join(sizes_.begin(), end, " x ")));
      }
    }
    return static_cast<uint64_t>(bits);
  }

  const std::string& path_;
  Place place_ = Place::file;
  bool has_metadata_ = false;
  std::string* metadata_value_ = nullptr;

  // The tensor being read.
  const std::string* name_ = nullptr;
  SafetensorsEntry* entry_ = nullptr;
  std::optional<DType> dtype_;
  std::array<int64_t, Shape::max_rank> sizes_{};
  int rank_ = 0;
  int offset_count_ = 0;
  bool has_shape_ = false;
  bool has_offsets_ = false;
};

void check_written_name(const std::string& path, const std::string& name) {
  if (name == metadata_name) {
    throw FileError(path, "SCHEMA", fmt::format("a tensor can't be named {}; rename it", metadata_name));
  }
  if (name.find('\0') != std::string::npos) {
    throw FileError(path, "NAME", fmt::format("the tensor name {} holds a NUL; rename it", in_quotes(name)));
  }
}

}  // namespace

std::string_view dtype_name(DType dtype) { return dtypes[static_cast<size_t>(dtype)].name; }

uint64_t dtype_bits(DType dtype) { return dtypes[static_cast<size_t>(dtype)].bits; }

SafetensorsHeader parse_safetensors_header(const std::string& path, std::string_view text) {
  text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);  // the padding
  check_text(path, text);
  HeaderReader reader(path);
  nlohmann::json::sax_parse(text, &reader);
  return std::move(reader.header);
}

std::string format_safetensors_header(const std::string& path, const std::vector<SafetensorsTensor>& tensors,
                                      const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[std::string(metadata_name)] = metadata;
  uint64_t begin = 0;
  for (const SafetensorsTensor& tensor : tensors) {
    check_written_name(path, tensor.name);
    if (header.contains(tensor.name)) {
      throw FileError(path, "DUPKEY", fmt::format("two tensors are named {}", in_quotes(tensor.name)));
    }
    const uint64_t end = begin + tensor.bytes.size();
    header[tensor.name] = {{"dtype", dtype_name(tensor.dtype)},
                           {"shape", std::vector<int64_t>(tensor.shape.begin(), tensor.shape.end())},
                           {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::type_error&) {
    throw FileError(path, "UTF8", "a tensor's name or the metadata are not valid UTF-8");
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  if (text.size() > max_safetensors_text || tensors.size() + metadata.size() > max_safetensors_names) {
    throw FileError(path, "LIMIT", "too many names or too long metadata for one file");
  }
  return text;
}

}  // namespace ballast::inline BALLAST_PRECISION
