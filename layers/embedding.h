#pragma once

#include <cmath>
#include <utility>

#include <ballast/core/ops/elementwise.h>
#include <ballast/core/ops/movement.h>
#include <ballast/layers/init.h>

namespace ballast::inline BALLAST_PRECISION {

/// A vector for each of `count` words: weight (count, width), which starts from N(0, 1), PyTorch's default.
struct Embedding : Module {
  Parameter weight;

  Embedding(int64_t count, int64_t width) : weight(Tensor(Shape{count, width})) {
    check<ValueError>(count >= 1 && width >= 1, "Embedding {} x {}: both must be at least 1", count, width);
    normal(weight, 0, 1);
  }

  using Module::operator();
  /// (n) -> (n, width)
  Tensor operator()(const Labels& words) {
    const CallScope scope(*this);
    return gather(weight, words);
  }
  /// Words as whole numbers in a tensor, as a data set gives them: (...) -> (..., width).
  Tensor forward(Tensor x) override {
    Labels words(x.count());
    const std::span<const real> values = x.values();
    for (int64_t i = 0; i < x.count(); ++i) {
      const real value = values[static_cast<size_t>(i)];
      check<ValueError>(
          value >= 0 && value < static_cast<real>(weight.shape()[0]) && value == std::floor(value),
          "Embedding: {} at index {} is not one of the words 0 ... {}", value, i, weight.shape()[0] - 1);
      words[i] = static_cast<int32_t>(value);
    }
    const Shape shape = x.shape();
    return reshape(gather(weight, words), shape.inserted(shape.rank(), weight.shape()[1]));
  }
  void visit(Visitor& v) override { v("weight", weight); }
  LayerInfo info() override { return {.type = &typeid(Embedding), .multiply_adds = 0, .channel_axis = -1}; }
  std::string describe() const override {
    return fmt::format("Embedding {} x {}", weight.shape()[0], weight.shape()[1]);
  }
};

/// Adds a learned vector to each position, since attention itself doesn't know of their order: x (N, L, E) +
/// weight (length, E), of which the first L rows are used. It starts from N(0, 0.02^2) (Devlin et al. 2019).
struct PositionEmbedding : Module {
  Parameter weight;

  PositionEmbedding(int64_t length, int64_t width) : weight(Tensor(Shape{length, width})) {
    check<ValueError>(length >= 1 && width >= 1, "PositionEmbedding {} x {}: both must be at least 1", length,
                      width);
    normal(weight, 0, 0.02);
  }

  Tensor forward(Tensor x) override {
    const Shape& w = weight.shape();
    check<ShapeError>(x.rank() == 3 && x.size(1) <= w[0] && x.size(2) == w[1],
                      "x is {}; it must be (N, L, {}) with L at most {}", x.shape(), w[1], w[0]);
    const int64_t length = x.size(1);
    return std::move(x) + (length == w[0] ? Tensor(weight) : slice(weight, 0, 0, length));
  }
  void visit(Visitor& v) override { v("weight", weight); }
  LayerInfo info() override {
    return {.type = &typeid(PositionEmbedding), .multiply_adds = 0, .affine = true, .channel_axis = -1};
  }
  std::string describe() const override {
    return fmt::format("PositionEmbedding {} x {}", weight.shape()[0], weight.shape()[1]);
  }
};

}  // namespace ballast::inline BALLAST_PRECISION
