#include "demo/demo.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include <ballast/core/ops/activation.h>
#include <ballast/core/ops/loss.h>
#include <ballast/core/ops/movement.h>
#include <ballast/core/random.h>
#include <ballast/core/tape.h>
#include <ballast/layers/batch_norm.h>
#include <ballast/layers/functional/dropout.h>
#include <ballast/layers/group_norm.h>
#include <ballast/layers/init.h>
#include <ballast/layers/layer_norm.h>
#include <ballast/layers/rms_norm.h>

namespace ballast::demo {
namespace {

constexpr int64_t pixels = 784, classes = 10;
constexpr double drop_probability = 0.5;

std::unique_ptr<Module> norm_layer(Norm norm, int64_t width) {
  switch (norm) {
    case Norm::batch:
      return std::make_unique<BatchNorm1d>(width);
    case Norm::layer:
      return std::make_unique<LayerNorm>(width);
    case Norm::group:
      return std::make_unique<GroupNorm>(width % 5 == 0 ? 5 : 1, width);
    case Norm::rms:
      return std::make_unique<RMSNorm>(width);
    case Norm::none:
    case Norm::weight:
      return nullptr;
  }
  return nullptr;
}

// W from U(+-scale sqrt(6 / inputs)), b = 0. Each layer has a stream of random numbers of its own.
Linear initialized(int64_t inputs, int64_t outputs, bool bias, int index, double scale, uint64_t seed) {
  Linear linear(inputs, outputs, {.bias = bias});
  random_state() = {.seed = seed, .tensors = static_cast<uint64_t>(index)};
  const double bound = scale * std::sqrt(6 / static_cast<double>(inputs));
  uniform(linear.weight, -bound, bound);
  if (bias) constant(linear.bias, 0);
  return linear;
}

// About 512 elements at equal distances, ordered: finer than a band of percentiles needs, and much faster
// than ordering all.
Quantiles quantiles(const Tensor& x) {
  Quantiles result;
  result.fill(std::numeric_limits<float>::quiet_NaN());
  const int64_t stride = std::max<int64_t>(1, x.count() / 512) | 1;  // odd: no multiple of an even width
  std::vector<float> sample;
  for (int64_t i = 0; i < x.count(); i += stride) {
    if (std::isfinite(x.data()[i])) sample.push_back(static_cast<float>(x.data()[i]));
  }
  if (sample.empty()) return result;
  std::sort(sample.begin(), sample.end());
  for (size_t q = 0; q < quantile_count; ++q)
    result[q] = sample[q * (sample.size() - 1) / (quantile_count - 1)];
  return result;
}

/// Standard deviation of each column, mean over the columns.
float spread(const Tensor& x) {
  const int64_t images = x.size(0), units = x.size(1);
  double sum = 0;
  for (int64_t c = 0; c < units; ++c) {
    double mean = 0, squares = 0;
    for (int64_t n = 0; n < images; ++n) mean += x.data()[n * units + c] / static_cast<double>(images);
    for (int64_t n = 0; n < images; ++n) squares += std::pow(x.data()[n * units + c] - mean, 2);
    sum += std::sqrt(squares / static_cast<double>(images));
  }
  return static_cast<float>(sum / static_cast<double>(units));
}

Tensor activate(Activation activation, Tensor x) {
  switch (activation) {
    case Activation::relu:
      return relu(std::move(x));
    case Activation::sigmoid:
      return sigmoid(std::move(x));
    case Activation::tanh:
      return tanh(std::move(x));
    case Activation::gelu:
      return gelu(std::move(x));
  }
  return x;
}

struct Lengths {
  float gradient, weight;
};

/// Of a layer: of the gradients of all its parameters, and of its weights, without biases and weight norm's
/// g.
Lengths lengths(Module& module) {
  double gradients = 0, weights = 0;
  for_each_parameter(module, [&](const std::string& name, Parameter& p) {
    const Tensor gradient = p.grad();
    for (double g : gradient.empty() ? std::span<const real>() : gradient.values()) gradients += g * g;
    if (p.shape().rank() != 2 || name.ends_with("_g")) return;
    for (double w : p.value().values()) weights += w * w;
  });
  return {static_cast<float>(std::sqrt(gradients)), static_cast<float>(std::sqrt(weights))};
}

int64_t count_correct(const Tensor& logits, const int32_t* labels) {
  int64_t correct = 0;
  for (int64_t n = 0; n < logits.size(0); ++n) {
    const real* row = logits.data() + n * classes;
    correct += std::max_element(row, row + classes) - row == labels[n];
  }
  return correct;
}

}  // namespace

Hidden::Hidden(int64_t inputs, int index, const Settings& settings, const Side& side)
    : norm(norm_layer(side.norm, settings.width)),
      activation(settings.activation),
      placement(settings.placement),
      drops_before_norm(side.dropout == Dropping::before_norms) {
  // A norm that directly follows and subtracts a mean makes a bias redundant; its own stands in for it.
  const bool bias = !norm || placement == Placement::after_activation || side.norm == Norm::rms;
  Linear linear = initialized(inputs, settings.width, bias, index, settings.scale, settings.seed);
  if (side.norm == Norm::weight)
    affine = std::make_unique<WeightNorm<Linear>>(std::move(linear));
  else
    affine = std::make_unique<Linear>(std::move(linear));
}

Tensor Hidden::normalized(Tensor x) {
  if (drops_before_norm) x = dropout(std::move(x), drop_probability);
  return norm ? (*norm)(std::move(x)) : x;
}

Tensor Hidden::forward(Tensor x) {
  x = (*affine)(std::move(x));
  if (placement == Placement::before_activation) x = normalized(std::move(x));
  if (record) record->inputs = quantiles(x), record->input_spread = spread(x);
  x = activate(activation, std::move(x));
  if (placement == Placement::after_activation) x = normalized(std::move(x));
  if (drops_after) x = dropout(std::move(x), drop_probability);
  if (record) record->outputs = quantiles(x), record->output_spread = spread(x);
  return x;
}

Network::Network(const Settings& settings, const Side& side)
    : output(initialized(settings.width, classes, true, settings.depth, settings.scale, settings.seed)) {
  hidden.reserve(static_cast<size_t>(settings.depth));
  for (int i = 0; i < settings.depth; ++i)
    hidden.emplace_back(i == 0 ? pixels : settings.width, i, settings, side);
  hidden.back().drops_after = side.dropout == Dropping::after_last_norm;
}

Tensor Network::forward(Tensor x) {
  x = reshape(std::move(x), {-1, pixels});
  for (Hidden& layer : hidden) x = layer(std::move(x));
  return output(std::move(x));
}

Trained::Trained(const Settings& settings, const Side& of_side)
    : side(of_side),
      network(settings, of_side),
      optimizer(network, {.lr = settings.lr}),
      layers(static_cast<size_t>(settings.depth)) {}

void Trained::step(const Batch& batch, bool records) {
  for (size_t i = 0; i < layers.size(); ++i) network.hidden[i].record = records ? &layers[i] : nullptr;
  Tape tape;
  const Tensor logits = network(batch.x);
  const Tensor mean_loss = cross_entropy(logits, batch.y);
  tape.backward(mean_loss);
  loss = static_cast<float>(mean_loss.item());
  accuracy = static_cast<float>(count_correct(logits, batch.y.data())) / static_cast<float>(batch.size());
  for (size_t i = 0; records && i < layers.size(); ++i) {
    const auto [gradient, weight] = lengths(*network.hidden[i].affine);
    layers[i].gradient_norm = gradient, layers[i].weight_norm = weight;
    network.hidden[i].record = nullptr;
  }
  optimizer.step();
}

Tensor Trained::evaluate(const Tensor& x) {
  const EvalScope evaluating;
  if (side.evaluation == Evaluation::running_statistics) return network(x);
  const StatisticsScope by_batch;
  const FrozenStatisticsScope unchanged;
  return network(x);
}

Demo::Demo(const Settings& settings)
    : settings_(settings),
      data_(digits(train_size, test_size, 1)),
      loader_(data_.train, {.batch_size = settings.batch_size, .seed = settings.seed, .drop_last = true}) {
  check<ValueError>(settings.depth >= 1 && settings.depth <= 20, "a depth of {}; give 1 to 20",
                    settings.depth);
  check<ValueError>(settings.width >= 2 && settings.width <= 500, "a width of {}; give 2 to 500",
                    settings.width);
  check<ValueError>(settings.batch_size >= 2, "a batch of {}; give at least 2", settings.batch_size);
  Loader test(data_.test, {.batch_size = test_size, .shuffle = false});
  const Batch all = *test.begin();
  std::vector<int64_t> order(test_size);
  std::iota(order.begin(), order.end(), 0);
  if (settings.test_order == TestOrder::by_class)
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return all.y[a] < all.y[b]; });
  test_x_ = Tensor({test_size, pixels});
  test_y_ = Labels(test_size);
  for (int64_t i = 0; i < test_size; ++i) {
    const int64_t from = order[static_cast<size_t>(i)];
    std::copy_n(all.x.data() + from * pixels, pixels, test_x_.data() + i * pixels);
    test_y_[i] = all.y[from];
  }
  for (size_t i = 0; i < 2; ++i) sides_[i] = std::make_unique<Trained>(settings, settings.sides[i]);
  manual_seed(settings.seed);  // of dropout
}

