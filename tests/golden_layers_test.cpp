// Every layer and loss, forward and backward, against PyTorch.
#include <functional>
#include <map>
#include <memory>

#include <ballast/core/ops/activation.h>
#include <ballast/core/ops/elementwise.h>
#include <ballast/core/ops/loss.h>
#include <ballast/core/ops/reduce.h>
#include <ballast/layers/activation.h>
#include <ballast/layers/attention.h>
#include <ballast/layers/batch_norm.h>
#include <ballast/layers/conv1d.h>
#include <ballast/layers/conv2d.h>
#include <ballast/layers/flatten.h>
#include <ballast/layers/group_norm.h>
#include <ballast/layers/instance_norm.h>
#include <ballast/layers/layer_norm.h>
#include <ballast/layers/linear.h>
#include <ballast/layers/pooling.h>
#include <ballast/layers/recurrent.h>
#include <ballast/layers/residual.h>
#include <ballast/layers/sequential.h>
#include <ballast/layers/upsample.h>

#include "golden.h"

using namespace ballast;

namespace {

struct LogSoftmax : Module {
  int axis;
  explicit LogSoftmax(int along) : axis(along) {}
  Tensor forward(Tensor x) override { return log_softmax(std::move(x), axis); }
};

Sequential mlp() { return Sequential(Linear(6, 8, {.bias = false}), BatchNorm1d(8), ReLU(), Linear(8, 3)); }

Sequential cnn() {
  return Sequential(Conv2d(1, 3, 3, {.padding = 1, .bias = false}), BatchNorm2d(3), ReLU(), MaxPool2d(2),
                    Residual(Sequential(Conv2d(3, 3, 3, {.padding = 1}), SiLU())), AvgPool2d(2), Flatten(),
                    Linear(12, 4));
}

template <std::derived_from<Module> Layer>
std::shared_ptr<Module> make(Layer layer) {
  return std::make_shared<Layer>(std::move(layer));
}

// The cases of layers() in tests/golden/generate.py; "<name>/eval" is `name` in evaluation mode.
std::map<std::string, std::shared_ptr<Module>> layers() {
  const PoolOptions overlapping{.stride = 2, .padding = 1},
      rectangular{.stride = Pair{1, 2}, .padding = {1, 0}};
  const real one_tenth = real(0.1);
  return {
      {"linear", make(Linear(5, 3))},
      {"linear/no_bias", make(Linear(7, 4, {.bias = false}))},
      {"linear/leading_axes", make(Linear(5, 3))},
      {"linear/one", make(Linear(1, 1))},

      {"conv2d", make(Conv2d(2, 3, 3))},
      {"conv2d/no_bias", make(Conv2d(3, 2, 3, {.padding = 1, .bias = false}))},
      {"conv2d/pointwise", make(Conv2d(3, 4, 1))},
      {"conv2d/stride", make(Conv2d(2, 3, 3, {.stride = 2}))},
      {"conv2d/padding", make(Conv2d(2, 3, {3, 2}, {.padding = {2, 1}}))},
      {"conv2d/dilation", make(Conv2d(2, 2, 3, {.dilation = {2, 1}}))},
      {"conv2d/groups", make(Conv2d(4, 6, 3, {.padding = 1, .groups = 2}))},
      {"conv2d/depthwise", make(Conv2d(3, 3, 3, {.padding = 1, .groups = 3}))},
      {"conv2d/all",
       make(Conv2d(4, 4, {3, 2},
                   {.stride = {2, 1}, .padding = {1, 2}, .dilation = {1, 2}, .groups = 2, .bias = false}))},

      {"conv1d", make(Conv1d(2, 3, 3))},
      {"conv1d/stride_padding", make(Conv1d(3, 2, 4, {.stride = 2, .padding = 1}))},
      {"conv1d/dilation", make(Conv1d(2, 2, 3, {.dilation = 3, .bias = false}))},
      {"conv1d/groups", make(Conv1d(4, 6, 3, {.padding = 1, .groups = 2}))},

      {"max_pool2d", make(MaxPool2d(2))},
      {"max_pool2d/overlapping", make(MaxPool2d(3, overlapping))},
      {"max_pool2d/rectangular", make(MaxPool2d({3, 1}, rectangular))},
      {"avg_pool2d", make(AvgPool2d(2))},
      {"avg_pool2d/overlapping", make(AvgPool2d(3, overlapping))},
      {"avg_pool2d/rectangular", make(AvgPool2d({3, 1}, rectangular))},
      {"max_pool1d", make(MaxPool1d(2))},
      {"max_pool1d/overlapping", make(MaxPool1d(3, {.stride = 2, .padding = 1}))},
      {"avg_pool1d", make(AvgPool1d(2))},
      {"avg_pool1d/overlapping", make(AvgPool1d(3, {.stride = 2, .padding = 1}))},
      {"global_avg_pool", make(GlobalAvgPool())},

      {"relu", make(ReLU())},
      {"leaky_relu", make(LeakyReLU())},
      {"leaky_relu/slope", make(LeakyReLU(real(0.2)))},
      {"sigmoid", make(Sigmoid())},
      {"tanh", make(Tanh())},
      {"silu", make(SiLU())},
      {"gelu", make(GELU())},
      {"softmax", make(Softmax())},
      {"log_softmax", make(LogSoftmax(-1))},
      {"softmax/axis_1", make(Softmax(1))},
      {"log_softmax/axis_1", make(LogSoftmax(1))},
      {"flatten", make(Flatten())},

      {"batch_norm1d", make(BatchNorm1d(4))},
      {"batch_norm1d/length", make(BatchNorm1d(3))},
      {"batch_norm1d/no_affine", make(BatchNorm1d(4, {.affine = false}))},
      {"batch_norm1d/no_tracking", make(BatchNorm1d(4, {.track_running_stats = false}))},
      {"batch_norm1d/momentum", make(BatchNorm1d(4, {.momentum = 0.3}))},
      {"batch_norm1d/cumulative", make(BatchNorm1d(4, {.momentum = {}}))},
      {"batch_norm1d/two_samples", make(BatchNorm1d(4))},
      {"batch_norm2d", make(BatchNorm2d(3))},
      {"batch_norm2d/no_affine", make(BatchNorm2d(3, {.affine = false}))},
      {"batch_norm2d/plain", make(BatchNorm2d(3, {.affine = false, .track_running_stats = false}))},
      {"batch_norm2d/eps", make(BatchNorm2d(3, {.eps = one_tenth}))},
      {"batch_norm2d/one_sample", make(BatchNorm2d(3))},

      {"layer_norm", make(LayerNorm(8))},
      {"layer_norm/leading_axes", make(LayerNorm(5))},
      {"layer_norm/two_axes", make(LayerNorm({3, 4}))},
      {"layer_norm/three_axes", make(LayerNorm({3, 2, 3}))},
      {"layer_norm/no_affine", make(LayerNorm(8, {.affine = false}))},
      {"layer_norm/eps", make(LayerNorm(8, {.eps = one_tenth}))},
      {"layer_norm/two_values", make(LayerNorm(2))},

      {"group_norm", make(GroupNorm(2, 4))},
      {"group_norm/one_group", make(GroupNorm(1, 4))},
      {"group_norm/group_per_channel", make(GroupNorm(4, 4))},
      {"group_norm/no_affine", make(GroupNorm(2, 6, {.affine = false}))},
      {"group_norm/vectors", make(GroupNorm(2, 6))},
      {"group_norm/eps", make(GroupNorm(2, 4, {.eps = one_tenth}))},

      {"instance_norm2d", make(InstanceNorm2d(3))},
      {"instance_norm2d/affine", make(InstanceNorm2d(3, {.affine = true}))},
      {"instance_norm2d/eps", make(InstanceNorm2d(3, {.eps = one_tenth}))},
      {"instance_norm2d/tracking", make(InstanceNorm2d(3, {.track_running_stats = true}))},
      {"instance_norm2d/all",
       make(InstanceNorm2d(
           3, {.eps = real(0.01), .momentum = 0.3, .affine = true, .track_running_stats = true}))},

      {"mlp", make(mlp())},
      {"cnn", make(cnn())},
  };
}

// The cases of sequences().
std::map<std::string, std::shared_ptr<Module>> sequence_layers() {
  const RecurrentOptions three{.layers = 3, .bidirectional = true}, two{.layers = 2, .bidirectional = true};
  const TransformerEncoderLayerOptions encoder{.feedforward = 12, .dropout = 0};
  TransformerEncoderLayerOptions norm_first = encoder, with_gelu = encoder;
  norm_first.norm_first = with_gelu.gelu = true;
  const PoolOptions ceil{.stride = 2, .padding = 1, .ceil_mode = true};
  PoolOptions no_padding = ceil;
  no_padding.count_include_pad = false;
  return {
      {"rnn", make(RNN(4, 3))},
      {"gru", make(GRU(4, 3))},
      {"gru/layers", make(GRU(3, 5, three))},
      {"lstm", make(LSTM(4, 3))},
      {"lstm/no_bias", make(LSTM(4, 3, {.bias = false}))},
      {"lstm/layers", make(LSTM(3, 9, two))},
      {"attention", make(MultiheadAttention(8, 2))},
      {"attention/no_bias", make(MultiheadAttention(6, 3, {.bias = false}))},
      {"attention/causal", make(MultiheadAttention(8, 4, {.causal = true}))},
      {"attention/long", make(MultiheadAttention(4, 1))},
      {"encoder", make(TransformerEncoderLayer(8, 2, encoder))},
      {"encoder/norm_first", make(TransformerEncoderLayer(8, 2, norm_first))},
      {"encoder/gelu", make(TransformerEncoderLayer(8, 4, with_gelu))},
      {"conv_transpose2d", make(ConvTranspose2d(2, 3, 3))},
      {"conv_transpose2d/stride", make(ConvTranspose2d(3, 2, 4, {.stride = 2, .padding = 1, .bias = false}))},
      {"conv_transpose2d/all", make(ConvTranspose2d(4, 6, {3, 2},
                                                    {.stride = {2, 3},
                                                     .padding = {1, 0},
                                                     .output_padding = {1, 2},
                                                     .dilation = {2, 1},
                                                     .groups = 2}))},
      {"upsample", make(Upsample(2))},
      {"upsample/bilinear", make(Upsample({3, 2}, UpsampleMode::bilinear))},
      {"adaptive_avg_pool2d", make(AdaptiveAvgPool2d({3, 2}))},
      {"adaptive_avg_pool2d/divides", make(AdaptiveAvgPool2d({3, 2}))},
      {"max_pool2d/ceil", make(MaxPool2d(2, {.ceil_mode = true}))},
      {"max_pool2d/ceil_padding", make(MaxPool2d(3, ceil))},
      {"avg_pool2d/ceil", make(AvgPool2d(3, ceil))},
      {"avg_pool2d/ceil_beyond", make(AvgPool2d(2, {.stride = 3, .padding = 1, .ceil_mode = true}))},
      {"avg_pool2d/no_padding", make(AvgPool2d(3, no_padding))},
      {"elu", make(ELU(real(1.5)))},
      {"softplus", make(Softplus())},
  };
}

void check_layer(const Golden& golden, const std::string& name, Module& layer, Mode mode) {
  const std::string prefix = name + ":";
  for_each_parameter(layer, [&](const std::string& path, Parameter& p) {
    p.assign(golden.tensor(prefix + path));
    p.zero_grad();
  });
  for_each_buffer(layer, [&](const std::string& path, Buffer& b) { b.assign(golden.tensor(prefix + path)); });
  for_each_counter(
      layer, [&](const std::string& path, Counter& c) { c.value = golden.integers(prefix + path).at(0); });

  Tape tape(mode);
  Tensor x = golden.tensor(prefix + "x");
  tape.watch(x);
  const Tensor y = layer(x);
  golden.expect(prefix + "y", y);
  tape.backward(y, golden.tensor(prefix + "dy"));
  golden.expect(prefix + "dx", tape.grad(x));

  int parts = 0;
  for_each_parameter(layer, [&](const std::string& path, Parameter& p) {
    golden.expect(prefix + "grad:" + path, p.grad());
    ++parts;
  });
  for_each_buffer(layer, [&](const std::string& path, Buffer& b) {
    golden.expect(prefix + "after:" + path, b.value());
    ++parts;
  });
  for_each_counter(layer, [&](const std::string& path, Counter& c) {
    CHECK(c.value == golden.integers(prefix + "after:" + path).at(0));
    ++parts;
  });
  CHECK(parts == golden.tensors_of(name) / 2 - 2);  // two of each; x, dy, y and dx
}

}  // namespace

