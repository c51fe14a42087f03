#include <ballast/data/detail/number.h>

#include <locale.h>

#include <charconv>
#include <cstdint>
#include <cstdlib>

namespace ballast::inline BALLAST_PRECISION::detail {

bool to_number(const std::string& text, double& value) {
  constexpr size_t exact_digits = 15;
  if (!text.empty() && text.size() <= exact_digits &&
      text.find_first_not_of("0123456789") == std::string::npos) {  // by far the most frequent kind
    int64_t whole = 0;
    std::from_chars(text.data(), text.data() + text.size(), whole);
    value = static_cast<double>(whole);
    return true;
  }
  if (text.empty() || text.find_first_not_of("0123456789+-.eE") != std::string::npos) return false;
  static const locale_t c_locale = ::newlocale(LC_ALL_MASK, "C", nullptr);
  char* end = nullptr;
  value = ::strtod_l(text.c_str(), &end, c_locale);
  return end == text.c_str() + text.size();
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
