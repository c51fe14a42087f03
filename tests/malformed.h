#pragma once

#include <doctest/doctest.h>
#include <zlib.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
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

/// Leaves a malformed file for malformed_test.sh, which hands it to the program, in the folder that this has
/// named, if it has: FORMAT/N.
inline void leave_for_program(const std::string& format, const std::string& bytes) {
  const char* named = std::getenv("BALLAST_MALFORMED");
  if (!named) return;
  const std::filesystem::path folder = std::filesystem::path(named) / format;
  std::filesystem::create_directories(folder);
  const auto files = std::distance(std::filesystem::directory_iterator(folder), {});
  write_bytes(folder / std::to_string(files), bytes);
}

/// The data as zlib's deflate packs them; the window's bits say around what: raw, or a gzip member.
inline std::string deflated(int window_bits, const std::string& data) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 9, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, data.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
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
    CHECK(message.find(code + ": ") == std::string::npos);
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
