#include <ballast/data/text.h>

#include <fmt/core.h>

#include <algorithm>

namespace ballast::inline BALLAST_PRECISION {

size_t first_invalid_utf8(std::string_view text) {
  const auto byte = [&](size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0u; };
  size_t at = 0;
  while (at < text.size()) {
    const unsigned first = byte(at);
    // By lead byte: the length, and the range of the second byte that excludes overlong forms, surrogates and
    // code points above U+10FFFF (Unicode 15, table 3-7).
    const size_t length = first < 0x80   ? 1
                          : first < 0xC2 ? 0
                          : first < 0xE0 ? 2
                          : first < 0xF0 ? 3
                          : first < 0xF5 ? 4
                                         : 0;
    const unsigned low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    const unsigned high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (length == 0 || (length > 1 && (byte(at + 1) < low || byte(at + 1) > high))) return at;
    for (size_t i = 2; i < length; ++i) {
      if (byte(at + i) < 0x80 || byte(at + i) > 0xBF) return at;
    }
    at += length;
  }
  return at;
}

std::string in_quotes(std::string_view text) {
  constexpr size_t longest = 80;
  size_t length = std::min(text.size(), longest);
  const auto inside_code_point = [&](size_t at) {
    return (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
  };
  while (length > 0 && length < text.size() && inside_code_point(length)) --length;
  std::string shown(text.substr(0, length));
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return (c >= 0 && c < ' ') || c == 0x7F; }, '?');
  return fmt::format("'{}{}'", shown, length < text.size() ? "..." : "");
}

}  // namespace ballast::inline BALLAST_PRECISION
