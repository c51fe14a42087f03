#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <fstream>
#include <functional>
#include <string>

#include <ballast/core/check.h>

#include "temp_folder.h"

// What the tests of readers share.

inline std::string write(const TempFolder& folder, const std::string& name, const std::string& bytes) {
  write_bytes(folder / name, bytes);
  return folder / name;
}

/// 32 bits, the most significant byte first.
inline std::string big_endian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

/// The message of the FileError that `read` throws, having checked its code; empty if it throws none.
inline std::string refusal(const std::string& code, const std::function<void()>& read) {
  try {
    read();
  } catch (const ballast::FileError& error) {
    CHECK(error.code == code);
    const std::string message = error.what();
    CHECK(message.find(": " + code + ": ") != std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
    return message;
  }
  FAIL_CHECK("not refused");
  return "";
}

/// How much more memory than before is held at the peak of `work`, in MiB.
inline int64_t peak_mib(const std::function<void()>& work) {
  const auto peak_kib = [] {
    std::ifstream status("/proc/self/status");
    for (std::string key; status >> key;)
      if (int64_t value = 0; key == "VmHWM:" && status >> value) return value;
    return int64_t{0};
  };
  std::ofstream("/proc/self/clear_refs") << "5";  // starts the peak over
  const int64_t before = peak_kib();
  work();
  return (peak_kib() - before) >> 10;
}
