#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ballast/data/loader.h>
#include <ballast/layers/linear.h>
#include <ballast/layers/weight_norm.h>
#include <ballast/optim/sgd.h>

// What the page that trains live shows: two multilayer perceptrons that differ in their norms, trained side
// by side on the same batches of the built-in digits. No file, no clock, no thread of its own.
namespace ballast::demo {

enum class Activation { relu, sigmoid, tanh, gelu };
enum class Norm { none, batch, layer, group, rms, weight };
enum class Placement { before_activation, after_activation };
/// Of 0.5, on the input of each norm, or once, after the last norm.
enum class Dropping { none, before_norms, after_last_norm };
/// What batch norm normalizes by in evaluation.
enum class Evaluation { running_statistics, batch_statistics };
enum class TestOrder { mixed, by_class };

/// What one of the two networks has for itself.
struct Side {
  Norm norm = Norm::none;
  Dropping dropout = Dropping::none;
  Evaluation evaluation = Evaluation::running_statistics;
};

struct Settings {
  int depth = 5, width = 100;  // of the hidden layers
  Activation activation = Activation::sigmoid;
  Placement placement = Placement::before_activation;
  double scale = 1;  // 1: He's initialization (2015); weights are multiplied by it
  double lr = 0.1;
  int batch_size = 60;
  TestOrder test_order = TestOrder::mixed;
  uint64_t seed = 1;
  std::array<Side, 2> sides{};
};

/// Equidistant order statistics, from the least to the largest, of a sample of a layer's values.
constexpr size_t quantile_count = 65;
using Quantiles = std::array<float, quantile_count>;

/// What one step showed of a hidden layer.
struct LayerRecord {
  float gradient_norm = 0, weight_norm = 0;
  /// Standard deviation of a unit over the images of the batch, mean over units; of what is below.
  float input_spread = 0, output_spread = 0;
  Quantiles inputs{};   // of the activation function
  Quantiles outputs{};  // what the next layer gets
};

/// A hidden layer: linear, norm and activation in the order that the settings say.
struct Hidden : Module {
  std::unique_ptr<Module> affine, norm;
  Activation activation;
  Placement placement;
  bool drops_before_norm, drops_after = false;
  LayerRecord* record = nullptr;  // where it writes what it sees, if anywhere

  /// Initial weights are a function of the seed and the layer's index alone, whatever the norm.
  Hidden(int64_t inputs, int index, const Settings& settings, const Side& side);
  Tensor forward(Tensor x) override;
  void visit(Visitor& v) override { v("affine", affine), v("norm", norm); }

 private:
  Tensor normalized(Tensor x);
};

struct Network : Module {
  std::vector<Hidden> hidden;
  Linear output;

  Network(const Settings& settings, const Side& side);
  Tensor forward(Tensor x) override;
  void visit(Visitor& v) override { v("hidden", hidden), v("output", output); }
};

/// A network in training, and what its last step was like.
struct Trained {
  Side side;
  Network network;
  SGD optimizer;
  float loss = 0, accuracy = 0;  // of the training batch
  std::vector<LayerRecord> layers;

  Trained(const Settings& settings, const Side& of_side);
  /// One step; `records` takes the histograms of the layers down.
  void step(const Batch& batch, bool records);
  /// Logits in evaluation, as the side evaluates.
  Tensor evaluate(const Tensor& x);
};

/// The two networks with their data.
class Demo {
 public:
  static constexpr int64_t train_size = 4000, test_size = 500;

  /// Throws ValueError for settings out of range.
  explicit Demo(const Settings& settings);

  void step(bool records);
  void set_lr(double lr);
  Trained& side(int index) { return *sides_.at(static_cast<size_t>(index)); }
  /// The share of test images, 0 to 1, that the network gets right; batches are as large as in training.
  double test_accuracy(int side);
  /// Probabilities of the ten classes for one image (28, 28).
  std::array<float, 10> classify(int side, const float* pixels);
  /// Test image i; returns its class.
  int test_image(int index, float* pixels) const;
  /// FNV-1a of all parameters and running statistics.
  uint64_t hash(int side) const;

 private:
  Settings settings_;
  Split data_;
  Loader loader_;
  std::optional<Loader::Iterator> next_;
  std::array<std::unique_ptr<Trained>, 2> sides_;
  Tensor test_x_;
  Labels test_y_;
};

}  // namespace ballast::demo
