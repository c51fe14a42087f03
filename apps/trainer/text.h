#pragma once

#include <fmt/format.h>

#include <cmath>
#include <string>

#include <ballast/data/evaluate.h>
#include <ballast/data/standardization.h>

namespace ballast::app {

/// In lower case, as far as the text is ASCII.
inline std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

/// As a word of a command that can be copied into a shell: in single quotes unless it is plain.
inline std::string shell_word(const std::string& text) {
  constexpr auto plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:,+=@%";
  if (!text.empty() && text.find_first_not_of(plain) == std::string::npos) return text;
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? "'\\''" : std::string(1, c);
  return word + "'";
}

/// "98.54 % (9854 of 10000)"
inline std::string accuracy_text(int64_t correct, int64_t size) {
  return fmt::format("{:.2f} % ({} of {})", 100 * static_cast<double>(correct) / static_cast<double>(size),
                     correct, size);
}

/// "test accuracy 98.54 % (9854 of 10000), loss 0.0512", or of a regression the errors in the units of its
/// targets.
inline std::string test_text(const Evaluation& test, TargetKind kind, const Standardization& targets) {
  if (kind != TargetKind::values)
    return fmt::format("test accuracy {}, loss {:.4f}", accuracy_text(test.correct, test.size), test.loss);
  std::string text = fmt::format("test R2 {:.4f}", test.r2);
  // Columns of different units have no mean error in common.
  if (targets.std.size() == 1)
    text += fmt::format(", mean absolute error {:.4g}, root mean squared error {:.4g}",
                        test.absolute_error * targets.std[0], std::sqrt(test.loss) * targets.std[0]);
  return text;
}

/// "1 class", "2 classes"
inline std::string classes_text(int64_t count) {
  return fmt::format("{} class{}", count, count == 1 ? "" : "es");
}

/// 1234567 -> "1,234,567"
inline std::string grouped(int64_t number) {
  std::string text = fmt::format("{}", number);
  for (int64_t i = static_cast<int64_t>(text.size()) - 3; i > 0; i -= 3)
    text.insert(static_cast<size_t>(i), 1, ',');
  return text;
}

}  // namespace ballast::app