void Demo::step(bool records) {
  if (next_) ++*next_;
  if (!next_ || *next_ == loader_.end()) next_ = loader_.begin();
  for (const auto& side : sides_) side->step(**next_, records);
}

void Demo::set_lr(double lr) {
  for (const auto& side : sides_) side->optimizer.set_lr(lr);
}

double Demo::test_accuracy(int index) {
  int64_t correct = 0, size = 0;
  // A last batch of a single image has no variance.
  for (int64_t first = 0; first + 2 <= test_size; first += settings_.batch_size) {
    const int64_t last = std::min<int64_t>(first + settings_.batch_size, test_size);
    correct += count_correct(side(index).evaluate(slice(test_x_, 0, first, last)), test_y_.data() + first);
    size += last - first;
  }
  return static_cast<double>(correct) / static_cast<double>(size);
}

std::array<float, 10> Demo::classify(int index, const float* image) {
  // Twice, since the statistics of a batch need two values: of two equal ones the variance is 0.
  Tensor x({2, pixels});
  for (int64_t i = 0; i < 2 * pixels; ++i) x.data()[i] = image[i % pixels];
  const Tensor probabilities = softmax(side(index).evaluate(x));
  std::array<float, 10> result{};
  for (size_t c = 0; c < result.size(); ++c) result[c] = static_cast<float>(probabilities.data()[c]);
  return result;
}

int Demo::test_image(int index, float* image) const {
  const int64_t i = index % test_size;
  for (int64_t p = 0; p < pixels; ++p) image[p] = static_cast<float>(test_x_.data()[i * pixels + p]);
  return test_y_[i];
}

uint64_t Demo::hash(int index) const {
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&](const std::string&, const auto& part) {
    for (const real value : part.value().values()) {
      std::array<unsigned char, sizeof(real)> bytes;
      std::memcpy(bytes.data(), &value, sizeof value);
      for (const unsigned char byte : bytes) hash = (hash ^ byte) * 0x100000001b3;
    }
  };
  const Network& network = sides_.at(static_cast<size_t>(index))->network;
  for_each_parameter(network, add);
  for_each_buffer(network, add);
  return hash;
}

}  // namespace ballast::demo
