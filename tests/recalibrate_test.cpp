// Running statistics re-estimated by one pass over the data.
#include <doctest/doctest.h>

#include <cmath>

#include <ballast/ballast.h>
#include <ballast/data/evaluate.h>

using namespace ballast;

namespace {

struct Input {
  Tensor x;
};

std::vector<Input> batches(int count) {
  std::vector<Input> found;
  for (int i = 0; i < count; ++i) found.push_back({randn({8, 3}, real(i), real(i + 1))});
  return found;
}

// Mean over batches of a column's mean and unbiased variance.
std::pair<double, double> averages(const std::vector<Input>& samples, int64_t channel) {
  double mean_sum = 0, var_sum = 0;
  for (const Input& sample : samples) {
    const int64_t n_samples = sample.x.shape()[0];
    double mean = 0, var = 0;
    for (int64_t n = 0; n < n_samples; ++n) mean += sample.x(n, channel) / static_cast<double>(n_samples);
    for (int64_t n = 0; n < n_samples; ++n)
      var += std::pow(sample.x(n, channel) - mean, 2) / static_cast<double>(n_samples - 1);
    mean_sum += mean, var_sum += var;
  }
  const double count = static_cast<double>(samples.size());
  return {mean_sum / count, var_sum / count};
}

void train(Sequential& net, Loader& loader, int epochs) {
  AdamW optimizer(net, {.lr = 3e-3});
  for (int epoch = 0; epoch < epochs; ++epoch) {
    for (const Batch& batch : loader) {
      Tape tape;
      tape.backward(cross_entropy(net(batch.x), batch.y));
      optimizer.step();
    }
  }
}

}  // namespace

TEST_CASE("statistics become the average over the batches, whatever they were, even NaN") {
  manual_seed(1);
  Sequential net(BatchNorm1d(3), Dropout(0.5));
  auto& norm = dynamic_cast<BatchNorm1d&>(net[0]);
  norm.running_mean.assign(full({3}, real(NAN)));
  norm.num_batches_tracked.value = 77;
  const std::vector<Input> samples = batches(5);
  recalibrate(net, samples);
  CHECK(norm.num_batches_tracked.value == 5);
  CHECK(norm.options.momentum == 0.1);
  for (int64_t c = 0; c < 3; ++c) {
    const auto [mean, var] = averages(samples, c);
    CHECK(norm.running_mean.data()[c] == doctest::Approx(mean).epsilon(1e-5));
    CHECK(norm.running_var.data()[c] == doctest::Approx(var).epsilon(1e-5));
  }
}

TEST_CASE("frozen statistics stay, and so does everything else") {
  manual_seed(2);
  Sequential net(Linear(3, 3), BatchNorm1d(3), Linear(3, 3), BatchNorm1d(3));
  auto &frozen = dynamic_cast<BatchNorm1d&>(net[1]), &free = dynamic_cast<BatchNorm1d&>(net[3]);
  frozen.running_mean.assign(full({3}, 5));
  frozen.num_batches_tracked.value = 9;
  freeze(net, "1", {.stats = true});
  const Tensor weight = dynamic_cast<Linear&>(net[0]).weight.value().clone();
  const uint64_t tapes = random_state().tapes;
  recalibrate(net, batches(2));
  CHECK(frozen.running_mean.data()[0] == 5);
  CHECK(frozen.num_batches_tracked.value == 9);
  CHECK(frozen.options.momentum == 0.1);
  CHECK(free.num_batches_tracked.value == 2);
  CHECK(dynamic_cast<Linear&>(net[0]).weight.data()[0] == weight.data()[0]);
  CHECK(random_state().tapes == tapes);
}

TEST_CASE("a norm whose mode is frozen goes on normalizing by its own statistics") {
  Sequential net(BatchNorm1d(3), BatchNorm1d(3));
  dynamic_cast<BatchNorm1d&>(net[0]).running_mean.assign(full({3}, 5));
  auto& second = dynamic_cast<BatchNorm1d&>(net[1]);
  second.running_mean.assign(full({3}, 7));
  SUBCASE("by itself") { net[0].frozen.mode = true; }
  SUBCASE("with the module around it") {
    Sequential first(BatchNorm1d(3));
    dynamic_cast<BatchNorm1d&>(first[0]).running_mean.assign(full({3}, 5));
    first.frozen.mode = true;
    Sequential outer(std::move(first), BatchNorm1d(3));
    recalibrate(outer, std::vector<Input>{{full({2, 3}, 5)}});
    CHECK(dynamic_cast<BatchNorm1d&>(outer[1]).running_mean.data()[0] == 0);
    return;
  }
  recalibrate(net, std::vector<Input>{{full({2, 3}, 5)}, {full({4, 3}, 5)}});
  CHECK(second.running_mean.data()[0] == 0);  // the first gives 0 for its mean
}

TEST_CASE("a norm that averages over all batches goes on doing so") {
  Sequential net(BatchNorm1d(3, {.momentum = {}}), Linear(3, 2));
  auto& norm = dynamic_cast<BatchNorm1d&>(net[0]);
  norm.num_batches_tracked.value = 77;
  recalibrate(net, batches(3));
  CHECK(norm.num_batches_tracked.value == 3);
  CHECK_FALSE(norm.options.momentum.has_value());
}

TEST_CASE("if a batch throws, or there is none, all is as it was") {
  manual_seed(3);
  Sequential net(BatchNorm1d(3, {.momentum = 0.3}), Linear(3, 2));
  auto& norm = dynamic_cast<BatchNorm1d&>(net[0]);
  norm.running_var.assign(full({3}, 4));
  norm.num_batches_tracked.value = 9;
  const auto unchanged = [&] {
    return norm.running_var.data()[0] == 4 && norm.running_mean.data()[0] == 0 &&
           norm.num_batches_tracked.value == 9 && norm.options.momentum == 0.3;
  };
  std::vector<Input> samples = batches(2);
  samples.push_back({ones({1, 3})});  // one value per channel
  CHECK_THROWS_AS(recalibrate(net, samples), ShapeError);
  CHECK(unchanged());
  CHECK_THROWS_AS(recalibrate(net, std::vector<Input>{}), ValueError);
  CHECK(unchanged());
  Sequential without(Linear(3, 2), LayerNorm(2));
  CHECK_THROWS_AS(recalibrate(without, samples), ValueError);
}

TEST_CASE("a trained network whose statistics were reset gets its accuracy back") {
  manual_seed(4);
  const Split data = digits(1500, 500);
  Sequential net(Conv2d(1, 8, 3, {.stride = 2, .bias = false}), BatchNorm2d(8), ReLU(),
                 Conv2d(8, 16, 3, {.stride = 2, .bias = false}), BatchNorm2d(16), ReLU(), Flatten(),
                 Linear(576, 10));
  Loader loader(data.train, {.batch_size = 50});
  train(net, loader, 3);
  const double before = accuracy(net, data.test);
  for (size_t i : {size_t{1}, size_t{4}}) {
    auto& norm = dynamic_cast<BatchNorm2d&>(net[i]);
    norm.running_mean.assign(zeros({norm.channels}));
    norm.running_var.assign(ones({norm.channels}));
  }
  const double reset = accuracy(net, data.test);
  recalibrate(net, loader);
  const double after = accuracy(net, data.test);
  CAPTURE(before);
  CAPTURE(reset);
  CAPTURE(after);
  CHECK(before > 0.7);
  CHECK(reset < before - 0.1);
  CHECK(after >= before - 0.01);
}
