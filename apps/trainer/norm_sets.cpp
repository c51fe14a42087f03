#include "trainer/norm_sets.h"

#include <fmt/format.h>

#include "trainer/text.h"

namespace ballast::app {
namespace {

/// "samples x channels of its group x positions = 1,024 values"
std::string set_text(const NormInfo& norm, const Shape& x) {
  const int64_t size = x.count(2, x.rank());
  std::string text;
  int64_t values = 1;
  const auto add = [&](bool over, int64_t count, const char* what) {
    if (!over) return;
    text += fmt::format("{}{} {}", text.empty() ? "" : " x ", grouped(count), what);
    values *= count;
  };
  add(norm.over_batch, x[0], "samples");
  add(norm.channels_together > 1, norm.channels_together, "channels");
  add(norm.over_positions && x.rank() > 2, size, "positions");
  return fmt::format("{} = {} values", text.empty() ? "a value by itself" : text, grouped(values));
}

}  // namespace

NormInfo by_channels(NormInfo norm, const Shape& x) {
  if (norm.channels_together <= x[1]) return norm;
  norm.channels_together = x[1];
  norm.over_positions = true;
  return norm;
}

std::string norm_text(const NormInfo& norm, const Shape& x) {
  const int64_t sets = (norm.over_batch ? 1 : x[0]) * (x[1] / norm.channels_together);
  return fmt::format(
      "{} {} of {}{}", grouped(sets),
      norm.subtracts_mean ? "means and variances, each" : "mean squares, each", set_text(norm, x),
      norm.tracks() ? "; in evaluation those that training has kept" : "; the same in evaluation");
}

}  // namespace ballast::app
