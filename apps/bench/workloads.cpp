#include "workloads.h"

#include <memory>

#include "networks.h"

namespace bench {
using namespace ballast;
namespace {

/// Batches in memory, in rotation. The labels' rotation is longer by one, so that nothing can be memorised:
/// memorised data drives Adam's moments into denormals.
class Rotation {
 public:
  Rotation(const Shape& batch, int64_t batches) {
    for (int64_t i = 0; i < batches; ++i) images_.push_back(rand(batch));
    for (int64_t i = 0; i <= batches; ++i) {
      const Tensor classes = rand({batch[0]}, 0, 10);
      Labels labels(batch[0]);
      for (int64_t n = 0; n < batch[0]; ++n) labels[n] = static_cast<int32_t>(classes(n));
      labels_.push_back(labels);
    }
  }

  Batch next() {
    const size_t i = step_++;
    return {images_[i % images_.size()], labels_[i % labels_.size()]};
  }

 private:
  std::vector<Tensor> images_;
  std::vector<Labels> labels_;
  size_t step_ = 0;
};

/// Which optimizer, and how often it passes over memory of the parameters' size: the parameters and its
/// state, read and written.
struct Optimizing {
  std::unique_ptr<Optimizer> (*make)(Module&);
  int passes;
};

const Optimizing adam{[](Module& net) -> std::unique_ptr<Optimizer> {
                        return std::make_unique<Adam>(net, AdamOptions{.lr = 1e-3});
                      },
                      6};
const Optimizing sgd{[](Module& net) -> std::unique_ptr<Optimizer> {
                       return std::make_unique<SGD>(net, SGDOptions{.lr = 0.1});
                     },
                     2};
const Optimizing momentum{
    [](Module& net) -> std::unique_ptr<Optimizer> {
      return std::make_unique<SGD>(
          net, SGDOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 5e-4, .decay_rule = DecayRule::all});
    },
    4};

Result train(const Timing& timing, Module&& net, const Optimizing& optimizing, const Shape& shape,
             int64_t batches = 16) {
  const Cost cost = training_cost(net, shape, optimizing.passes);
  const std::unique_ptr<Optimizer> optimizer = optimizing.make(net);
  Rotation data(shape, batches);
  const Measurement time = time_steps(timing, [&] {
    const Batch batch = data.next();
    Tape tape;
    const Tensor loss = cross_entropy(net(batch.x), batch.y);
    tape.backward(loss);
    optimizer->step();
  });
  return {shape[0], cost, time};
}

Result infer(const Timing& timing, Module&& net, const Shape& batch) {
  const Cost cost = inference_cost(net, batch);
  Rotation data(batch, batch[0] == 1 ? 256 : 16);
  const Measurement time = time_steps(timing, [&] { predict(net, data.next().x); });
  return {batch[0], cost, time};
}

/// Forward and backward, with the input's gradient: reads x, writes y; reads x and dy, writes dx.
Result norm(const Timing& timing, Module&& layer, const Shape& shape) {
  const Tensor input = randn(shape), dy = randn(shape);
  const Measurement time = time_steps(timing, [&] {
    zero_grad(layer);
    Tape tape;
    Tensor x = input;
    tape.watch(x);
    tape.backward(layer(x), dy);
    const Tensor dx = tape.grad(x);
  });
  return {shape[0], {.bytes = 5.0 * sizeof(real) * static_cast<double>(shape.count())}, time};
}

/// 1000 operations on 16 elements, each recorded: ten chains of 50 additions and 50 ReLUs.
Result tape_overhead(const Timing& timing) {
  const Tensor input = rand({16}), term = rand({16}), dy = ones({16});
  const Measurement time = time_steps(timing, [&] {
    for (int chain = 0; chain < 10; ++chain) {
      Tape tape;
      Tensor x = input;
      tape.watch(x);
      Tensor y = x;
      for (int i = 0; i < 50; ++i) y = relu(std::move(y) + term);
      tape.backward(y, dy);
    }
  });
  return {1000, {}, time};
}

Shape gray(int64_t batch, int64_t height = 28, int64_t width = 28) { return {batch, 1, height, width}; }

}  // namespace

