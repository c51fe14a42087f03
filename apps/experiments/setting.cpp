#include "experiments/setting.h"

#include <fmt/format.h>

#include <algorithm>

#include <ballast/core/check.h>

namespace ballast::app::experiments {

bool Setting::has(std::string_view name) const {
  return std::ranges::any_of(entries, [&](const auto& entry) { return entry.first == name; });
}

const std::string& Setting::operator[](std::string_view name) const {
  const auto found = std::ranges::find_if(entries, [&](const auto& entry) { return entry.first == name; });
  check<ValueError>(found != entries.end(), "the setting {} has no {}", text(), name);
  return found->second;
}

double Setting::number(std::string_view name) const { return std::stod((*this)[name]); }

bool Setting::includes(const Setting& part) const {
  return std::ranges::all_of(
      part.entries, [&](const auto& entry) { return std::ranges::find(entries, entry) != entries.end(); });
}

std::string Setting::text() const {
  std::string all;
  for (const auto& [name, value] : entries)
    all += fmt::format("{}{}={}", all.empty() ? "" : " ", name, value);
  return all;
}

std::vector<Setting> grid(const std::vector<GridAxis>& axes) {
  std::vector<Setting> all(1);
  for (const GridAxis& axis : axes) {
    std::vector<Setting> longer;
    for (const Setting& setting : all)
      for (const std::string& value : axis.values) {
        longer.push_back(setting);
        longer.back().entries.emplace_back(axis.name, value);
      }
    all = std::move(longer);
  }
  return all;
}

std::vector<Setting> joined(std::vector<Setting> list, const std::vector<Setting>& more) {
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

std::vector<double> numbers(const std::vector<std::string>& values) {
  std::vector<double> all;
  all.reserve(values.size());
  for (const std::string& value : values) all.push_back(std::stod(value));
  return all;
}

}  // namespace ballast::app::experiments
