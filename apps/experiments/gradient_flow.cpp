#include <algorithm>
#include <cmath>
#include <numbers>

#include <ballast/core/ops/loss.h>
#include <ballast/layers/analysis/probe.h>

#include "experiments/training.h"

namespace ballast::app::experiments {
namespace {

const GridAxis norms{"norm", {"none", "batch", "layer"}}, acts{"act", {"relu", "tanh"}},
    depths{"depth", {"10", "30", "60"}};
constexpr int width = 256;

/// One batch forward and backward at initialization.
Figures run(const Trial& trial) {
  const std::string& act = trial.setting["act"];
  const auto depth = static_cast<int64_t>(trial.setting.number("depth"));
  Sequential net =
      net_of(fmt::format("flatten, {}x(linear {}, norm, act), linear", depth, width),
             {.norm = trial.setting["norm"], .act = act, .init = act == "relu" ? "he" : "xavier"});
  Loader loader(trial.images.standardized.train, {.batch_size = 512, .seed = trial.seed});
  const Batch& batch = *loader.begin();
  Probe probe(net);
  Tape tape;
  tape.backward(cross_entropy(net(batch.x), batch.y));
  probe.step(0);
  Figures figures;
  std::vector<double>& gradients = figures.curves["gradient"];
  OverSeeds dead;
  for (const LayerProbe& layer : probe.layers()) {
    if (layer.layer.starts_with("Linear") && layer.gradient_norm) gradients.push_back(*layer.gradient_norm);
    if (layer.dead_units) dead.all.push_back(100 * *layer.dead_units);
    if (layer.half_active_units) figures.curves["half active"].push_back(100 * *layer.half_active_units);
  }
  // From the last hidden layer back to the second: the first has other inputs, the last another width.
  const double steps = static_cast<double>(depth - 2);
  figures.values["growth"] = std::pow(gradients[1] / gradients[static_cast<size_t>(depth) - 1], 1 / steps);
  if (!dead.all.empty()) {
    figures.values["dead"] = dead.mean();
    figures.values["half active, last"] = figures.curves["half active"].back();
  }
  return figures;
}

Findings judge(const Results& results) {
  Findings findings;
  const double theory = std::sqrt(std::numbers::pi / (std::numbers::pi - 1));
  for (const std::string& act : acts.values)
    findings.tables.push_back(table_of(
        results,
        {.title =
             "Growth of the weights' gradient from a layer to the one before it, at initialization: " + act,
         .rows = norms,
         .columns = depths,
         .value = "growth",
         .decimals = 3,
         .within = {{"act", act}}}));
  for (const auto& [title, figure] : std::vector<std::pair<const char*, const char*>>{
           {"Dead ReLUs of all layers, % (0 for each of 512 images)", "dead"},
           {"Half-active ReLUs of the last hidden layer, % (not 0 for a quarter to three quarters of the "
            "images)",
            "half active, last"}})
    findings.tables.push_back(table_of(results, {.title = title,
                                                 .rows = norms,
                                                 .columns = depths,
                                                 .value = figure,
                                                 .decimals = 1,
                                                 .within = {{"act", "relu"}}}));
  const auto of = [&](const char* norm, const char* depth, const char* figure) {
    return results.of({{"norm", norm}, {"depth", depth}, {"act", "relu"}}, figure);
  };
  const OverSeeds batch = of("batch", "60", "growth"), none = of("none", "60", "growth"),
                  half = of("batch", "60", "half active, last"),
                  half_none = of("none", "60", "half active, last");
  findings.checks = {
      {fmt::format("60 layers of ReLU: with batch norm the gradient grows by {:.3f} per layer, to 3 %",
                   theory),
       batch.text(3), std::abs(batch.mean() / theory - 1) <= 0.03},
      {"without norm, from He's initialization, by 1, to 10 %", none.text(3),
       std::abs(none.mean() - 1) <= 0.1},
      {"with batch norm at least 90 % of the last layer's ReLUs are half active", half.text(1) + " %",
       half.mean() >= 90},
      {"without norm at most half of them are", half_none.text(1) + " %", half_none.mean() <= 50}};
  // The claim is that gradients flow better with it: less growth, and more units at work.
  findings.claim = {{"gradients keep their size better than without it, from He's initialization",
                     std::abs(std::log(batch.mean())) < std::abs(std::log(none.mean()))},
                    {"it keeps ReLUs at work", half.mean() > half_none.mean()}};
  for (const std::string& act : acts.values) {
    Plot plot{"Gradient of each layer's weight at initialization, 60 layers: " + act,
              {"layer"},
              {"norm of the gradient", true},
              {}};
    std::vector<double> layers;
    for (int layer = 1; layer <= 61; ++layer) layers.push_back(layer);
    for (const std::string& norm : norms.values)
      plot.series.push_back(
          results.curve({{"norm", norm}, {"depth", "60"}, {"act", act}}, "gradient", layers, norm));
    findings.plots.push_back(std::move(plot));
  }
  return findings;
}

}  // namespace

extern const Experiment gradient_flow;
const Experiment gradient_flow{
    .name = "gradient-flow",
    .claim = "Batch normalization lets gradients flow through deep networks, and keeps ReLUs at work",
    .source =
        "Ioffe & Szegedy 2015 (arXiv:1502.03167), section 3.3; against it Yang et al. 2019 "
        "(arXiv:1902.08129): at initialization the gradient grows by sqrt(pi / (pi - 1)) = 1.21 per layer of "
        "ReLU with batch norm",
    .setup =
        "Hidden layers of 256, initialization of He (ReLU) or Xavier (tanh), one batch of 512 at "
        "initialization, no training. Growth is the geometric mean, from the last hidden layer back to the "
        "second, of the ratio of the norms of two weights' gradients.",
    .reference =
        "theory for wide layers and large batches; for the lines without a figure in the source, what was "
        "expected before the first run",
    .settings = grid({norms, acts, depths}),
    .run = run,
    .judge = judge,
    .seeds = 5};

}  // namespace ballast::app::experiments
