#pragma once

#include <ballast/core/module.h>
#include <ballast/core/ops/activation.h>

namespace ballast::inline BALLAST_PRECISION {

// The activations as layers, for a Sequential; see the functions of the same name in small letters.

struct ReLU : Module {
  Tensor forward(Tensor x) override { return relu(std::move(x)); }
  std::string describe() const override { return "ReLU"; }
};

struct LeakyReLU : Module {
  real slope;
  explicit LeakyReLU(real negative_slope = real(0.01)) : slope(negative_slope) {}
  Tensor forward(Tensor x) override { return leaky_relu(std::move(x), slope); }
  std::string describe() const override { return fmt::format("LeakyReLU {}", slope); }
};

struct Sigmoid : Module {
  Tensor forward(Tensor x) override { return sigmoid(std::move(x)); }
  std::string describe() const override { return "Sigmoid"; }
};

struct Tanh : Module {
  Tensor forward(Tensor x) override { return tanh(std::move(x)); }
  std::string describe() const override { return "Tanh"; }
};

struct SiLU : Module {
  Tensor forward(Tensor x) override { return silu(std::move(x)); }
  std::string describe() const override { return "SiLU"; }
};

struct GELU : Module {
  Tensor forward(Tensor x) override { return gelu(std::move(x)); }
  std::string describe() const override { return "GELU"; }
};

struct Softmax : Module {
  int axis;
  explicit Softmax(int along = -1) : axis(along) {}
  Tensor forward(Tensor x) override { return softmax(std::move(x), axis); }
  std::string describe() const override { return fmt::format("Softmax along axis {}", axis); }
};

}  // namespace ballast::inline BALLAST_PRECISION
