#pragma once

#include <string_view>
#include <vector>

#include <ballast/data/detail/byte_source.h>

namespace ballast::inline BALLAST_PRECISION::detail {

struct NpyHeader {
  std::string dtype;  // without the byte order, as in NpyArray
  bool fortran_order = false;
  std::vector<int64_t> shape;
};

/// Size of an element; 0 for a type that isn't read.
int64_t npy_item_size(std::string_view dtype);

/// Reads the dictionary in a .npy file's header, a literal of Python. Errors are those of `source`.
NpyHeader parse_npy_header(std::string_view text, const ByteSource& source);

}  // namespace ballast::inline BALLAST_PRECISION::detail
