// Single runs of experiments, on few of the built-in digits: what is exact is exact, and figures are of what
// they say.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include <ballast/core/random.h>

#include "experiments/experiment.h"

using namespace ballast;
using namespace ballast::app::experiments;

namespace {

const Images& few_digits() {
  static const Images images = load_images("digits", true);
  return images;
}

const Experiment& named(const std::string& name) {
  return **std::ranges::find_if(all_experiments(), [&](const Experiment* e) { return e->name == name; });
}

/// A quick run of one of the experiment's settings.
Figures quick_run(const std::string& name, const Setting& part) {
  const Experiment& experiment = named(name);
  const auto setting =
      std::ranges::find_if(experiment.settings, [&](const Setting& s) { return s.includes(part); });
  REQUIRE(setting != experiment.settings.end());
  manual_seed(1);
  return experiment.run({*setting, 1, few_digits(), true});
}

}  // namespace

TEST_CASE("weight-decay: in front of batch norm a weight's length has no effect") {
  Figures figures = quick_run("weight-decay", {{"eps", "1e-12"}});
  for (const char* figure : {"output", "gradient", "cosine", "bias"}) {
    CAPTURE(figure);
    CHECK(figures.values[figure] < 1e-4);
  }
  CHECK(figures.values["decayed others"] == 0);
  CHECK(figures.values["decayed weights"] > 0);
}

TEST_CASE("weight-decay: length and angle follow from the gradient's length") {
  Figures figures = quick_run("weight-decay", {{"sgd decay", "0.01"}});
  CHECK(figures.values["length error"] < 1e-4);
  CHECK(figures.values["angle error"] < 1e-3);
  CHECK(figures.values["angle"] > 0);
}
