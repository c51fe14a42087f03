#pragma once

#include <ballast/ballast.h>

// Small versions of the networks that the trainer offers, for tests of whole training steps.

inline ballast::Sequential small_mlp() {
  using namespace ballast;
  return Sequential(Flatten(), Linear(144, 256, {.bias = false}), BatchNorm1d(256), ReLU(),
                    Linear(256, 256, {.bias = false}), BatchNorm1d(256), ReLU(), Linear(256, 10));
}

inline ballast::Sequential small_cnn() {
  using namespace ballast;
  return Sequential(Conv2d(1, 16, 3, {.padding = 1, .bias = false}), BatchNorm2d(16), ReLU(), MaxPool2d(2),
                    Conv2d(16, 32, 3, {.padding = 1, .bias = false}), BatchNorm2d(32), ReLU(), MaxPool2d(2),
                    Flatten(), Linear(288, 64), ReLU(), Linear(64, 10));
}

/// Every normalization, and dropout.
inline ballast::Sequential every_norm() {
  using namespace ballast;
  return Sequential(
      Conv2d(1, 16, 3, {.padding = 1}), BatchNorm2d(16), SiLU(), Conv2d(16, 16, 3, {.padding = 1}),
      GroupNorm(4, 16), GELU(),
      Residual(Sequential(Conv2d(16, 16, 3, {.padding = 1}), InstanceNorm2d(16, {.affine = true}), Tanh())),
      AvgPool2d(2), LayerNorm({16, 6, 6}), Dropout(0.25), Flatten(), Linear(576, 64, {.bias = false}),
      BatchNorm1d(64), LeakyReLU(), Dropout(0.5), Linear(64, 10));
}

/// A training set of noise: 12 x 12 images of ten classes.
struct Noise {
  ballast::Tensor x;
  ballast::Labels y;
  explicit Noise(int64_t count) : x(ballast::randn({count, 1, 12, 12})), y(count) {
    for (int64_t n = 0; n < count; ++n) y[n] = static_cast<int32_t>(n * 7 % 10);
  }
};

inline void train_step(ballast::Module& net, ballast::Optimizer& optimizer, const ballast::Tensor& x,
                       const ballast::Labels& y) {
  using namespace ballast;
  Tape tape;
  const Tensor loss = cross_entropy(net(x), y);
  tape.backward(loss);
  optimizer.step();
}
