#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION {

/// Base of every error Ballast throws. The message says what was given, what was expected, and what to do.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// An operation got a tensor whose shape it can't use. A layer in whose `forward` it was thrown adds its name in front.
struct ShapeError : Error {
  using Error::Error;
};

/// A value out of its range: an option, an index, a label.
struct ValueError : Error {
  using Error::Error;
};

/// A tape, gradient, parameter or optimizer is used in a way that would train something else than intended.
struct UsageError : Error {
  using Error::Error;
};

/// A file that can't be read or written. The message is `<path>: <CODE>: <detail>`, CODE one short word in capitals.
struct FileError : Error {
  FileError(const std::string& path, const std::string& code, const std::string& detail)
      : Error(path + ": " + code + ": " + detail), code(code) {}
  std::string code;
};

/// Throws `E` with the formatted message unless `condition` holds.
template <class E, class... Args>
void check(bool condition, fmt::format_string<Args...> message, Args&&... args) {
  if (!condition) [[unlikely]] throw E(fmt::format(message, std::forward<Args>(args)...));
}

}  // namespace ballast::inline BALLAST_PRECISION
