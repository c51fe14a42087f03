#pragma once

#include <string>
#include <vector>

namespace ballast::app {

/// Runs another program, found by PATH, with these arguments, and returns its exit code, or 128 + the signal
/// that ended it. What it prints goes where this program's output goes, or nowhere if `quiet`. Throws
/// ValueError, which says what to install, if there is no such program.
int run_program(const std::vector<std::string>& words, const std::string& package, bool quiet);

/// A file that isn't left behind.
struct TemporaryFile {
  std::string path;
  explicit TemporaryFile(std::string p) : path(std::move(p)) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile();
};

}  // namespace ballast::app