TEST_CASE("golden: every layer forward and backward") {
  const Golden golden("layers");
  auto table = layers();
  for (const std::string& name : golden.cases()) {
    CAPTURE(name);
    const bool eval = name.ends_with("/eval");
    const auto layer = table.find(eval ? name.substr(0, name.size() - 5) : name);
    REQUIRE(layer != table.end());
    check_layer(golden, name, *layer->second, eval ? Mode::eval : Mode::train);
  }
  for (const auto& [name, layer] : table) CHECK(golden.contains(name + ":y"));
}

TEST_CASE("golden: recurrent layers, attention and what came after the other files") {
  const Golden golden("sequences");
  for (const auto& named : sequence_layers()) {
    const std::string& name = named.first;
    CAPTURE(name);
    REQUIRE(golden.contains(name + ":y"));
    check_layer(golden, name, *named.second, Mode::train);
  }
}

namespace {

Labels labels_of(const Golden& golden, const std::string& name) {
  const std::vector<int64_t> given = golden.integers(name);
  Labels labels(static_cast<int64_t>(given.size()));
  std::ranges::transform(given, labels.data(), [](int64_t label) { return static_cast<int32_t>(label); });
  return labels;
}

void take_parameters(const Golden& golden, const std::string& prefix, Module& layer) {
  for_each_parameter(layer,
                     [&](const std::string& path, Parameter& p) { p.assign(golden.tensor(prefix + path)); });
}

// The gradients, once `loss` has been computed from x.
void check_gradients(const Golden& golden, const std::string& prefix, Tape& tape, const Tensor& x,
                     Module& layer, const Tensor& loss) {
  tape.backward(loss);
  golden.expect(prefix + "dx", tape.grad(x));
  for_each_parameter(layer, [&](const std::string& path, Parameter& p) {
    golden.expect(prefix + "grad:" + path, p.grad());
  });
}

void check_padded(const std::string& name, RecurrentLayer& layer) {
  CAPTURE(name);
  const Golden golden("sequences");
  const std::string prefix = name + "/padded:";
  take_parameters(golden, prefix, layer);
  Tape tape;
  Tensor x = golden.tensor(prefix + "x");
  tape.watch(x);
  const auto [y, last] = layer(x, labels_of(golden, prefix + "lengths"));
  golden.expect(prefix + "y", y);
  golden.expect(prefix + "h", last.h);
  Tensor loss = sum(y * golden.tensor(prefix + "dy")) + sum(last.h * golden.tensor(prefix + "dh"));
  if (!last.c.empty()) {
    golden.expect(prefix + "c", last.c);
    loss += sum(last.c * golden.tensor(prefix + "dc"));
  }
  check_gradients(golden, prefix, tape, x, layer, loss);
}

}  // namespace

