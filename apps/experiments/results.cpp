#include "experiments/results.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <ballast/core/check.h>

#include "trainer/mean.h"

namespace ballast::app::experiments {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

bool any_nan(const std::vector<double>& all) {
  return all.empty() || std::ranges::any_of(all, [](double v) { return std::isnan(v); });
}

}  // namespace

double OverSeeds::mean() const { return mean_of(all).mean; }

double OverSeeds::least() const { return any_nan(all) ? none : *std::ranges::min_element(all); }

double OverSeeds::largest() const { return any_nan(all) ? none : *std::ranges::max_element(all); }

double OverSeeds::median() const {
  if (any_nan(all)) return none;
  std::vector<double> sorted = all;
  std::ranges::sort(sorted);
  const size_t half = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

double OverSeeds::deviation() const { return mean_of(all).deviation.value_or(0); }

double OverSeeds::error() const { return deviation() / std::sqrt(static_cast<double>(all.size())); }

int64_t OverSeeds::reaching(double threshold) const {
  return std::ranges::count_if(all, [&](double v) { return v >= threshold; });
}

std::string OverSeeds::text(int decimals) const {
  const int64_t lost = std::ranges::count_if(all, [](double v) { return std::isnan(v); });
  if (all.empty()) return "";
  if (lost == static_cast<int64_t>(all.size())) return "NaN";
  if (lost > 0) return fmt::format("NaN in {} of {}", lost, all.size());
  if (all.size() == 1) return fmt::format("{:.{}f}", mean(), decimals);
  return fmt::format("{:.{}f} ± {:.{}f}", mean(), decimals, deviation(), decimals);
}

OverSeeds difference(const OverSeeds& a, const OverSeeds& b) {
  check<ValueError>(a.all.size() == b.all.size(), "{} and {} seeds have no difference seed by seed",
                    a.all.size(), b.all.size());
  OverSeeds found;
  for (size_t i = 0; i < a.all.size(); ++i) found.all.push_back(a.all[i] - b.all[i]);
  //~ for (size_t i = 0; i < a.all.size(); ++i) found.all.push_back(a.all[i] - b.all[0]);
  return found;
}

std::string with_error(double mean, double error, double limit, const std::string& unit) {
  const bool near = std::abs(mean - limit) < 2 * error;
  //~ const bool near = std::abs(mean - limit) < error;
  return fmt::format("{:.2f} {}, standard error {:.2f}{}", mean, unit, error,
                     near ? ": within two of these of the limit, so other seeds may decide otherwise" : "");
}

std::vector<const Outcome*> Results::matching(const Setting& part) const {
  std::vector<const Outcome*> found;
  for (const Outcome& outcome : all_)
    if (outcome.setting.includes(part)) found.push_back(&outcome);
  return found;
}

OverSeeds Results::of_if_any(const Setting& part, const std::string& value) const {
  OverSeeds figures;
  for (const Outcome* outcome : matching(part)) {
    const auto found = outcome->figures.values.find(value);
    if (found != outcome->figures.values.end()) figures.all.push_back(found->second);
  }
  return figures;
}

OverSeeds Results::of(const Setting& part, const std::string& value) const {
  OverSeeds figures = of_if_any(part, value);
  check<ValueError>(!figures.all.empty(), "no run of {} has measured {}", part.text(), value);
  return figures;
}

Series Results::curve(const Setting& part, const std::string& name, std::vector<double> x,
                      const std::string& label) const {
  Series series{label, std::move(x), {}, {}, {}};
  for (size_t i = 0; i < series.x.size(); ++i) {
    OverSeeds point;
    for (const Outcome* outcome : matching(part)) {
      const auto found = outcome->figures.curves.find(name);
      if (found != outcome->figures.curves.end() && i < found->second.size() && !std::isnan(found->second[i]))
        point.all.push_back(found->second[i]);
    }
    series.y.push_back(point.mean());
    series.low.push_back(point.least());
    series.high.push_back(point.largest());
  }
  return series;
}

Series along(const Results& results, const Setting& part, const GridAxis& axis, const std::string& value,
             const std::string& label) {
  Series series{label, {}, {}, {}, {}, true};
  for (const std::string& at : axis.values) {
    Setting cell = part;
    cell.entries.emplace_back(axis.name, at);
    const OverSeeds figures = results.of(cell, value);
    series.x.push_back(std::stod(at));
    series.y.push_back(figures.mean());
    series.low.push_back(figures.least());
    series.high.push_back(figures.largest());
  }
  return series;
}

Table table_of(const Results& results, const GridTable& wanted) {
  Table table{wanted.title, {wanted.rows.name + " \\ " + wanted.columns.name}, {}};
  table.columns.insert(table.columns.end(), wanted.columns.values.begin(), wanted.columns.values.end());
  for (const std::string& row : wanted.rows.values) {
    std::vector<std::string> cells = {row};
    for (const std::string& column : wanted.columns.values) {
      Setting cell = wanted.within;
      cell.entries.emplace_back(wanted.rows.name, row);
      cell.entries.emplace_back(wanted.columns.name, column);
      const bool there = std::ranges::any_of(results.all(), [&](const Outcome& outcome) {
        return outcome.setting.includes(cell) && outcome.figures.values.contains(wanted.value);
      });
      cells.push_back(there ? results.of(cell, wanted.value).text(wanted.decimals) : "");
    }
    table.rows.push_back(std::move(cells));
    const auto found = wanted.reference.find(row);
    if (found == wanted.reference.end()) continue;
    std::vector<std::string> compared = {"  " + wanted.reference_name};
    compared.insert(compared.end(), found->second.begin(), found->second.end());
    table.rows.push_back(std::move(compared));
  }
  return table;
}

std::string verdict(const Findings& findings) {
  if (findings.claim.empty()) {
    const auto holding = std::ranges::count_if(findings.checks, &Check::holds);
    if (holding == 0) return "doesn't hold";
    return holding == std::ssize(findings.checks) ? "holds" : "holds in part";
  }
  std::vector<std::string> failed;
  for (const Part& part : findings.claim)
    if (!part.holds) failed.push_back(part.text);
  //~ if (part.holds) failed.push_back(part.text);
  if (failed.empty()) return "holds";
  if (failed.size() == findings.claim.size()) return "doesn't hold";
  return fmt::format("holds in part, not that {}", fmt::join(failed, ", nor that "));
}

}  // namespace ballast::app::experiments
