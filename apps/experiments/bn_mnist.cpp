#include <algorithm>
#include <array>
#include <cmath>

#include <ballast/optim/sgd.h>

#include "experiments/training.h"

namespace ballast::app::experiments {
namespace {

const GridAxis norms{"norm", {"none", "batch"}}, rates{"lr", {"0.1", "0.5"}};
constexpr int64_t full_steps = 50'000, units = 100;

/// Steps at which the network is measured: dense at first, where the curves bend.
const std::vector<double>& measured_steps() {
  static const std::vector<double> steps = [] {
    std::vector<double> all = {100, 300};
    for (int step = 500; step <= 10'000; step += 250) all.push_back(step);
    for (int step = 11'000; step <= full_steps; step += 1'000) all.push_back(step);
    return all;
  }();
  return steps;
}

/// Pixels above 0.5 as 1, the others as 0.
Dataset binarised(const Dataset& pixels) {
  return augmented(pixels, [](RandomStream&, const Shape& shape, real* x) {
    for (int64_t i = 0; i < shape.count(); ++i) x[i] = x[i] > real(0.5) ? real(1) : real(0);
  });
}

/// What each sigmoid of the last hidden layer gets.
Tensor last_inputs(Sequential& net, const Batch& batch) {
  Tensor x = batch.x;
  for (size_t layer = 0; layer + 2 < net.size(); ++layer) x = net[layer](std::move(x));
  return x;
}

/// The {15, 50, 85}th percentiles of what one sigmoid gets.
std::vector<double> percentiles(const Tensor& inputs, int64_t sigmoid) {
  std::vector<real> values;
  for (int64_t n = 0; n < inputs.size(0); ++n) values.push_back(inputs(n, sigmoid));
  std::ranges::sort(values);
  std::vector<double> found;
  for (const double share : {0.15, 0.5, 0.85})
    found.push_back(
        static_cast<double>(values[static_cast<size_t>(share * static_cast<double>(values.size()))]));
  return found;
}

Figures run(const Trial& trial) {
  Sequential net = net_of("flatten, 3x(linear 100, norm, sigmoid), linear",
                          {.norm = trial.setting["norm"], .init = "0.05"});
  SGD optimizer(net, {.lr = trial.setting.number("lr")});
  const Dataset data = binarised(trial.images.pixels.train), test = binarised(trial.images.pixels.test);
  Loader first(test, {.batch_size = std::min<int64_t>(1'000, test.size), .shuffle = false});
  const Batch seen = *first.begin();
  Figures figures;
  figures.values = {{"steps to 96", static_cast<double>(full_steps)}, {"reached 96", 0}};
  std::vector<double> farthest(units);  // of the median of each sigmoid's input
  const auto measure = [&](int64_t step) {
    if (!std::ranges::binary_search(measured_steps(), static_cast<double>(step))) return;
    const double accuracy = test_accuracy(net, test);
    const Tensor inputs = last_inputs(net, seen);
    const std::vector<double> input = percentiles(inputs, 0);
    figures.curves["accuracy"].push_back(accuracy / 100);
    for (size_t i = 0; i < input.size(); ++i)
      figures.curves[fmt::format("percentile {}", 15 + 35 * i)].push_back(input[i]);
    figures.values[fmt::format("at {}", step)] = accuracy;
    figures.values[fmt::format("spread at {}", step)] = input[2] - input[0];
    for (int64_t i = 0; i < units; ++i)
      farthest[static_cast<size_t>(i)] =
          std::max(farthest[static_cast<size_t>(i)], std::abs(percentiles(inputs, i)[1]));
    if (accuracy >= 96 && figures.values["reached 96"] == 0)
      figures.values["steps to 96"] = static_cast<double>(step), figures.values["reached 96"] = 1;
  };
  train(net, optimizer,
        {.data = data,
         .steps = trial.quick ? 500 : full_steps,
         .batch_size = 60,
         .seed = trial.seed,
         .before = measure});
  figures.values["median, farthest"] = farthest[0];
  figures.values["medians in place, %"] =
      100.0 / units * static_cast<double>(std::ranges::count_if(farthest, [](double v) { return v <= 0.5; }));
  return figures;
}

constexpr std::array shown_steps = {100, 1'000, 2'000, 3'000, 5'000, 10'000, 20'000, 30'000, 50'000};

Table accuracy_table(const Results& results, const std::string& lr) {
  Table table{fmt::format("Test accuracy, %, lr {}", lr), {"step"}, {}};
  for (const int step : shown_steps) table.columns.push_back(fmt::format("{}", step));
  const std::vector<std::vector<std::string>> reference = {
      {"11.4", "11.4", "11.4", "38.6", "76.3", "91.6", "95.3", "96.1", "96.1"},
      {"85.7", "91.6", "93.0", "93.7", "95.0", "96.8", "97.5", "97.4", "97.8"}};
  for (size_t i = 0; i < norms.values.size(); ++i) {
    std::vector<std::string> cells = {norms.values[i]};
    for (const int step : shown_steps)
      cells.push_back(
          results.of_if_any({{"norm", norms.values[i]}, {"lr", lr}}, fmt::format("at {}", step)).text());
    table.rows.push_back(std::move(cells));
    if (lr != "0.1") continue;
    table.rows.push_back({"  reference"});
    table.rows.back().insert(table.rows.back().end(), reference[i].begin(), reference[i].end());
  }
  return table;
}

std::vector<Plot> plots(const Results& results) {
  std::vector<Plot> all;
  const Axis step{"training steps", false, 0, full_steps};
  for (const std::string& lr : rates.values) {
    Plot accuracy{
        fmt::format("(a) Test accuracy, lr {}", lr), step, {"share of test images right", false, 0.7, 1}, {}};
    for (const std::string& norm : norms.values) {
      accuracy.series.push_back(results.curve({{"norm", norm}, {"lr", lr}}, "accuracy", measured_steps(),
                                              norm == "none" ? "without batch norm" : "with batch norm"));
      accuracy.series.back().dashed = norm == "none";
    }
    all.push_back(std::move(accuracy));
    for (const std::string& norm : norms.values) {
      Plot input{fmt::format("({}) Input of a sigmoid of the last hidden layer, {} batch norm, lr {}",
                             norm == "none" ? "b" : "c", norm == "none" ? "without" : "with", lr),
                 step,
                 {"15th, 50th and 85th percentile", false, -2, 2},
                 {}};
      for (const char* percent : {"85", "50", "15"})
        input.series.push_back(results.curve({{"norm", norm}, {"lr", lr}},
                                             fmt::format("percentile {}", percent), measured_steps(),
                                             fmt::format("{}th percentile", percent)));
      all.push_back(std::move(input));
    }
  }
  return all;
}

Findings judge(const Results& results) {
  Findings findings;
  for (const std::string& lr : rates.values) findings.tables.push_back(accuracy_table(results, lr));
  const Setting plain{{"norm", "none"}, {"lr", "0.1"}}, batch{{"norm", "batch"}, {"lr", "0.1"}};
  const auto at = [&](const Setting& setting, const char* figure) {
    return results.of_if_any(setting, figure);
  };
  const OverSeeds plain_early = at(plain, "at 1000"), batch_early = at(batch, "at 500"),
                  plain_end = at(plain, "at 50000"), batch_end = at(batch, "at 50000");
  const double gap = batch_end.mean() - plain_end.mean();
  const double faster_gap = results.of_if_any({{"norm", "batch"}, {"lr", "0.5"}}, "at 50000").mean() -
                            results.of_if_any({{"norm", "none"}, {"lr", "0.5"}}, "at 50000").mean();
  const OverSeeds plain_steps = at(plain, "steps to 96"), batch_steps = at(batch, "steps to 96"),
                  reached = at(plain, "reached 96");
  const OverSeeds farthest = at(batch, "median, farthest"), in_place = at(batch, "medians in place, %");
  const double growth = at(plain, "spread at 50000").mean() / at(plain, "spread at 100").mean(),
               batch_growth = at(batch, "spread at 50000").mean() / at(batch, "spread at 100").mean();
  findings.checks = {
      {"without batch norm at most 15 % at step 1,000", plain_early.text() + " %", plain_early.mean() <= 15},
      {"with batch norm at least 85 % at step 500", batch_early.text() + " %", batch_early.mean() >= 85},
      {"at the end batch norm is 0.7 to 2.5 points ahead",
       fmt::format("{:+.2f} points at lr 0.1 ({:+.2f} at lr 0.5)", gap, faster_gap),
       gap >= 0.7 && gap <= 2.5},
      {"without batch norm it takes at least 3 times as many steps to 96 %",
       fmt::format("{:.0f} and {:.0f} steps, {:.1f} times ({} of {} networks without it get there; the "
                   "others count as {} steps)",
                   plain_steps.mean(), batch_steps.mean(), plain_steps.mean() / batch_steps.mean(),
                   reached.reaching(1), reached.all.size(), full_steps),
       plain_steps.mean() >= 3 * batch_steps.mean()},
      {"with batch norm the median of a sigmoid's input stays within 0.5 of 0",
       fmt::format("at most {:.2f} away, of all seeds", farthest.largest()), farthest.largest() <= 0.5,
       fmt::format(
           "it does with {} of {} seeds, and of all {} sigmoids of the layer {:.0f} % stay within 0.5; "
           "in PyTorch 2.15, whose first sigmoid does with 2 of 5 seeds, 52 %",
           farthest.all.size() - static_cast<size_t>(farthest.reaching(std::nextafter(0.5, 1))),
           farthest.all.size(), units, in_place.mean())},
      {"without, the distance between the percentiles grows at least 50 times from step 100 on",
       fmt::format("{:.0f} times (with batch norm {:.1f} times)", growth, batch_growth), growth >= 50}};
  findings.claim = {{"it ends better", findings.checks[2].holds},
                    {"it trains faster", findings.checks[3].holds},
                    {"its activations stay in place", findings.checks[4].holds}};
  findings.plots = plots(results);
  return findings;
}

}  // namespace

extern const Experiment bn_mnist;
const Experiment bn_mnist{
    .name = "bn-mnist",
    .claim =
        "With batch normalization a sigmoid network trains faster, ends better, and "
        "its activations stay in place",
    .source = "Ioffe & Szegedy 2015 (arXiv:1502.03167), section 4.1, figure 1",
    .setup =
        "Images binarised at 0.5, three hidden layers of 100 sigmoid units, 50,000 "
        "steps of 60 images. The paper gives neither learning rate nor "
        "initialization; chosen were plain SGD at 0.1 (and 0.5), weights N(0, 0.05^2), "
        "biases 0. Percentiles are of the input to the first sigmoid of the last hidden layer, over 1,000 "
        "test images, in evaluation mode, from step 100 on.",
    .reference =
        "PyTorch 1.13, one seed, lr 0.1, with whose sigmoid the line on the median holds. "
        "Since that depends on the sigmoid, the same was trained in PyTorch 2.15 with "
        "five seeds, for 15,000 steps (apps/experiments/reference.py)",
    .settings = grid({norms, rates}),
    .run = run,
    .judge = judge,
    .seeds = 5,
    .revision = 2};

}  // namespace ballast::app::experiments
