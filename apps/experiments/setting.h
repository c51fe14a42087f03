#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ballast::app::experiments {

/// A point of a grid: norm=batch lr=0.1.
struct Setting {
  std::vector<std::pair<std::string, std::string>> entries;

  Setting() = default;
  Setting(std::initializer_list<std::pair<std::string, std::string>> list) : entries(list) {}

  /// Throws ValueError if there is no such entry.
  const std::string& operator[](std::string_view name) const;
  double number(std::string_view name) const;
  bool has(std::string_view name) const;
  /// Whether all entries of `part` are entries of this one.
  bool includes(const Setting& part) const;
  std::string text() const;
};

struct GridAxis {
  std::string name;
  std::vector<std::string> values;
};

/// Every combination of the axes' values; the last axis varies fastest.
std::vector<Setting> grid(const std::vector<GridAxis>& axes);

/// One grid after the other.
std::vector<Setting> joined(std::vector<Setting> list, const std::vector<Setting>& more);

/// The numbers of an axis, to draw them.
std::vector<double> numbers(const std::vector<std::string>& values);

}  // namespace ballast::app::experiments
