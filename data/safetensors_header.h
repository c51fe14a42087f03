#pragma once

#include <ballast/data/safetensors.h>

// The text of a safetensors header, apart from the file around it. Internal to data/.
namespace ballast::inline BALLAST_PRECISION {

inline constexpr uint64_t max_safetensors_header = 100'000'000;
inline constexpr size_t max_safetensors_text = size_t{8} << 20;  // of the header, without its padding
inline constexpr size_t max_safetensors_names = 100'000;
inline constexpr size_t safetensors_prefix = 8;  // the header's length, a little-endian u64

struct SafetensorsHeader {
  std::map<std::string, SafetensorsEntry> entries;
  std::map<std::string, std::string> metadata;
};

/// Reads the JSON text of a header. Checks everything that can be checked without the size of the data: each
/// entry's type, shape and offsets agree. Throws FileError for `path`.
SafetensorsHeader parse_safetensors_header(const std::string& path, std::string_view text);

/// The reverse: the header of `tensors` whose data follow each other, padded with spaces to a multiple of 8
/// bytes.
std::string format_safetensors_header(const std::string& path, const std::vector<SafetensorsTensor>& tensors,
                                      const std::map<std::string, std::string>& metadata);

/// Size of an element of this type; a few types pack several elements into a byte.
uint64_t dtype_bits(DType dtype);

}  // namespace ballast::inline BALLAST_PRECISION
