#include <algorithm>
#include <cmath>

#include <ballast/core/ops/loss.h>
#include <ballast/layers/batch_norm.h>
#include <ballast/layers/flatten.h>
#include <ballast/layers/linear.h>
#include <ballast/optim/adam.h>
#include <ballast/optim/sgd.h>

#include "experiments/training.h"

namespace ballast::app::experiments {
namespace {

const GridAxis epsilons{"eps", {"1e-5", "1e-12"}}, sgd_decays{"sgd decay", {"0", "0.001", "0.003", "0.01"}},
    optimizers{"optimizer", {"Adam + L2", "AdamW"}}, rates{"lr", {"0.0003", "0.001", "0.003", "0.01"}},
    decays{"decay", {"0.0001", "0.001", "0.01", "0.1", "1"}};
constexpr double sgd_lr = 0.1, scale = 10;
constexpr int64_t sgd_epochs = 4, full_steps = sgd_epochs * (60'000 / 128), every = 20;

/// Two hidden layers, each with a bias in front of its batch norm.
Sequential two_layers(double eps) {
  const BatchNormOptions norm{.eps = static_cast<real>(eps)};
  Sequential net(Flatten(), Linear(784, 100), BatchNorm1d(100, norm), ReLU(), Linear(100, 100),
                 BatchNorm1d(100, norm), ReLU(), Linear(100, 10));
  initialize_weights(net, "he");
  return net;
}

/// The layers that a batch norm follows.
std::vector<Linear*> normalized(Sequential& net) {
  return {&dynamic_cast<Linear&>(net[1]), &dynamic_cast<Linear&>(net[4])};
}

/// Adds up the squares that an equation compares.
double squared(std::span<const real> x) { return norm(x) * norm(x); }

struct Pass {
  Tensor logits;
  std::vector<real> gradient, bias_gradient;  // of the layers that are normalized
  double cosine = 0;                          // largest |cos| between a row of a weight and its gradient
};

Pass pass(Sequential& net, const Batch& batch) {
  Pass result;
  Tape tape;
  result.logits = net(batch.x);
  tape.backward(cross_entropy(result.logits, batch.y));
  for (Linear* layer : normalized(net)) {
    const Tensor g = layer->weight.grad(), bias = layer->bias.grad();
    result.gradient.insert(result.gradient.end(), g.data(), g.data() + g.count());
    result.bias_gradient.insert(result.bias_gradient.end(), bias.data(), bias.data() + bias.count());
    const auto row = static_cast<size_t>(g.size(1));
    for (size_t i = 0; i < static_cast<size_t>(g.size(0)); ++i) {
      const auto w = layer->weight.value().values().subspan(i * row, row),
                 dw = g.values().subspan(i * row, row);
      double product = 0;
      for (size_t k = 0; k < row; ++k) product += static_cast<double>(w[k]) * static_cast<double>(dw[k]);
      result.cosine = std::max(result.cosine, std::abs(product) / (norm(w) * norm(dw)));
    }
  }
  zero_grad(net);
  return result;
}

/// How far the weights that decay and the other parameters move if one step is taken with decay in place of
/// none.
Figures decayed(const Sequential& net, const Batch& batch) {
  Sequential plain = net, decaying = net;
  AdamW without(plain, {.weight_decay = 0}), with(decaying, {.weight_decay = 0.1});
  train_step(plain, without, batch), train_step(decaying, with, batch);
  Figures figures{{{"decayed weights", 0}, {"decayed others", 0}}, {}};
  std::vector<Tensor> values;
  for_each_parameter(plain, [&](const std::string&, Parameter& p) { values.push_back(p.value().clone()); });
  size_t at = 0;
  for_each_parameter(decaying, [&](const std::string& path, Parameter& p) {
    const bool weight = path == "1.weight" || path == "4.weight" || path == "7.weight";
    figures.values[weight ? "decayed weights" : "decayed others"] +=
        distance(p.value().values(), values[at++].values());
  });
  return figures;
}

Figures run_identities(const Trial& trial) {
  Sequential net = two_layers(trial.setting.number("eps"));
  Loader loader(trial.images.standardized.train, {.batch_size = 128, .seed = trial.seed});
  const Batch& batch = *loader.begin();
  const Pass before = pass(net, batch);
  Figures figures = decayed(net, batch);
  for (Linear* layer : normalized(net))
    for (Parameter* p : {&layer->weight, &layer->bias})
      for (int64_t i = 0; i < p->count(); ++i) p->data()[i] *= static_cast<real>(scale);
  Pass after = pass(net, batch);
  for (real& g : after.gradient) g *= static_cast<real>(scale);
  figures.values["output"] =
      distance(before.logits.values(), after.logits.values()) / norm(before.logits.values());
  figures.values["gradient"] = distance(before.gradient, after.gradient) / norm(before.gradient);
  figures.values["cosine"] = before.cosine;
  figures.values["bias"] = norm(before.bias_gradient) / norm(before.gradient);
  return figures;
}

/// The angle between two vectors, accurate for small ones.
double angle_between(std::span<const real> x, std::span<const real> y) {
  const double a = 1 / norm(x), b = 1 / norm(y);
  double squares = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double d = a * static_cast<double>(x[i]) - b * static_cast<double>(y[i]);
    squares += d * d;
  }
  return 2 * std::asin(std::sqrt(squares) / 2);
}

/// SGD with weight decay, and at each step what theory says of the second hidden layer's weight W: since its
/// gradient g is orthogonal to it, |W'|^2 = (1 - lr decay)^2 |W|^2 + lr^2 |g|^2, and the angle between W and
/// W' has the tangent lr |g| / ((1 - lr decay) |W|).
Figures run_norms(const Trial& trial) {
  const double decay = trial.setting.number("sgd decay"), shrink = 1 - sgd_lr * decay;
  Sequential net = two_layers(1e-12);
  SGD optimizer(net, {.lr = sgd_lr, .weight_decay = decay});
  const Parameter& weight = normalized(net)[1]->weight;
  double expected = squared(weight.value().values());
  std::vector<double> angles, angles_expected;
  Figures figures;
  const auto step = [&](const Batch& batch) {
    Tape tape;
    const Tensor loss = cross_entropy(net(batch.x), batch.y);
    const double value = loss.item();
    tape.backward(loss);
    const Tensor before = weight.value().clone();
    const double moved = sgd_lr * norm(weight.grad().values()), length = norm(before.values());
    optimizer.step();
    if (angles.size() % every == 0) {
      figures.curves["length"].push_back(length);
      figures.curves["length expected"].push_back(std::sqrt(expected));
    }
    expected = shrink * shrink * expected + moved * moved;
    //~ expected = expected + moved * moved;
    angles.push_back(angle_between(before.values(), weight.value().values()));
    angles_expected.push_back(std::atan(moved / (shrink * length)));
    return value;
  };
  const Dataset& data = trial.images.standardized.train;
  train(net, optimizer,
        {.data = data, .steps = trial.epochs(sgd_epochs, 128), .seed = trial.seed, .step = step});
  OverSeeds last{{angles.end() - static_cast<std::ptrdiff_t>(angles.size() / sgd_epochs), angles.end()}};
  double error = 0;
  for (size_t i = 0; i < angles.size(); ++i)
    error = std::max(error, std::abs(angles[i] / angles_expected[i] - 1));
  for (size_t i = 0; i + every <= angles.size(); i += every) {
    const auto begin = angles.begin() + static_cast<std::ptrdiff_t>(i);
    figures.curves["angle"].push_back(OverSeeds{{begin, begin + every}}.mean());
  }
  figures.values = {{"angle", last.mean()},
                    {"angle error", error},
                    {"length error", std::abs(norm(weight.value().values()) / std::sqrt(expected) - 1)}};
  return figures;
}

Figures run_grid_of_adams(const Trial& trial) {
  const double lr = trial.setting.number("lr"), decay = trial.setting.number("decay");
  const Split& data = trial.images.standardized;
  const Dataset some = subset(data.train, 0, std::min<int64_t>(10'000, data.train.size));
  Sequential net = net_of("flatten, 3x(linear 100, batchnorm, relu), linear");
  const auto optimizer = trial.setting["optimizer"] == "AdamW"
                             ? std::make_unique<AdamW>(net, AdamWOptions{.lr = lr, .weight_decay = decay})
                             : std::make_unique<Adam>(net, AdamOptions{.lr = lr, .weight_decay = decay});
  const int64_t steps = trial.steps(8 * (some.size / 128));
  const auto losses = train(
      net, *optimizer, {.data = some, .steps = steps, .seed = trial.seed, .lr = schedule::cosine(lr, steps)});
  return {{{"error", finite(losses) ? 100 - test_accuracy(net, data.test) : std::nan("")}}, {}};
}

Figures run(const Trial& trial) {
  if (trial.setting.has("eps")) return run_identities(trial);
  return trial.setting.has("sgd decay") ? run_norms(trial) : run_grid_of_adams(trial);
}

/// Cells of the grid of one optimizer, and the least mean error of all.
struct Basin {
  OverSeeds errors;  // the means of all cells
  double least() const { return errors.least(); }
  int64_t near(double best) const {
    return std::ranges::count_if(errors.all, [&](double error) { return error <= best + 0.5; });
  }
};

Basin basin(const Results& results, const std::string& optimizer) {
  Basin found;
  for (const std::string& lr : rates.values)
    for (const std::string& decay : decays.values)
      found.errors.all.push_back(
          results.mean({{"optimizer", optimizer}, {"lr", lr}, {"decay", decay}}, "error"));
  return found;
}

void add_identities(const Results& results, Findings& findings) {
  Table table{"Two hidden layers at initialization, one batch of 128, W and bias times a = 10",
              {"", "eps 1e-5", "eps 1e-12"},
              {}};
  const std::vector<std::pair<const char*, const char*>> rows = {
      {"|f(aW) - f(W)| / |f(W)|", "output"},
      {"|a grad(aW) - grad(W)| / |grad(W)|", "gradient"},
      {"largest |cos(w, grad)| of a row w", "cosine"},
      {"|grad(bias)| / |grad(W)|", "bias"}};
  const auto largest = [&](const char* figure, const std::string& eps) {
    return results.of({{"eps", eps}}, figure).largest();
  };
  for (const auto& [title, figure] : rows) {
    table.rows.push_back({title});
    for (const std::string& eps : epsilons.values)
      table.rows.back().push_back(fmt::format("{:.1e}", largest(figure, eps)));
  }
  table.note = "The largest of all seeds.";
  findings.tables.push_back(std::move(table));
  const auto line = [&](const char* text, const char* figure, double limit) {
    const double value = largest(figure, "1e-12");
    findings.checks.push_back({text, fmt::format("{:.1e}", value), value <= limit});
  };
  line("f(aW) = f(W), to 1e-4 (eps 1e-12, as below)", "output", 1e-4);
  line("grad(aW) = grad(W) / a, to 1e-4", "gradient", 1e-4);
  line("each row of W is orthogonal to its gradient, to 1e-4", "cosine", 1e-4);
  line("a bias in front of batch norm has no gradient, to 1e-5 of that of W", "bias", 1e-5);
  const double others = largest("decayed others", "1e-5"), weights = largest("decayed weights", "1e-5");
  findings.checks.push_back({"by default weight decay moves weights alone, not gamma, beta and biases",
                             fmt::format("{:.1e} and {:.1e}", weights, others), weights > 0 && others == 0});
}

void add_norms(const Results& results, Findings& findings) {
  Table table{"Second hidden layer under SGD, lr 0.1, at the end",
              {"weight decay", "|W|", "by theory", "angle per step", "sqrt(2 lr decay)"},
              {}};
  Plot lengths{"Length of the second hidden layer's weight, SGD", {"step"}, {"|W|", true}, {}},
      angles{
          "Angle that the second hidden layer's weight turns per step, SGD", {"step"}, {"radians", true}, {}};
  OverSeeds length_errors, angle_errors;
  double farthest = 0;
  std::vector<double> steps;
  for (int64_t step = 0; step + every <= full_steps; step += every)
    steps.push_back(static_cast<double>(step));
  for (const std::string& decay : sgd_decays.values) {
    const Setting setting{{"sgd decay", decay}};
    lengths.series.push_back(results.curve(setting, "length", steps, "decay " + decay));
    lengths.series.push_back(results.curve(setting, "length expected", steps, "theory"));
    lengths.series.back().dashed = true;
    angles.series.push_back(results.curve(setting, "angle", steps, "decay " + decay));
    const double equilibrium = std::sqrt(2 * sgd_lr * std::stod(decay));
    if (equilibrium > 0) {
      angles.series.push_back({"sqrt(2 lr decay)", {0, steps.back()}, {equilibrium, equilibrium}});
      angles.series.back().dashed = true;
    }
    const OverSeeds angle = results.of(setting, "angle");
    length_errors.all.push_back(results.of(setting, "length error").largest());
    angle_errors.all.push_back(results.of(setting, "angle error").largest());
    if (std::stod(decay) >= 0.003) farthest = std::max(farthest, std::abs(angle.mean() / equilibrium - 1));
    table.rows.push_back({decay, fmt::format("{:.3f}", lengths.series[lengths.series.size() - 2].y.back()),
                          fmt::format("{:.3f}", lengths.series.back().y.back()), angle.text(4),
                          equilibrium > 0 ? fmt::format("{:.4f}", equilibrium) : ""});
  }
  findings.tables.push_back(std::move(table));
  findings.checks.push_back(
      {"|W'|^2 = (1 - lr decay)^2 |W|^2 + lr^2 |g|^2 at each step: added up to the end, |W| is right to 1 %",
       fmt::format("{:.1e}", length_errors.largest()), length_errors.largest() <= 0.01});
  findings.checks.push_back({"the angle of each step has the tangent lr |g| / ((1 - lr decay) |W|), to 1 %",
                             fmt::format("{:.1e}", angle_errors.largest()), angle_errors.largest() <= 0.01});
  findings.checks.push_back(
      {"in the last epoch, with a decay of 0.003 and 0.01, the angle is sqrt(2 lr decay) to 10 %",
       fmt::format("{:.0f} % away", 100 * farthest), farthest <= 0.1});
  findings.plots.push_back(std::move(angles));
  findings.plots.push_back(std::move(lengths));
}

void add_grid(const Results& results, Findings& findings) {
  Plot plot{"Test error by weight decay", {"weight decay", true}, {"test error, %", true}, {}};
  for (const std::string& optimizer : optimizers.values) {
    findings.tables.push_back(table_of(results, {.title = "Test error, %: " + optimizer,
                                                 .rows = rates,
                                                 .columns = decays,
                                                 .value = "error",
                                                 .within = {{"optimizer", optimizer}}}));
    for (const std::string& lr : rates.values) {
      plot.series.push_back(along(results, {{"optimizer", optimizer}, {"lr", lr}}, decays, "error",
                                  fmt::format("{}, lr {}", optimizer, lr)));
      plot.series.back().dashed = optimizer != "AdamW";
    }
  }
  const Basin l2 = basin(results, "Adam + L2"), decoupled = basin(results, "AdamW");
  const double best = std::min(l2.least(), decoupled.least());
  findings.checks.push_back({"the least error of the grid is lower with AdamW than with Adam + L2",
                             fmt::format("{:.2f} and {:.2f} %", decoupled.least(), l2.least()),
                             decoupled.least() < l2.least()});
  findings.checks.push_back(
      {"more of the grid is within 0.5 points of the least error with AdamW than with Adam + L2",
       fmt::format("{} and {} of {}", decoupled.near(best), l2.near(best), l2.errors.all.size()),
       decoupled.near(best) > l2.near(best)});
  findings.plots.push_back(std::move(plot));
}

Findings judge(const Results& results) {
  Findings findings;
  add_identities(results, findings);
  add_norms(results, findings);
  add_grid(results, findings);
  for (const Check& check : findings.checks) findings.claim.push_back(check.holds);
  return findings;
}

}  // namespace

extern const Experiment weight_decay;
const Experiment weight_decay{
    .name = "weight-decay",
    .claim =
        "In front of batch normalization the length of a weight has no effect on outputs, and weight decay "
        "sets how far it turns at a step; decoupled from Adam's gradient it serves better",
    .source =
        "van Laarhoven 2017 (arXiv:1706.05350) and Wan et al. 2021 (arXiv:2006.08419), on scale invariance; "
        "Loshchilov & Hutter 2019 (arXiv:1711.05101), on AdamW",
    .setup =
        "Identities and SGD: two hidden layers of 100 ReLU with biases, batch norm, initialization of He; "
        "lr 0.1, four epochs in batches of 128. eps is 1e-12 where it isn't named, since an eps above 0 "
        "makes the identities approximate. Grid of Adam: three hidden layers of 100, 10,000 training images, "
        "eight epochs of 128, a cosine to 0. AdamW's decay is multiplied by the learning rate, as in "
        "PyTorch.",
    .reference =
        "the identities are exact but for rounding. For the rest nobody has published figures; expected "
        "before the first run were the lines below with their limits",
    .settings = joined(joined(grid({epsilons}), grid({sgd_decays})), grid({optimizers, rates, decays})),
    .run = run,
    .judge = judge};

}  // namespace ballast::app::experiments
