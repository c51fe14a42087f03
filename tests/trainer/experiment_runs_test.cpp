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

TEST_CASE("time-to-accuracy: without the fastest and the slowest, and of those that got there alone") {
  std::vector<Outcome> outcomes;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const double seconds = std::vector<double>{1, 10, 12, 100, 500}[seed];
    outcomes.push_back({{{"program", "Ballast"}},
                        seed,
                        {{{"seconds", seconds},
                          {"processor", seconds},
                          {"steps", 300},
                          {"accuracy", seed == 4 ? 98.99 : 99.1}},
                         {}},
                        1});
  }
  const Findings findings = named("time-to-accuracy").judge(Results(outcomes));
  CHECK(findings.tables[0].rows[0][1] == "4 of 5");
  CHECK(findings.tables[0].rows[0][2] == "11.0 ± 1.4");
  REQUIRE(findings.checks.size() == 1);  // nothing to compare with
  CHECK(!findings.checks[0].holds);
}

TEST_CASE("time-to-accuracy: a reference program that isn't there is an error that says how to build it") {
  const Experiment& experiment = named("time-to-accuracy");
  Images images;
  images.reference = "/nowhere";
  CHECK_THROWS_WITH_AS(experiment.run({experiment.compared[0], 0, images, true}),
                       doctest::Contains("apps/bench/reference/build.sh"), ValueError);
}

TEST_CASE("gan-leak: only batch norm over both sorts lets the output for a real image depend on the fakes") {
  CHECK(quick_run("gan-leak", {{"discriminator", "batch"}}).values["leak at first"] > 0.01);
  for (const char* norm : {"none", "batch, apart", "layer", "spectral"}) {
    CAPTURE(norm);
    Figures figures = quick_run("gan-leak", {{"discriminator", norm}});
    CHECK(figures.values["leak at last"] == 0);
    CHECK(figures.values["flipped"] == 0);
  }
}

TEST_CASE("gradient-flow: gradients grow by sqrt(pi / (pi - 1)) per layer of ReLU with batch norm") {
  const double growth =
      quick_run("gradient-flow", {{"norm", "batch"}, {"act", "relu"}, {"depth", "30"}}).values["growth"];
  CHECK(growth == doctest::Approx(1.211).epsilon(0.03));
}

TEST_CASE("covariance: the verdict's rank correlation is 1 where the better conditioned is faster") {
  std::vector<Outcome> outcomes;
  double figure = 1;
  for (const Setting& setting : named("covariance").settings) {
    outcomes.push_back(
        {setting,
         0,
         {{{"condition at first", figure}, {"condition at last", figure}, {"steps", 2 * figure}}, {}},
         1});
    ++figure;
  }
  CHECK(named("covariance").judge(Results(outcomes)).checks.back().measured == "1.00");
}

TEST_CASE("certificate: new statistics of a tenth of the contrast void it, and the network is steeper") {
  Figures figures = quick_run("certificate", {{"hidden layers", "1"}, {"contrast", "0.1"}});
  CHECK(figures.values["steepest"] <= figures.values["bound"]);
  CHECK(figures.values["refused"] == 1);
  CHECK(figures.values["bound after"] > 5 * figures.values["bound"]);
  CHECK(figures.values["steepest after"] > 5 * figures.values["steepest"]);
}

TEST_CASE("style: to an instance norm images of other contrast and brightness are the same") {
  Figures figures = quick_run("style", {{"norm", "instance"}});
  for (const char* style : {"contrast 0.5", "contrast 4", "brightness 1"})
    CHECK(figures.values[style] == doctest::Approx(figures.values["as trained"]).epsilon(0.02));
}

TEST_CASE("noise: the gap is test less training loss") {
  Figures figures = quick_run("noise", {{"norm", "batch"}, {"dropout", "0"}, {"batch", "16"}});
  CHECK(figures.values["gap"] < figures.values["test loss"]);
}

TEST_CASE("transfer: statistics estimated anew on the other device's images help without a label") {
  const auto target = [](const char* statistics) {
    return quick_run("transfer", {{"trained", "nothing"}, {"statistics", statistics}}).values["target"];
  };
  CHECK(target("estimated anew") > target("of the source") + 10);
}

TEST_CASE("batch-effects: laboratories that go with classes mislead, unless they change nothing") {
  const auto seen = [](const char* method, const char* laboratory) {
    return quick_run("batch-effects", {{"method", method}, {"laboratory", laboratory}}).values["seen"];
  };
  CHECK(seen("no effects", "by chance") == seen("no effects", "by class"));
  CHECK(seen("batch norm", "by chance") > seen("batch norm", "by class") + 10);
  CHECK(seen("harmonized", "by class") > seen("batch norm", "by class") + 10);
}

TEST_CASE("resnet-depth: residual blocks without norm diverge") {
  Figures figures = quick_run("resnet-depth", {{"net", "residual"}, {"norm", "none"}, {"depth", "56"}});
  CHECK(std::isnan(figures.values["accuracy"]));
}

TEST_CASE("segmentation: trained one by one, images are told by their own statistics, not the running ones") {
  Figures figures = quick_run("segmentation", {{"norm", "batch"}, {"N", "1"}});
  CHECK(figures.values["alone"] > figures.values["overlap"] + 10);
}

TEST_CASE("recurrent: padding alone moves what a batch norm gives in training, and nothing else") {
  for (const char* norm : {"none", "layer", "layer in cells"})
    CHECK(quick_run("recurrent", {{"norm", norm}, {"padded to", "28"}}).values["moved"] == 0);
  CHECK(quick_run("recurrent", {{"norm", "batch"}, {"padded to", "28"}}).values["moved"] > 0.05);
}

TEST_CASE("transformer: more places are right than by chance after few steps") {
  CHECK(quick_run("transformer", {{"norm", "pre"}, {"lr", "0.01"}}).values["right"] > 25);
}
