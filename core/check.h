#pragma once

#include <fmt/core.h>

#include <exception>
#include <string>
#include <utility>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION {

/// Base of every error Ballast throws. The message says what was given, what was expected, and what to do.
struct Error : std::exception {
  explicit Error(std::string text) : message(std::move(text)) {}
  const char* what() const noexcept override { return message.c_str(); }
  std::string message;
};

/// An operation got a tensor whose shape it can't use. Thrown in the call of a module, it begins with the
/// module's path and description: "ShapeError in net.3 (Linear 784 -> 10): x is (32, 783); its last dimension
/// must be 784".
struct ShapeError : Error {
  explicit ShapeError(std::string text);
};

/// A value out of its range: an option, an index, a label.
struct ValueError : Error {
  using Error::Error;
};

/// A result or gradient that isn't finite, found where a tape looks for them (Tape::detect_anomaly). Thrown
/// in the call of a module, it begins with the module's path and description.
struct NotFiniteError : ValueError {
  explicit NotFiniteError(std::string text);
};

/// Misuse of a tape, gradient, parameter or optimizer, which would silently train the wrong thing.
struct UsageError : Error {
  using Error::Error;
};

/// A file that can't be read or written. The message is `<path>: <detail>`; `code`, one short word in
/// capitals, is for programs that tell errors apart.
struct FileError : Error {
  FileError(const std::string& path, const std::string& what, const std::string& detail)
      : Error(path + ": " + detail), code(what) {}
  std::string code;
};

/// Throws `E` with the formatted message unless `condition` holds. The arguments are evaluated either way:
/// keep them cheap.
template <class E, class... Args>
void check(bool condition, fmt::format_string<Args...> message, Args&&... args) {
  if (!condition) [[unlikely]]
    throw E(fmt::format(message, std::forward<Args>(args)...));
}

}  // namespace ballast::inline BALLAST_PRECISION
