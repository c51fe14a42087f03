#include <algorithm>
#include <cmath>

#include <ballast/optim/sgd.h>

#include "experiments/training.h"

namespace ballast::app::experiments {
namespace {

const GridAxis nets{"net", {"plain", "residual"}}, norms{"norm", {"none", "batch"}},
    depths{"depth", {"20", "56"}};

/// A convolution, blocks of two convolutions, and a linear layer: depth in all.
std::string line(const Setting& setting) {
  const auto blocks = (static_cast<int64_t>(setting.number("depth")) - 2) / 2;
  const char* block = setting["net"] == "plain" ? "conv 8 3 pad=1, norm, act, conv 8 3 pad=1, norm, act"
                                                : "res(conv 8 3 pad=1, norm, act, conv 8 3 pad=1, norm), act";
  return fmt::format("conv 8 3 pad=1, norm, act, maxpool 4, {}x({}), flatten, linear", blocks, block);
}

Figures run(const Trial& trial) {
  Sequential net = net_of(line(trial.setting), {.norm = trial.setting["norm"]});
  SGD optimizer(net, {.lr = 0.05, .momentum = 0.9});
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

Findings judge(const Results& results) {
  Findings findings;
  for (const auto& [title, figure] :
       std::vector<std::pair<const char*, const char*>>{{"Test accuracy after 400 steps, %", "accuracy"},
                                                        {"Training loss over the last 50 steps", "loss"}}) {
    Table table{title, {"net, norm"}, {}};
    for (const std::string& depth : depths.values) table.columns.push_back(depth + " layers");
    for (const std::string& net : nets.values)
      for (const std::string& norm : norms.values) {
        table.rows.push_back({fmt::format("{}, {}", net, norm)});
        for (const std::string& depth : depths.values)
          table.rows.back().push_back(
              results.of({{"net", net}, {"norm", norm}, {"depth", depth}}, figure).text());
      }
    findings.tables.push_back(std::move(table));
  }
  const auto loss = [&](const char* net, const char* norm, const char* depth) {
    return results.mean({{"net", net}, {"norm", norm}, {"depth", depth}}, "loss");
  };
  const auto both = [](double deep, double shallow) {
    return fmt::format("{:.3f} and {:.3f}", deep, shallow);
  };
  const double plain_deep = loss("plain", "batch", "56"), plain = loss("plain", "batch", "20"),
               residual_deep = loss("residual", "batch", "56"), residual = loss("residual", "batch", "20"),
               bare = loss("plain", "none", "56"), bare_residual = loss("residual", "none", "56");
  findings.checks = {{"plain, batch norm: the training loss of 56 layers is at least twice that of 20",
                      both(plain_deep, plain), plain_deep >= 2 * plain},
                     {"residual, batch norm: that of 56 layers is at most 1.2 times that of 20",
                      both(residual_deep, residual), residual_deep <= 1.2 * residual},
                     {"56 layers, batch norm: it is lower with residual blocks than plain",
                      both(residual_deep, plain_deep), residual_deep < plain_deep},
                     {"plain without norm, 56 layers: no training (a loss of at least 2, or NaN)",
                      fmt::format("{:.3f}", bare), !(bare < 2)},
                     {"residual without norm, 56 layers, from He's initialization: it diverges",
                      fmt::format("{:.3f}", bare_residual), std::isnan(bare_residual)}};
  for (const Check& check : findings.checks) findings.claim.push_back(check.holds);
  std::vector<double> steps;
  for (int step = 0; step < 400; ++step) steps.push_back(step);
  Plot plot{"Training loss by step, batch norm", {"step"}, {"loss", true}, {}};
  for (const std::string& net : nets.values)
    for (const std::string& depth : depths.values) {
      plot.series.push_back(results.curve({{"net", net}, {"norm", "batch"}, {"depth", depth}}, "loss", steps,
                                          fmt::format("{}, {} layers", net, depth)));
      plot.series.back().dashed = net == "plain";
    }
  findings.plots.push_back(std::move(plot));
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
        "400 steps of 64. 110 layers are left out, for their time.",
    .reference =
        "the source's figures are of another task; expected before the first run were the lines below",
    .settings = grid({nets, norms, depths}),
    .run = run,
    .judge = judge};

}  // namespace ballast::app::experiments
