#include "trainer/mean.h"

#include <fmt/format.h>

#include <cmath>

namespace ballast::app {

Mean mean_of(const std::vector<double>& values) {
  Mean result{std::nan(""), {}};
  if (values.empty()) return result;
  const double n = static_cast<double>(values.size());
  result.mean = 0;
  for (const double value : values) result.mean += value / n;
  if (values.size() < 2) return result;
  double squares = 0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  result.deviation = std::sqrt(squares / (n - 1));
  //~ result.deviation = std::sqrt(squares / n);
  return result;
}

std::string text_of(const Mean& mean, int decimals) {
  if (!std::isfinite(mean.mean)) return "-";
  const std::string text = fmt::format("{:.{}f}", mean.mean, decimals);
  return mean.deviation ? fmt::format("{} +- {:.{}f}", text, *mean.deviation, decimals) : text;
}

}  // namespace ballast::app
