#pragma once

#include <cmath>

#include <ballast/core/module.h>
#include <ballast/core/ops/movement.h>
#include <ballast/core/ops/pooling.h>

namespace ballast::inline BALLAST_PRECISION {

/// How far max pooling can stretch a distance: each element stands in at most so many windows, and each
/// window passes one element on.
inline double max_pool_lipschitz(Pair window, const PoolOptions& options) {
  const Pair stride = options.stride.value_or(window);
  const auto windows = [](int64_t size, int64_t step) { return step > 0 ? (size + step - 1) / step : 1; };
  return std::sqrt(static_cast<double>(windows(window.h, stride.h) * windows(window.w, stride.w)));
}

/// The largest of each window, (N, C, H, W) -> (N, C, H', W'); see `max_pool2d`. The stride is the window's
/// size unless given.
struct MaxPool2d : Module {
  Pair window;
  PoolOptions options;
  explicit MaxPool2d(Pair size, const PoolOptions& o = {}) : window(size), options(o) {}
  Tensor forward(Tensor x) override { return max_pool2d(std::move(x), window, options); }
  /// Windows of 2 x 2 side by side: what `Then` can do.
  bool halves() const {
    return window == Pair(2) && options.stride.value_or(window) == window && options.padding == Pair(0);
    //~ return window == Pair(2);
  }
  LayerInfo info() override {
    return {.type = &typeid(MaxPool2d), .multiply_adds = 0, .lipschitz = max_pool_lipschitz(window, options)};
  }
  std::string describe() const override { return fmt::format("MaxPool2d {} x {}", window.h, window.w); }
};

/// The mean of each window, (N, C, H, W) -> (N, C, H', W'); see `avg_pool2d`.
struct AvgPool2d : Module {
  Pair window;
  PoolOptions options;
  explicit AvgPool2d(Pair size, const PoolOptions& o = {}) : window(size), options(o) {}
  Tensor forward(Tensor x) override { return avg_pool2d(std::move(x), window, options); }
  LayerInfo info() override { return {.type = &typeid(AvgPool2d), .multiply_adds = 0, .affine = true}; }
  std::string describe() const override { return fmt::format("AvgPool2d {} x {}", window.h, window.w); }
};

struct Pool1dOptions {
  std::optional<int64_t> stride = {};
  int64_t padding = 0;
};

/// One-dimensional pooling, (N, C, L) -> (N, C, L'): two-dimensional over images of height 1.
template <Tensor (*pool2d)(Tensor, Pair, const PoolOptions&)>
struct Pool1d : Module {
  Pair window;
  PoolOptions options;
  explicit Pool1d(int64_t size, const Pool1dOptions& o = {})
      : window(1, size), options{.stride = Pair(1, o.stride.value_or(size)), .padding = {0, o.padding}} {}
  Tensor forward(Tensor x) override {
    check<ShapeError>(x.rank() == 3, "x is {}; it must be (N, C, L)", x.shape());
    const Shape image = x.shape().inserted(2, 1);
    Tensor y = pool2d(reshape(std::move(x), image), window, options);
    return reshape(y, y.shape().without(2));
  }
};

struct MaxPool1d : Pool1d<max_pool2d> {
  using Pool1d::Pool1d;
  LayerInfo info() override {
    return {.type = &typeid(MaxPool1d), .multiply_adds = 0, .lipschitz = max_pool_lipschitz(window, options)};
  }
  std::string describe() const override { return fmt::format("MaxPool1d {}", window.w); }
};

struct AvgPool1d : Pool1d<avg_pool2d> {
  using Pool1d::Pool1d;
  LayerInfo info() override { return {.type = &typeid(AvgPool1d), .multiply_adds = 0, .affine = true}; }
  std::string describe() const override { return fmt::format("AvgPool1d {}", window.w); }
};

/// The mean of each channel, (N, C, H, W) -> (N, C, 1, 1).
struct GlobalAvgPool : Module {
  Tensor forward(Tensor x) override { return global_avg_pool(std::move(x)); }
  LayerInfo info() override {
    return {.type = &typeid(GlobalAvgPool),
            .multiply_adds = 0,
            .affine = true,
            .positions = LayerInfo::Positions::one};
  }
  std::string describe() const override { return "GlobalAvgPool"; }
};

}  // namespace ballast::inline BALLAST_PRECISION
