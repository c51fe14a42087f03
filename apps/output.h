#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string>

namespace ballast::app {

// What the program says. Nothing here throws: output that can't be written is no reason to stop computing;
// the exit code reports it at the end.

/// Writes to the file; a failure on standard output is remembered.
void write_text(std::FILE* file, const std::string& text);

/// To standard output.
template <class... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  write_text(stdout, fmt::format(format, std::forward<Args>(args)...));
}

/// To standard error: warnings, notes and errors.
template <class... Args>
void complain(fmt::format_string<Args...> format, Args&&... args) {
  write_text(stderr, fmt::format(format, std::forward<Args>(args)...));
}

/// Sends what was printed on its way. False if anything printed so far could not be written.
bool flush_output();

/// Why it could not be written, as a number of <cerrno>.
int output_error();

/// Files must not get the numbers of standard streams that the parent has closed, or prints would go into
/// them.
void open_standard_streams();

}  // namespace ballast::app
