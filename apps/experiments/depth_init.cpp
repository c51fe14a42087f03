#include <algorithm>
#include <cmath>

#include <ballast/core/ops/loss.h>
#include <ballast/layers/analysis/probe.h>
#include <ballast/optim/sgd.h>

#include "experiments/clock.h"
#include "experiments/training.h"

namespace ballast::app::experiments {
namespace {

const GridAxis norms{"norm", {"none", "batch", "layer"}};
const std::vector<std::string> depths = {"3", "10", "20", "40"};

/// What an activation and an initialization are called together.
struct Start {
  const char *name, *act, *init;
};
const std::vector<Start> starts = {{"sigmoid, Xavier", "sigmoid", "xavier"},
                                   {"ReLU, N(0, 0.05^2)", "relu", "0.05"},
                                   {"ReLU, He", "relu", "he"}};

const Start& start_of(const Setting& setting) {
  return *std::ranges::find_if(starts, [&](const Start& start) { return start.name == setting["start"]; });
}

/// One batch forward and backward: the norm of each hidden weight's gradient, and the share of ReLUs that are
/// 0 for all its samples.
void probe(Sequential& net, const Batch& batch, Figures& figures, const std::string& when) {
  Probe probe(net);
  Tape tape;
  tape.backward(cross_entropy(net(batch.x), batch.y));
  probe.step(0);
  zero_grad(net);
  OverSeeds dead;
  std::vector<double>& norms_of_layers = figures.curves["gradient " + when];
  for (const LayerProbe& layer : probe.layers()) {
    if (layer.dead_units) dead.all.push_back(*layer.dead_units);
    if (layer.layer.starts_with("Linear") && layer.gradient_norm)
      norms_of_layers.push_back(*layer.gradient_norm);
  }
  if (!dead.all.empty()) figures.values["dead " + when] = 100 * dead.mean();
}

Figures run(const Trial& trial) {
  const Start& start = start_of(trial.setting);
  Sequential net = net_of(fmt::format("flatten, {}x(linear 100, norm, act), linear", trial.setting["depth"]),
                          {.norm = trial.setting["norm"], .act = start.act, .init = start.init});
  const Split& data = trial.images.standardized;
  Loader loader(data.train, {.batch_size = 128, .seed = trial.seed});
  const Batch batch = *loader.begin();
  Figures figures;
  {
    Sequential copy = net;  // the running statistics stay as they are
    probe(copy, batch, figures, "at first");
  }
  SGD optimizer(net, {.lr = 0.02, .momentum = 0.9});
  const ThreadClock clock;
  const auto losses =
      train(net, optimizer, {.data = data.train, .steps = trial.steps(937), .seed = trial.seed});
  figures.values["ms per step"] = 1e3 * clock.seconds() / static_cast<double>(losses.size());
  figures.values["accuracy"] = test_accuracy(net, data.test);
  probe(net, batch, figures, "at last");
  return figures;
}

Findings judge(const Results& results) {
  Findings findings;
  const std::map<std::string, std::map<std::string, std::vector<std::string>>> reference = {
      {"sigmoid, Xavier",
       {{"none", {"91.1", "10.3", "11.4", ""}},
        {"batch", {"93.2", "93.3", "94.2", "93.1"}},
        {"layer", {"94.0", "9.7", "9.8", ""}}}},
      {"ReLU, N(0, 0.05^2)",
       {{"none", {"96.7", "11.4", "11.4", "11.4"}},
        {"batch", {"97.2", "97.1", "95.3", "50.0"}},
        {"layer", {"96.8", "93.0", "11.4", "11.4"}}}},
      {"ReLU, He",
       {{"none", {"96.6", "95.5", "", "34.5"}},
        {"batch", {"96.9", "96.6", "", "58.4"}},
        {"layer", {"96.7", "96.2", "", "11.4"}}}}};
  Table dead{"Dead ReLUs at first and at last, % (of a batch of 128)",
             {"", "depth 3", "depth 10", "depth 20", "depth 40"},
             {}};
  for (const Start& start : starts) {
    findings.tables.push_back(
        table_of(results, {.title = fmt::format("Test accuracy by depth, %: {}", start.name),
                           .rows = norms,
                           .columns = {"depth", depths},
                           .value = "accuracy",
                           .decimals = 1,
                           .within = {{"start", start.name}},
                           .reference = reference.at(start.name)}));
    for (const std::string& norm : norms.values) {
      if (start.act != std::string("relu")) continue;
      dead.rows.push_back({fmt::format("{}, {}", start.name, norm)});
      for (const std::string& depth : depths) {
        const Setting setting{{"start", start.name}, {"depth", depth}, {"norm", norm}};
        dead.rows.back().push_back(fmt::format("{:.0f}, {:.0f}", results.mean(setting, "dead at first"),
                                               results.mean(setting, "dead at last")));
      }
    }
    Plot gradients{fmt::format("Gradient of each layer's weight at initialization: {}", start.name),
                   {"layer"},
                   {"norm of the gradient", true},
                   {}};
    for (const char* depth : {"10", "40"})
      for (const std::string& norm : norms.values) {
        std::vector<double> layers;
        for (int layer = 1; layer <= std::stoi(depth) + 1; ++layer) layers.push_back(layer);
        gradients.series.push_back(results.curve({{"start", start.name}, {"depth", depth}, {"norm", norm}},
                                                 "gradient at first", layers,
                                                 fmt::format("{}, depth {}", norm, depth)));
        gradients.series.back().dashed = depth == std::string("40");
      }
    findings.plots.push_back(std::move(gradients));
  }
  findings.tables.push_back(std::move(dead));

  const auto accuracy = [&](const char* start, const char* depth, const char* norm) {
    return results.of({{"start", start}, {"depth", depth}, {"norm", norm}}, "accuracy");
  };
  const auto both = [](const OverSeeds& with, const OverSeeds& without) {
    return fmt::format("{} % with, {} % without", with.text(1), without.text(1));
  };
  const OverSeeds sigmoid = accuracy("sigmoid, Xavier", "20", "batch"),
                  sigmoid_plain = accuracy("sigmoid, Xavier", "20", "none"),
                  small = accuracy("ReLU, N(0, 0.05^2)", "10", "batch"),
                  small_plain = accuracy("ReLU, N(0, 0.05^2)", "10", "none"),
                  deep_he = accuracy("ReLU, He", "40", "batch"),
                  deep_small = accuracy("ReLU, N(0, 0.05^2)", "40", "batch"),
                  deep_sigmoid = accuracy("sigmoid, Xavier", "40", "batch");
  const double slow =
      results.mean({{"start", "ReLU, N(0, 0.05^2)"}, {"depth", "40"}, {"norm", "none"}}, "ms per step") /
      results.mean({{"start", "ReLU, He"}, {"depth", "40"}, {"norm", "none"}}, "ms per step");
  findings.checks = {
      {"20 layers of sigmoid: at least 90 % with batch norm, at most 15 % without",
       both(sigmoid, sigmoid_plain), sigmoid.mean() >= 90 && sigmoid_plain.mean() <= 15},
      {"10 layers of ReLU from N(0, 0.05^2): at least 95 % with batch norm, at most 15 % without",
       both(small, small_plain), small.mean() >= 95 && small_plain.mean() <= 15},
      {"batch norm doesn't make depth free: 40 layers of ReLU reach at most 80 %, from either initialization",
       fmt::format("{} % from He's, {} % from N(0, 0.05^2)", deep_he.text(1), deep_small.text(1)),
       deep_he.mean() <= 80 && deep_small.mean() <= 80},
      {"with sigmoid it does: 40 layers reach at least 90 %", deep_sigmoid.text(1) + " %",
       deep_sigmoid.mean() >= 90},
      {"denormal numbers don't slow the small initialization: at most 1.5 times the processor time of He's "
       "at 40 layers without norm",
       fmt::format("{:.2f} times", slow), slow <= 1.5}};
  findings.claim = {{"20 layers of sigmoid train", findings.checks[0].holds},
                    {"10 layers of ReLU train from a small initialization", findings.checks[1].holds},
                    {"40 layers of ReLU train", deep_he.mean() >= 90 && deep_small.mean() >= 90}};
  return findings;
}

}  // namespace

extern const Experiment depth_init;
const Experiment depth_init{
    .name = "depth-init",
    .claim = "Batch normalization makes training independent of depth and initialization",
    .source =
        "Ioffe & Szegedy 2015 (arXiv:1502.03167), section 3.3; against it Yang et al. 2019 "
        "(arXiv:1902.08129), on gradients that grow with depth",
    .setup = "Hidden layers of 100, SGD with momentum 0.9 at 0.02, batches of 128, 937 steps (two epochs).",
    .reference = "PyTorch 1.13, one seed",
    .settings =
        grid({{"start", {"sigmoid, Xavier", "ReLU, N(0, 0.05^2)", "ReLU, He"}}, {"depth", depths}, norms}),
    .run = run,
    .judge = judge};

}  // namespace ballast::app::experiments
