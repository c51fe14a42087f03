#pragma once

#include <optional>
#include <string>
#include <vector>

namespace ballast::app {

/// Mean and, of several values, their standard deviation (n - 1).
struct Mean {
  double mean;
  std::optional<double> deviation;
};
/// Of no values: NaN.
Mean mean_of(const std::vector<double>& values);

/// "98.54 +- 0.12", in so many decimals.
std::string text_of(const Mean& mean, int decimals);

}  // namespace ballast::app
