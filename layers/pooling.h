#pragma once

#include <cmath>

#include <ballast/core/module.h>
#include <ballast/core/ops/movement.h>
#include <ballast/layers/functional/pooling.h>

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
    return window == Pair(2) && options.stride.value_or(window) == window && options.padding == Pair(0) &&
           !options.ceil_mode;
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

/// One-dimensional pooling, (N, C, L) -> (N, C, L'), with the formula of `pool2d` for a height of 1.
template <Tensor (*pool2d)(Tensor, Pair, const PoolOptions&)>
struct Pool1d : Module {
  Pair window;
  PoolOptions options;
  Pool1d(const char* name, int64_t size, const Pool1dOptions& o)
      : window(1, size), options{.stride = Pair(1, o.stride.value_or(size)), .padding = {0, o.padding}} {
    constexpr int64_t most = int64_t{1} << 30;
    check<ValueError>(
        size >= 1 && size <= most && options.stride->w >= 1 && options.stride->w <= most && o.padding >= 0 &&
            o.padding <= size / 2,
        "{}: window {}, stride {}, padding {}; window and stride must be from 1 to 2^30, padding "
        "from 0 to half of the window",
        name, size, options.stride->w, o.padding);
  }
  Tensor forward(Tensor x) override {
    check<ShapeError>(x.rank() == 3, "x is {}; it must be (N, C, L)", x.shape());
    check<ShapeError>(
        x.size(2) > 0 && x.size(2) + 2 * options.padding.w >= window.w,
        "x is {}; with padding {} that is shorter than a window of {}; take a smaller window, or "
        "pool less before",
        x.shape(), options.padding.w, window.w);
    const Shape image = x.shape().inserted(2, 1);
    Tensor y = pool2d(reshape(std::move(x), image), window, options);
    return reshape(y, y.shape().without(2));
  }
};

struct MaxPool1d : Pool1d<max_pool2d> {
  explicit MaxPool1d(int64_t size, const Pool1dOptions& o = {}) : Pool1d("MaxPool1d", size, o) {}
  LayerInfo info() override {
    return {.type = &typeid(MaxPool1d), .multiply_adds = 0, .lipschitz = max_pool_lipschitz(window, options)};
  }
  std::string describe() const override { return fmt::format("MaxPool1d {}", window.w); }
};

struct AvgPool1d : Pool1d<avg_pool2d> {
  explicit AvgPool1d(int64_t size, const Pool1dOptions& o = {}) : Pool1d("AvgPool1d", size, o) {}
  LayerInfo info() override { return {.type = &typeid(AvgPool1d), .multiply_adds = 0, .affine = true}; }
  std::string describe() const override { return fmt::format("AvgPool1d {}", window.w); }
};

/// The means of `size` windows that cover the image evenly; see `adaptive_avg_pool2d`.
struct AdaptiveAvgPool2d : Module {
  Pair size;
  explicit AdaptiveAvgPool2d(Pair windows) : size(windows) {}
  Tensor forward(Tensor x) override { return adaptive_avg_pool2d(std::move(x), size); }
  LayerInfo info() override {
    return {.type = &typeid(AdaptiveAvgPool2d), .multiply_adds = 0, .affine = true};
  }
  std::string describe() const override { return fmt::format("AdaptiveAvgPool2d {} x {}", size.h, size.w); }
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
