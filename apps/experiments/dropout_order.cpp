#include <algorithm>
#include <cmath>

#include <ballast/core/random.h>
#include <ballast/layers/batch_norm.h>
#include <ballast/layers/dropout.h>
#include <ballast/optim/adam.h>

#include "experiments/training.h"

namespace ballast::app::experiments {
namespace {

const GridAxis widths{"width", {"64", "512"}}, orders{"dropout", {"none", "after", "before"}};

/// The line of the network: dropout behind all norms, or behind each hidden layer and so before the next
/// norm.
std::string line(const std::string& width, const std::string& order) {
  const std::string hidden = fmt::format("linear {}, batchnorm, relu", width);
  if (order == "before") return fmt::format("flatten, 3x({}, dropout 0.5), linear", hidden);
  return fmt::format("flatten, 3x({}){}, linear", hidden, order == "after" ? ", dropout 0.5" : "");
}

/// Of each batch norm, the mean over units of the larger ratio between the running variance and the variance
/// that its input has in evaluation.
std::vector<double> variance_shifts(Sequential& net, const Dataset& data) {
  Loader loader(subset(data, 0, std::min<int64_t>(10'000, data.size)),
                {.batch_size = std::min<int64_t>(10'000, data.size), .shuffle = false});
  Tensor x = loader.begin()->x;
  std::vector<double> shifts;
  for (size_t layer = 0; layer < net.size(); ++layer) {
    if (const auto* norm = dynamic_cast<const BatchNorm1d*>(&net[layer])) {
      BatchNorm1d other(norm->channels, {.momentum = 1.0});  // its running variance becomes that of x
      {
        const StatisticsScope scope;
        other(x);
      }
      double sum = 0;
      for (int64_t c = 0; c < norm->channels; ++c) {
        const double ratio = static_cast<double>(norm->running_var.data()[c]) /
                             static_cast<double>(other.running_var.data()[c]);
        sum += std::max(ratio, 1 / ratio);
      }
      shifts.push_back(sum / static_cast<double>(norm->channels));
    }
    x = net[layer](std::move(x));
  }
  return shifts;
}

/// Dropout, then batch norm, on N(0, 1): the running variance times 1 - p, which is 1 in theory.
Figures run_layers(const Trial& trial) {
  const double p = trial.setting.number("p");
  Dropout dropout(p);
  BatchNorm1d norm(64, {.momentum = std::nullopt});
  for (int batch = 0; batch < 50; ++batch) {
    const Tape tape;
    norm(dropout(randn({1000, 64})));
  }
  double sum = 0;
  for (int64_t c = 0; c < 64; ++c) sum += static_cast<double>(norm.running_var.data()[c]);
  return {{{"variance", sum / 64}}, {}};
}

Figures run(const Trial& trial) {
  if (trial.setting.has("p")) return run_layers(trial);
  Sequential net = net_of(line(trial.setting["width"], trial.setting["dropout"]));
  Adam optimizer(net, {.lr = 1e-3});
  const Split& data = trial.images.standardized;
  train(net, optimizer, {.data = data.train, .steps = trial.epochs(3, 128), .seed = trial.seed});
  Figures figures{{{"accuracy", test_accuracy(net, data.test)}}, {}};
  const std::vector<double> shifts = variance_shifts(net, data.train);
  for (size_t i = 0; i < shifts.size(); ++i) figures.values[fmt::format("shift {}", i + 1)] = shifts[i];
  return figures;
}

Findings judge(const Results& results) {
  Findings findings;
  findings.tables.push_back(table_of(
      results, {.title = "Test accuracy, %",
                .rows = widths,
                .columns = orders,
                .value = "accuracy",
                .reference = {{"64", {"97.12", "96.98", "92.81"}}, {"512", {"97.77", "98.02", "97.20"}}}}));
  Table shifts{"Variance shift of the three batch norms", {"", "first", "second", "third"}, {}};
  const std::map<std::string, std::vector<std::string>> reference = {
      {"64, before", {"1.03", "1.30", "1.45"}}, {"512, before", {"1.04", "1.35", "1.35"}}};
  double least_before = HUGE_VAL, largest_after = 0;
  for (const std::string& width : widths.values)
    for (const std::string& order : orders.values) {
      const std::string name = fmt::format("{}, {}", width, order);
      shifts.rows.push_back({name});
      for (int layer = 1; layer <= 3; ++layer) {
        const OverSeeds shift =
            results.of({{"width", width}, {"dropout", order}}, fmt::format("shift {}", layer));
        shifts.rows.back().push_back(shift.text(3));
        if (order == "before" && layer > 1) least_before = std::min(least_before, shift.mean());
        if (order == "after") largest_after = std::max(largest_after, shift.mean());
      }
      if (const auto found = reference.find(name); found != reference.end()) {
        shifts.rows.push_back({"  reference"});
        shifts.rows.back().insert(shifts.rows.back().end(), found->second.begin(), found->second.end());
      }
    }
  findings.tables.push_back(std::move(shifts));

  const auto gap = [&](const char* width) {
    return results.mean({{"width", width}, {"dropout", "after"}}, "accuracy") -
           results.mean({{"width", width}, {"dropout", "before"}}, "accuracy");
  };
  double deviation = 0;
  for (const double p : {0.1, 0.5, 0.8})
    deviation =
        std::max(deviation, std::abs(results.mean({{"p", fmt::format("{}", p)}}, "variance") * (1 - p) - 1));
  findings.checks = {
      {"dropout with probability p, then batch norm, on N(0, 1): the running variance is 1 / (1 - p) to "
       "within 1 %",
       fmt::format("within {:.2f} % for p = 0.1, 0.5 and 0.8", 100 * deviation), deviation <= 0.01},
      {"variance shift of at least 1.25 where dropout is before a norm",
       fmt::format("least {:.2f}", least_before), least_before >= 1.25},
      {"at most 1.06 where it is behind all norms", fmt::format("largest {:.3f}", largest_after),
       largest_after <= 1.06},
      {"at width 64 dropout before norms costs at least 2.5 points of accuracy, against behind",
       fmt::format("{:.2f} points", gap("64")), gap("64") >= 2.5},
      {"at width 512 less", fmt::format("{:.2f} points", gap("512")), gap("512") < gap("64")}};
  findings.claim = {{"it shifts the variance", findings.checks[1].holds},
                    {"it costs accuracy in a narrow network", findings.checks[3].holds},
                    {"it costs accuracy in a wide network", gap("512") > 0}};
  Plot plot{"Test accuracy by width", {"width of hidden layers", true}, {"test accuracy, %"}, {}};
  for (const std::string& order : orders.values)
    plot.series.push_back(along(results, {{"dropout", order}}, widths, "accuracy", "dropout: " + order));
  findings.plots.push_back(std::move(plot));
  return findings;
}

}  // namespace

extern const Experiment dropout_order;
const Experiment dropout_order{
    .name = "dropout-order",
    .claim = "Dropout before batch normalization shifts the variance and costs accuracy",
    .source = "Li et al. 2018 (arXiv:1801.05134)",
    .setup =
        "Three hidden layers, each linear, batch norm, ReLU; dropout of 0.5 behind each of them (before the "
        "next norm) or behind the last alone; Adam at 0.001, batches of 128, three "
        "epochs. The shift of a norm is the mean over units of max(r, 1/r), r = running variance / variance "
        "of its input over 10,000 training images in evaluation.",
    .reference = "PyTorch 1.13, one seed",
    .settings = joined(grid({widths, orders}), grid({{"p", {"0.1", "0.5", "0.8"}}})),
    .run = run,
    .judge = judge};

}  // namespace ballast::app::experiments