const std::vector<Workload>& workloads() {
  const Shape images{128, 64, 28, 28};
  using T = const Timing&;
  static const std::vector<Workload> all{
      {"W1", "784-512-512-10, batch 128, Adam",
       [](T t) {
         return train(t, mlp({512, 512}), adam, gray(128));
       }},
      {"W1b", "W1 with batch norm",
       [](T t) {
         return train(t, mlp({512, 512}, true), adam, gray(128));
       }},
      {"W1s", "784-100-100-100-10, batch norm, sigmoid, batch 60, SGD",
       [](T t) { return train(t, sigmoid_mlp(), sgd, gray(60)); }},
      {"W2", "CNN with batch norm, batch 128, Adam",
       [](T t) { return train(t, cnn("bn"), adam, gray(128)); }},
      {"W2gn", "W2 with group norm", [](T t) { return train(t, cnn("gn"), adam, gray(128)); }},
      {"W2ln", "W2 with layer norm", [](T t) { return train(t, cnn("ln"), adam, gray(128)); }},
      {"W2in", "W2 with instance norm", [](T t) { return train(t, cnn("in"), adam, gray(128)); }},
      {"W3", "residual network on 3x32x32, batch 128, SGD",
       [](T t) {
         return train(t, resnet(), momentum, {128, 3, 32, 32}, 4);
       }},
      {"W4_W1_b1", "W1 evaluated on one image",
       [](T t) {
         return infer(t, mlp({512, 512}), gray(1));
       }},
      {"W4_W1_b256", "W1 evaluated on 256",
       [](T t) {
         return infer(t, mlp({512, 512}), gray(256));
       }},
      {"W4_W2_b1", "W2 evaluated on one image", [](T t) { return infer(t, cnn(), gray(1)); }},
      {"W4_W2_b256", "W2 evaluated on 256", [](T t) { return infer(t, cnn(), gray(256)); }},
      {"W5_bn", "batch norm of (128, 64, 28, 28), forward and backward",
       [=](T t) { return norm(t, BatchNorm2d(64), images); }},
      {"W5_gn", "group norm of the same, 8 groups", [=](T t) { return norm(t, GroupNorm(8, 64), images); }},
      {"W5_in", "instance norm of the same",
       [=](T t) { return norm(t, InstanceNorm2d(64, {.affine = true}), images); }},
      {"W5_ln", "layer norm of (3584, 1024)",
       [](T t) {
         return norm(t, LayerNorm(1024), {3584, 1024});
       }},
      {"W1_500", "W1 with widths of 500",
       [](T t) {
         return train(t, mlp({500, 500}), adam, gray(128));
       }},
      {"W1_127", "W1 with widths of 127",
       [](T t) {
         return train(t, mlp({127, 127}), adam, gray(128));
       }},
      {"W1_n100", "W1 with batches of 100",
       [](T t) {
         return train(t, mlp({512, 512}), adam, gray(100));
       }},
      {"W1_module", "W1 as a hand-written module",
       [](T t) { return train(t, HandWrittenMlp(), adam, gray(128)); }},
      {"W2_27x29", "W2 on images of 27x29",
       [](T t) { return train(t, cnn("bn", 27, 29), adam, gray(128, 27, 29)); }},
      {"W2_n100", "W2 with batches of 100", [](T t) { return train(t, cnn(), adam, gray(100)); }},
      {"W2_module", "W2 as a hand-written module",
       [](T t) { return train(t, HandWrittenCnn(), adam, gray(128)); }},
      {"tape_overhead", "1000 recorded operations on 16 elements, forward and backward", tape_overhead},
  };
  return all;
}

}  // namespace bench
