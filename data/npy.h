#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <ballast/core/check.h>

namespace ballast::inline BALLAST_PRECISION {

/// An array of NumPy, in C order.
struct NpyArray {
  std::string dtype;  // NumPy's code without the byte order: u1 i1 u2 i2 u4 i4 u8 i8 f2 f4 f8 b1
  std::vector<int64_t> shape;
  std::vector<uint8_t> bytes;  // of the elements, little-endian

  /// Number of elements.
  int64_t count() const;
  /// The elements, rounded to `real`.
  std::vector<real> as_real() const;
  /// The elements; throws ValueError unless all are whole numbers that fit.
  std::vector<int64_t> as_int() const;
};

NpyArray npy_array(std::vector<int64_t> shape, std::span<const real> values);
NpyArray npy_array(std::vector<int64_t> shape, std::span<const int64_t> values);

/// Reads a .npy file of format 1.0 to 3.0, which may be packed with gzip. An array in Fortran order is
/// transposed to C order. Objects (pickles), structures, strings, complex numbers and big-endian numbers
/// are refused.
///
/// Throws FileError; its codes: MISSING, READ, TRUNC (ends early), MAGIC (something else), HEADER (not the
/// dictionary that the format asks for), LIMIT (a header of more than 10,000 bytes, more than 64 axes), DTYPE
/// (elements that aren't read), DIM (a size that is no whole number from 0 on), OVERFLOW (sizes no file can
/// hold), TRAIL (bytes after the array), and of gzip data CRC and BOMB.
NpyArray read_npy(const std::string& path);
/// The same for bytes in memory, which errors call `name`.
NpyArray decode_npy(std::span<const uint8_t> bytes, const std::string& name);

/// Reads a .npz file: a zip archive of .npy files, stored or deflated. The keys are the members' names
/// without .npy; nothing is written anywhere. Throws FileError as `read_npy` does, naming the member, and ZIP
/// for an archive that is damaged, has members that overlap or bear the same name, is encrypted, is packed by
/// another method, or holds more data than an array's header says.
std::map<std::string, NpyArray> read_npz(const std::string& path);

/// Both write atomically; FileError WRITE when that fails. An .npz holds stored members, as `numpy.savez`
/// leaves them; the same arrays give the same bytes.
void write_npy(const std::string& path, const NpyArray& array);
void write_npz(const std::string& path, const std::map<std::string, NpyArray>& arrays);

}  // namespace ballast::inline BALLAST_PRECISION
