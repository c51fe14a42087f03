#pragma once

#include <ballast/core/module.h>
#include <ballast/core/ops/movement.h>
#include <ballast/core/ops/reduce.h>

namespace ballast::inline BALLAST_PRECISION {

// Between images and sequences (N, L, E), and from a sequence to one vector.

/// The rows of images as a sequence, (N, C, H, W) -> (N, H, C W).
struct Rows : Module {
  Tensor forward(Tensor x) override {
    check<ShapeError>(x.rank() == 4, "x is {}; it must be (N, C, H, W)", x.shape());
    return flatten(transpose(std::move(x), 1, 2), 2);
  }
  LayerInfo info() override {
    return {.type = &typeid(Rows), .multiply_adds = 0, .lipschitz = 1, .channel_axis = -1};
  }
  std::string describe() const override { return "Rows"; }
};

/// Square patches of images as a sequence, row by row, (N, C, H, W) -> (N, H W / size^2, C size^2)
/// (Dosovitskiy et al. 2021).
struct Patches : Module {
  int64_t size;
  explicit Patches(int64_t edge) : size(edge) {
    check<ValueError>(edge >= 1, "Patches: a size of {}; it must be at least 1", edge);
  }
  Tensor forward(Tensor x) override {
    check<ShapeError>(x.rank() == 4 && x.size(2) % size == 0 && x.size(3) % size == 0,
                      "x is {}; it must be (N, C, H, W) with H and W multiples of {}", x.shape(), size);
    const int64_t channels = x.size(1), rows = x.size(2) / size, columns = x.size(3) / size, n = x.size(0);
    x = reshape(std::move(x), {n, channels, rows, size, columns, size});
    return reshape(permute(std::move(x), {0, 2, 4, 1, 3, 5}), {n, rows * columns, channels * size * size});
  }
  LayerInfo info() override {
    return {.type = &typeid(Patches), .multiply_adds = 0, .lipschitz = 1, .channel_axis = -1};
  }
  std::string describe() const override { return fmt::format("Patches {} x {}", size, size); }
};

/// The last position of a sequence, (N, L, E) -> (N, E).
struct LastPosition : Module {
  Tensor forward(Tensor x) override {
    check<ShapeError>(x.rank() == 3 && x.size(1) > 0, "x is {}; it must be (N, L, E) with a position",
                      x.shape());
    const int64_t n = x.size(0), length = x.size(1), width = x.size(2);
    return reshape(slice(std::move(x), 1, length - 1, length), {n, width});
  }
  LayerInfo info() override {
    return {.type = &typeid(LastPosition),
            .multiply_adds = 0,
            .lipschitz = 1,
            .channel_axis = -1,
            .positions = LayerInfo::Positions::one};
  }
  std::string describe() const override { return "LastPosition"; }
};

/// The mean over the positions of a sequence, (N, L, E) -> (N, E).
struct MeanPosition : Module {
  Tensor forward(Tensor x) override {
    check<ShapeError>(x.rank() == 3 && x.size(1) > 0, "x is {}; it must be (N, L, E) with a position",
                      x.shape());
    return mean(std::move(x), {1});
  }
  LayerInfo info() override {
    return {.type = &typeid(MeanPosition),
            .multiply_adds = 0,
            .affine = true,
            .channel_axis = -1,
            .positions = LayerInfo::Positions::one};
  }
  std::string describe() const override { return "MeanPosition"; }
};

}  // namespace ballast::inline BALLAST_PRECISION
