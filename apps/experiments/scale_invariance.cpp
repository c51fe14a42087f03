#include "experiments/scale_invariance.h"

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

constexpr double scale = 10;

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

}  // namespace

Figures scale_identities(const Trial& trial) {
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

Figures length_and_angle(const Trial& trial) {
  const double decay = trial.setting.number("sgd decay"), shrink = 1 - length_lr * decay;
  Sequential net = two_layers(1e-12);
  SGD optimizer(net, {.lr = length_lr, .weight_decay = decay});
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
    const double moved = length_lr * norm(weight.grad().values()), length = norm(before.values());
    optimizer.step();
    if (angles.size() % length_every == 0) {
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
        {.data = data, .steps = trial.epochs(length_epochs, 128), .seed = trial.seed, .step = step});
  OverSeeds last{{angles.end() - static_cast<std::ptrdiff_t>(angles.size() / length_epochs), angles.end()}};
  double error = 0;
  for (size_t i = 0; i < angles.size(); ++i)
    error = std::max(error, std::abs(angles[i] / angles_expected[i] - 1));
  for (size_t i = 0; i + length_every <= angles.size(); i += length_every) {
    const auto begin = angles.begin() + static_cast<std::ptrdiff_t>(i);
    figures.curves["angle"].push_back(OverSeeds{{begin, begin + length_every}}.mean());
  }
  figures.values = {{"angle", last.mean()},
                    {"angle error", error},
                    {"length error", std::abs(norm(weight.value().values()) / std::sqrt(expected) - 1)}};
  return figures;
}

}  // namespace ballast::app::experiments
