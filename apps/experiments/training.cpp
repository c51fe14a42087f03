#include "experiments/training.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ballast/core/ops/loss.h>
#include <ballast/data/evaluate.h>
#include <ballast/layers/init.h>

#include "trainer/models.h"

namespace ballast::app::experiments {

int64_t Trial::epochs(int64_t count, int64_t batch_size) const {
  return steps(count * (images.pixels.train.size / batch_size));
}

void initialize_weights(Module& net, const std::string& init) {
  if (init == "he")
    initialize(net, "kaiming_normal");
  else if (init == "xavier")
    initialize(net, "xavier_normal");
  else if (init != "default")
    for_each_parameter(net, [&](const std::string& path, Parameter& p) {
      if (p.decays()) normal(p, 0, std::stod(init));
      if (path.ends_with("bias")) constant(p, 0);
    });
}

Sequential net_of(const std::string& line, const NetOptions& options) {
  Sequential net = make_model({.model = line, .norm = options.norm, .act = options.act}, {1, 28, 28}, 10);
  initialize_weights(net, options.init);
  return net;
}

double train_step(Module& net, Optimizer& optimizer, const Batch& batch) {
  Tape tape;
  const Tensor loss = cross_entropy(net(batch.x), batch.y);
  const double value = loss.item();
  tape.backward(loss);
  optimizer.step();
  return value;
}

std::vector<double> train(Module& net, Optimizer& optimizer, const TrainingLoop& loop) {
  Loader loader(
      loop.data,
      {.batch_size = std::min(loop.batch_size, loop.data.size), .seed = loop.seed, .drop_last = true});
  std::vector<double> losses;
  while (static_cast<int64_t>(losses.size()) < loop.steps)
    for (const Batch& batch : loader) {
      const auto at = static_cast<int64_t>(losses.size());
      if (at == loop.steps) break;
      if (loop.lr) optimizer.set_lr(loop.lr(at));
      if (loop.before) loop.before(at);
      losses.push_back(loop.step ? loop.step(batch) : train_step(net, optimizer, batch));
      if (!std::isfinite(losses.back())) return losses;
    }
  if (loop.before) loop.before(loop.steps);
  return losses;
}

bool finite(const std::vector<double>& losses) { return losses.empty() || std::isfinite(losses.back()); }

double test_accuracy(Module& net, const Dataset& test) {
  const Evaluation result = evaluate(net, test);
  return std::isfinite(result.loss) ? 100 * result.accuracy() : std::numeric_limits<double>::quiet_NaN();
}

namespace {

template <class F>
std::vector<real> gathered(Module& net, F values) {
  std::vector<real> all;
  for_each_parameter(net, [&](const std::string&, Parameter& p) {
    if (!p.trainable()) return;
    const Tensor part = values(p);
    if (part.empty())
      all.resize(all.size() + static_cast<size_t>(p.count()));
    else
      all.insert(all.end(), part.data(), part.data() + part.count());
  });
  return all;
}

}  // namespace

std::vector<real> weights_of(Module& net) {
  return gathered(net, [](const Parameter& p) { return p.value(); });
}

std::vector<real> gradients_of(Module& net) {
  return gathered(net, [](const Parameter& p) { return p.grad(); });
}

void set_weights(Module& net, std::span<const real> weights) {
  for_each_parameter(net, [&](const std::string&, Parameter& p) {
    if (!p.trainable()) return;
    std::copy_n(weights.begin(), p.count(), p.data());
    weights = weights.subspan(static_cast<size_t>(p.count()));
  });
}

double norm(std::span<const real> x) {
  double squares = 0;
  for (const real v : x) squares += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(squares);
}

double distance(std::span<const real> x, std::span<const real> y) {
  double squares = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double d = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    squares += d * d;
  }
  return std::sqrt(squares);
}

}  // namespace ballast::app::experiments
