#include <algorithm>
#include <cmath>
#include <numeric>

#include <ballast/optim/sgd.h>

#include "experiments/training.h"

namespace ballast::app::experiments {
namespace {

const GridAxis nets{"net", {"plain", "residual"}}, norms{"norm", {"none", "batch"}},
    depths{"depth", {"20", "56", "110"}};

/// "net" at a learning rate of 0.05, or "slow net" at 0.005.
const std::string& kind(const Setting& setting) { return setting[setting.has("net") ? "net" : "slow net"]; }

/// A convolution, blocks of two convolutions, and a linear layer: depth in all.
std::string line(const Setting& setting) {
  const auto blocks = (static_cast<int64_t>(setting.number("depth")) - 2) / 2;
  const char* block = kind(setting) == "plain" ? "conv 8 3 pad=1, norm, act, conv 8 3 pad=1, norm, act"
                                               : "res(conv 8 3 pad=1, norm, act, conv 8 3 pad=1, norm), act";
  return fmt::format("conv 8 3 pad=1, norm, act, maxpool 4, {}x({}), flatten, linear", blocks, block);
}

Figures run(const Trial& trial) {
  Sequential net = net_of(line(trial.setting), {.norm = trial.setting["norm"]});
  SGD optimizer(net, {.lr = trial.setting.has("net") ? 0.05 : 0.005, .momentum = 0.9});
  const Split& data = trial.images.standardized;
  const auto losses = train(
      net, optimizer, {.data = data.train, .steps = trial.steps(400), .batch_size = 64, .seed = trial.seed});
  const size_t last = std::min<size_t>(losses.size(), 50);
  double sum = 0;
  for (size_t i = losses.size() - last; i < losses.size(); ++i) sum += losses[i];
  return {{{"loss", sum / static_cast<double>(last)},
           {"accuracy", finite(losses) ? test_accuracy(net, data.test) : std::nan("")}},
          {{"loss", losses}}};
}

void add_table(const Results& results, const char* title, const char* figure, Findings& findings) {
  Table table{title, {"net, norm, learning rate", "20 layers", "56 layers", "110 layers"}, {}};
  const auto add_row = [&](const std::string& rate, const char* entry, const std::string& net,
                           const std::string& norm) {
    table.rows.push_back({fmt::format("{}, {}, {}", net, norm, rate)});
    for (const std::string& depth : depths.values)
      table.rows.back().push_back(
          results.of({{entry, net}, {"norm", norm}, {"depth", depth}}, figure).text());
  };
  for (const std::string& net : nets.values)
    for (const std::string& norm : norms.values) add_row("0.05", "net", net, norm);
  for (const std::string& net : nets.values) add_row("0.005", "slow net", net, "batch");
  findings.tables.push_back(std::move(table));
}

/// The lines on batch norm at one learning rate; `when` says which, and `why` what is known of a failure.
void check_depths(const Results& results, const char* entry, const std::string& when, const std::string& why,
                  Findings& findings) {
  const auto loss = [&](const char* net, const char* depth) {
    return results.mean({{entry, net}, {"norm", "batch"}, {"depth", depth}}, "loss");
  };
  const auto both = [](double first, double second) {
    return fmt::format("{:.3f} and {:.3f}", first, second);
  };
  const double plain_deep = loss("plain", "56"), plain = loss("plain", "20"),
               residual_deep = loss("residual", "56"), residual = loss("residual", "20");
  findings.checks.push_back(
      {when + "plain, batch norm: the training loss of 56 layers is at least twice that of 20",
       both(plain_deep, plain), plain_deep >= 2 * plain});
  findings.checks.push_back({when + "residual, batch norm: that of 56 layers is at most 1.2 times that of 20",
                             both(residual_deep, residual), residual_deep <= 1.2 * residual, why});
  findings.checks.push_back({when + "56 layers, batch norm: it is lower with residual blocks than plain",
                             both(residual_deep, plain_deep), residual_deep < plain_deep, why});
}

Findings judge(const Results& results) {
  Findings findings;
  add_table(results, "Test accuracy after 400 steps, %", "accuracy", findings);
  add_table(results, "Training loss over the last 50 steps", "loss", findings);
  check_depths(
      results, "net", "",
      "the residual networks' loss rises above 20 within the first steps at this rate, without a warm-up",
      findings);
  const OverSeeds bare = results.of({{"net", "plain"}, {"norm", "none"}, {"depth", "56"}}, "loss"),
                  bare_residual =
                      results.of({{"net", "residual"}, {"norm", "none"}, {"depth", "56"}}, "loss");
  findings.checks.push_back({"plain without norm, 56 layers: no training (a loss of at least 2, or NaN)",
                             bare.text(3), !(bare.mean() < 2)});
  findings.checks.push_back(
      {"residual without norm, 56 layers, from He's initialization: it diverges, with every seed",
       bare_residual.text(3),
       std::ranges::all_of(bare_residual.all, [](double v) { return std::isnan(v); })});
  check_depths(results, "slow net", "at 0.005, added when lines above had failed: ", "", findings);
  const auto slow = [&](const char* net, const char* depth) {
    return results.mean({{"slow net", net}, {"norm", "batch"}, {"depth", depth}}, "loss");
  };
  const OverSeeds late = results.of({{"slow net", "residual"}, {"norm", "batch"}, {"depth", "110"}}, "loss");
  findings.checks.push_back(
      {"at 0.005, residual, batch norm: the training loss of 110 layers is at most 1.2 times that of 20",
       fmt::format("{:.3f} and {:.3f}", slow("residual", "110"), slow("residual", "20")),
       slow("residual", "110") <= 1.2 * slow("residual", "20"),
       fmt::format("{} of {} seeds are above that", late.reaching(1.2 * slow("residual", "20")),
                   late.all.size())});
  findings.checks.push_back({"at 0.005, plain, batch norm: that of 110 layers is at least twice that of 20",
                             fmt::format("{:.3f} and {:.3f}", slow("plain", "110"), slow("plain", "20")),
                             slow("plain", "110") >= 2 * slow("plain", "20")});
  std::vector<double> steps(400);
  std::iota(steps.begin(), steps.end(), 0);
  for (const auto& [rate, entry] :
       std::vector<std::pair<std::string, std::string>>{{"0.005", "slow net"}, {"0.05", "net"}}) {
    Plot plot{"Training loss by step, batch norm, lr " + rate, {"step"}, {"loss", true}, {}};
    for (const std::string& net : nets.values)
      for (const std::string& depth : depths.values) {
        plot.series.push_back(results.curve({{entry, net}, {"norm", "batch"}, {"depth", depth}}, "loss",
                                            steps, fmt::format("{}, {} layers", net, depth)));
        plot.series.back().dashed = net == "plain";
      }
    findings.plots.push_back(std::move(plot));
  }
  const auto holds = [&](size_t check) { return findings.checks[check].holds; };
  findings.claim = {
      {"batch norm alone isn't enough", holds(0) && holds(5)},
      {"with residual blocks 56 layers train as well as 20 at the higher rate, without a warm-up",
       holds(1) && holds(2)},
      {"with residual blocks 56 layers train as well as 20 at the lower rate", holds(6) && holds(7)},
      {"110 layers train as well as 20 with residual blocks", holds(8)},
      {"residual blocks need it", holds(4)}};
  return findings;
}

}  // namespace

extern const Experiment resnet_depth;
const Experiment resnet_depth{
    .name = "resnet-depth",
    .claim =
        "Batch normalization alone doesn't make deep networks easy to train; with residual blocks it does, "
        "and "
        "these need it",
    .source =
        "He et al. 2016 (arXiv:1512.03385), figures 1 and 4, scaled down; on CIFAR-10 their plain network of "
        "56 layers "
        "has a higher training error than that of 20, and the residual one a lower error",
    .setup =
        "A convolution of 3 x 3, pooling of 4 x 4, blocks of two convolutions of 3 x 3 on 7 x 7 pixels, all "
        "with 8 "
        "channels, norm and ReLU, and a linear layer; initialization of He, SGD with momentum 0.9 at 0.05, "
        "400 steps of 64.",
    .reference =
        "the source's figures are of another task; expected before the first run were the lines below",
    .settings =
        joined(grid({nets, norms, depths}), grid({{"slow net", nets.values}, {"norm", {"batch"}}, depths})),
    .run = run,
    .judge = judge};

}  // namespace ballast::app::experiments
