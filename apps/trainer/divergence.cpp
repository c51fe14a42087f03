#include "trainer/divergence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ballast::app {
namespace {

/// "sample 3 of the batch", the first one with an element that isn't finite.
std::string place_in(const Tensor& rows) {
  const auto values = rows.values();
  const auto bad = std::ranges::find_if(values, [](real x) { return !std::isfinite(x); });
  return fmt::format("sample {} of the batch has {}", (bad - values.begin()) / (rows.count() / rows.size(0)),
                     *bad);
}

}  // namespace

std::string first_not_finite(const Parts& model, int64_t most) {
  std::string found;
  const auto look = [&](const std::string& name, const auto& part) {
    if (found.empty() && part.value().count() <= most && !all_finite(part.value())) found = name;
  };
  for_each_parameter(model, look);
  for_each_buffer(model, look);
  //~
  return found;
}

std::string first_gradient_not_finite(const Parts& model) {
  std::string found;
  for_each_parameter(model, [&](const std::string& name, const Parameter& p) {
    const Tensor gradient = p.grad();
    if (found.empty() && !gradient.empty() && !all_finite(gradient)) found = name;
  });
  return found;
}

Diverged forward_divergence(const Batch& batch, const Parts& model, const std::function<void()>& again) {
  const auto not_finite = [](const Tensor& x) { return !x.empty() && !all_finite(x); };
  if (not_finite(batch.x))
    return Diverged("the data aren't finite: the input of " + place_in(batch.x) + "; leave such samples out");
  if (not_finite(batch.values))
    return Diverged("the data aren't finite: the target of " + place_in(batch.values) +
                    "; leave such samples out");
  if (const std::string name = first_not_finite(model); !name.empty())
    return Diverged(fmt::format("\"{}\" isn't finite; begin with other weights", name));
  try {
    again();
  } catch (const NotFiniteError& error) {
    return Diverged(error.message);
  }
  return Diverged("the loss isn't finite");
}

}  // namespace ballast::app