TEST_CASE("golden: padded sequences") {
  RNN rnn(3, 4, {.layers = 2, .bidirectional = true});
  GRU gru(3, 4, {.layers = 2, .bidirectional = true});
  LSTM lstm(3, 4, {.layers = 2, .bidirectional = true});
  check_padded("rnn", rnn);
  check_padded("gru", gru);
  check_padded("lstm", lstm);
}

TEST_CASE("golden: attention without the keys of padding") {
  const Golden golden("sequences");
  const std::string prefix = "attention/padded:";
  MultiheadAttention layer(8, 2);
  take_parameters(golden, prefix, layer);
  Tape tape;
  Tensor x = golden.tensor(prefix + "x");
  tape.watch(x);
  const Labels lengths = labels_of(golden, prefix + "lengths");
  Tensor padding = zeros({lengths.size(), x.size(1)});
  for (int64_t n = 0; n < lengths.size(); ++n)
    for (int64_t key = lengths[n]; key < x.size(1); ++key) padding(n, key) = 1;
  const Tensor y = layer(x, padding);
  golden.expect(prefix + "y", y);
  check_gradients(golden, prefix, tape, x, layer, sum(y * golden.tensor(prefix + "dy")));
}

TEST_CASE("golden: every loss forward and backward") {
  const Golden golden("losses");
  using Loss = std::function<Tensor(Tensor, const Tensor&)>;
  const auto cross_entropy_of = [&](const char* name, double smoothing) -> std::pair<std::string, Loss> {
    const std::string full = std::string("cross_entropy") + name;
    return {full, [&golden, full, smoothing](Tensor x, const Tensor&) {
              const Labels labels = labels_of(golden, full + ":targets");
              return cross_entropy(std::move(x), labels, {.label_smoothing = static_cast<real>(smoothing)});
            }};
  };
  const Loss binary = [](Tensor x, const Tensor& target) {
    return binary_cross_entropy_with_logits(std::move(x), target);
  };
  const std::map<std::string, Loss> losses{
      cross_entropy_of("", 0),
      cross_entropy_of("/smoothing", 0.1),
      cross_entropy_of("/full_smoothing", 1),
      cross_entropy_of("/one_sample", 0),
      cross_entropy_of("/one_class", 0),
      cross_entropy_of("/two_classes", 0.3),
      cross_entropy_of("/large_logits", 0),
      cross_entropy_of("/large_smoothing", 0.1),
      {"binary_cross_entropy", binary},
      {"binary_cross_entropy/one", binary},
      {"binary_cross_entropy/large_logits", binary},
      {"mse", [](Tensor x, const Tensor& target) { return mse_loss(std::move(x), target); }},
      {"l1", [](Tensor x, const Tensor& target) { return l1_loss(std::move(x), target); }},
      {"huber", [](Tensor x, const Tensor& target) { return huber_loss(std::move(x), target); }},
      {"huber/delta",
       [](Tensor x, const Tensor& target) { return huber_loss(std::move(x), target, real(0.25)); }},
  };
  CHECK(losses.size() == golden.cases().size());
  for (const auto& named : losses) {
    const auto& name = named.first;
    const auto& loss = named.second;
    CAPTURE(name);
    Tape tape;
    Tensor x = golden.tensor(name + ":x");
    tape.watch(x);
    const bool labelled = name.starts_with("cross_entropy");
    const Tensor y = loss(x, labelled ? Tensor() : golden.tensor(name + ":targets"));
    golden.expect(name + ":y", y);
    tape.backward(y);
    golden.expect(name + ":dx", tape.grad(x));
  }
}
