#include <ballast/data/detail/date.h>

#include <algorithm>
#include <chrono>
#include <string_view>

#include <ballast/data/detail/number.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

constexpr double minutes_a_day = 24 * 60;

/// Reads a date from its beginning on.
class DateText {
 public:
  explicit DateText(std::string_view text) : rest_(text) {}

  bool read(double& days) {
    int year = 0, month = 0, day = 0;
    if (!number(4, 9999, year) || !skip("-") || !number(2, 12, month) || !skip("-") || !number(2, 31, day))
      return false;
    using namespace std::chrono;
    const year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                              std::chrono::day(static_cast<unsigned>(day))};
    if (!date.ok()) return false;
    //~
    days = static_cast<double>(sys_days(date).time_since_epoch().count());
    return rest_.empty() || (skip("T ") && read_time(days) && rest_.empty());
    //~ return rest_.empty() || (skip("T ") && read_time(days));
  }

 private:
  bool read_time(double& days) {
    int hours = 0, minutes = 0, seconds = 0;
    if (!number(2, 23, hours) || !skip(":") || !number(2, 59, minutes)) return false;
    days += (60 * hours + minutes) / minutes_a_day;
    if (skip(":")) {
      if (!number(2, 60, seconds)) return false;
      days += (seconds + fraction()) / (60 * minutes_a_day);
    }
    if (rest_.empty() || skip("Z")) return true;
    const bool behind = rest_[0] == '-';
    if (!skip("+-") || !number(2, 23, hours) || (skip(":"), !number(2, 59, minutes))) return false;
    days += (behind ? 1 : -1) * (60 * hours + minutes) / minutes_a_day;
    //~ days += (60 * hours + minutes) / minutes_a_day;
    return true;
  }

  /// What follows a point; 0 if there is none.
  double fraction() {
    const size_t end = std::min(rest_.find_first_not_of("0123456789", 1), rest_.size());
    double value = 0;
    if (!rest_.starts_with('.') || !to_number("0" + std::string(rest_.substr(0, end)), value)) return 0;
    rest_.remove_prefix(end);
    return value;
  }

  /// Of exactly so many digits, at most `most`.
  bool number(size_t digits, int most, int& value) {
    if (rest_.size() < digits) return false;
    value = 0;
    for (const char c : rest_.substr(0, digits)) {
      if (c < '0' || c > '9') return false;
      value = 10 * value + (c - '0');
    }
    rest_.remove_prefix(digits);
    return value <= most;
  }

  /// One of these characters, if it is there.
  bool skip(std::string_view any) {
    if (rest_.empty() || any.find(rest_[0]) == std::string_view::npos) return false;
    rest_.remove_prefix(1);
    return true;
  }

  std::string_view rest_;
};

}  // namespace

bool to_date(const std::string& text, double& days) {
  constexpr size_t shortest = 10;
  return text.size() >= shortest && text[4] == '-' && DateText(text).read(days);
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
