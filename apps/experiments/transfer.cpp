#include <algorithm>
#include <cmath>

#include <ballast/layers/analysis/freeze.h>
#include <ballast/layers/analysis/recalibrate.h>
#include <ballast/optim/adam.h>

#include "experiments/training.h"

namespace ballast::app::experiments {
namespace {

const GridAxis ways{"statistics", {"of the source", "adapted in training", "estimated anew"}},
    trained{"trained", {"nothing", "last layer", "everything"}};
constexpr int64_t labelled = 500, unlabelled = 5'000, full_steps = 200, look = 40;

/// The images of another device: dimmer, brighter in the dark, and noisy.
Dataset other_device(const Dataset& data, int64_t count) {
  return augmented(subset(data, 0, std::min(count, data.size)),
                   [](RandomStream& random, const Shape& shape, real* x) {
                     for (int64_t i = 0; i < shape.count(); ++i)
                       x[i] = real(0.4) * x[i] + static_cast<real>(random.normal(0.8, 0.3));
                   });
}

Figures run(const Trial& trial) {
  const std::string &way = trial.setting["statistics"], &what = trial.setting["trained"];
  Sequential net = net_of("flatten, 3x(linear 100, batchnorm, relu), linear");
  const Split& data = trial.images.standardized;
  {
    Adam optimizer(net, {.lr = 1e-3});
    train(net, optimizer, {.data = data.train, .steps = trial.epochs(1, 128), .seed = trial.seed});
  }
  const Dataset test = other_device(data.test, data.test.size), some = other_device(data.train, labelled);
  Figures figures;
  if (way == "estimated anew")
    recalibrate(net, Loader(other_device(data.train, unlabelled), {.batch_size = 250, .drop_last = true}));
  if (what != "nothing") {
    // Parts 1 to 9 are the hidden layers.
    const bool fixed = way != "adapted in training";
    freeze(net, "[1-9]", {.parameters = what == "last layer", .stats = fixed, .mode = fixed});
    Adam optimizer(net, {.lr = 1e-3});
    const auto before = [&](int64_t step) {
      if (step % look == 0) figures.curves["target"].push_back(test_accuracy(net, test));
    };
    train(net, optimizer,
          {.data = some,
           .steps = trial.steps(full_steps),
           .batch_size = 50,
           .seed = trial.seed,
           .before = before});
  } else if (way == "adapted in training") {
    return {};  // without training there is nothing to adapt in
  }
  figures.values["target"] = test_accuracy(net, test);
  return figures;
}

Findings judge(const Results& results) {
  Findings findings;
  findings.tables.push_back(table_of(results, {.title = "Accuracy on test images of the other device, %",
                                               .rows = trained,
                                               .columns = ways,
                                               .value = "target"}));
  Plot plot{"Accuracy on the other device, by what is trained on 500 images, and statistics",
            {"step"},
            {"accuracy, %"},
            {}};
  std::vector<double> steps;
  for (int64_t step = 0; step <= full_steps; step += look) steps.push_back(static_cast<double>(step));
  for (const char* what : {"last layer", "everything"})
    for (const std::string& way : ways.values) {
      plot.series.push_back(results.curve({{"trained", what}, {"statistics", way}}, "target", steps,
                                          fmt::format("{}, {}", what, way)));
      plot.series.back().dashed = std::string(what) == "everything";
    }
  findings.plots.push_back(std::move(plot));
  const auto of = [&](const char* what, const char* way) {
    return results.mean({{"trained", what}, {"statistics", way}}, "target");
  };
  const double frozen = of("last layer", "of the source"), adapted = of("last layer", "adapted in training"),
               anew = of("last layer", "estimated anew"), nothing = of("nothing", "of the source"),
               nothing_anew = of("nothing", "estimated anew"), all = of("everything", "adapted in training");
  const auto pair = [](double a, double b) { return fmt::format("{:.1f} and {:.1f} %", a, b); };
  findings.checks = {
      {"without a label, statistics estimated anew gain at least 20 points", pair(nothing_anew, nothing),
       nothing_anew - nothing >= 20},
      {"with a new last layer they are at least 5 points better than those of the source", pair(anew, frozen),
       anew - frozen >= 5},
      {"those adapted while the last layer is trained come to the same, to 2 points", pair(adapted, anew),
       std::abs(adapted - anew) <= 2},
      {"training everything on 500 images is at most 1 point better than the last layer with new statistics",
       pair(all, anew), all - anew <= 1}};
  return findings;
}

}  // namespace

extern const Experiment transfer;
const Experiment transfer{
    .name = "transfer",
    .claim =
        "In transfer to other data frozen running statistics do harm; estimating them anew, without a label, "
        "repairs most of it",
    .source =
        "Li et al. 2017 (arXiv:1603.04779), on adaptive batch normalization; no figures for this set-up",
    .setup =
        "Three hidden layers of 100, batch norm, ReLU, one epoch of Adam at 0.001 on standardized images x. "
        "The other "
        "device gives 0.4 x + 0.8 and noise of deviation 0.3. Of it there are 500 images with labels, on "
        "which the last layer or everything is trained in 200 steps of 50, and 5,000 without, over which the "
        "statistics are estimated anew. Statistics that aren't adapted in training stay, and normalize in it "
        "as in "
        "evaluation.",
    .reference = "nobody has published figures; expected before the first run were the lines below",
    .settings = grid({trained, ways}),
    .run = run,
    .judge = judge};

}  // namespace ballast::app::experiments
