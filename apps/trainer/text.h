#pragma once

#include <fmt/format.h>

#include <string>

#include <ballast/core/real.h>

namespace ballast::app {

/// "98.54 % (9854 of 10000)"
inline std::string accuracy_text(int64_t correct, int64_t size) {
  return fmt::format("{:.2f} % ({} of {})", 100 * static_cast<double>(correct) / static_cast<double>(size),
                     correct, size);
}

/// 1234567 -> "1,234,567"
inline std::string grouped(int64_t number) {
  std::string text = fmt::format("{}", number);
  for (int64_t i = static_cast<int64_t>(text.size()) - 3; i > 0; i -= 3)
    text.insert(static_cast<size_t>(i), 1, ',');
  return text;
}

}  // namespace ballast::app
