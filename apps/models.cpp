#include "models.h"

#include <numeric>

#include <ballast/core/scope.h>
#include <ballast/layers/activation.h>
#include <ballast/layers/batch_norm.h>
#include <ballast/layers/conv2d.h>
#include <ballast/layers/dropout.h>
#include <ballast/layers/flatten.h>
#include <ballast/layers/group_norm.h>
#include <ballast/layers/instance_norm.h>
#include <ballast/layers/layer_norm.h>
#include <ballast/layers/linear.h>
#include <ballast/layers/pooling.h>

#include "known.h"

namespace ballast::inline BALLAST_PRECISION {
namespace {

/// Adds layers one by one and runs a blank sample through each, so that the next one knows its input's shape.
class Builder {
 public:
  Builder(const ModelOptions& options, const Shape& sample_shape)
      : options_(options), x_(zeros(sample_shape.inserted(0, 1))) {}

  void conv(int64_t channels, int64_t kernel, int64_t padding) {
    add(Conv2d(x_.size(1), channels, kernel, {.padding = padding, .bias = options_.norm == "none"}));
    norm();
    activation();
    add(MaxPool2d(2));
  }

  void flatten() { add(Flatten()); }

  void hidden(int64_t width, bool with_norm) {
    with_norm = with_norm && options_.norm != "none";
    add(Linear(x_.size(1), width, {.bias = !with_norm}));
    if (with_norm) norm();
    activation();
    if (options_.dropout > 0) add(Dropout(options_.dropout));
  }

  Sequential finish(int classes) {
    add(Linear(x_.size(1), classes));
    return std::move(net_);
  }

 private:
  template <class Layer>
  void add(Layer layer) {
    x_ = net_.add(std::move(layer))(std::move(x_));
  }

  void norm() {
    const std::string& name = options_.norm;
    const int64_t channels = x_.size(1);
    const bool image = x_.rank() == 4;
    if (name == "batch" && image) add(BatchNorm2d(channels));
    if (name == "batch" && !image) add(BatchNorm1d(channels));
    if (name == "layer") add(LayerNorm(x_.shape().without(0)));
    if (name == "group") add(GroupNorm(std::gcd(int64_t{8}, channels), channels));
    if (name == "instance") add(InstanceNorm2d(channels, {.affine = true}));
  }

  void activation() {
    const std::string& name = options_.act;
    if (name == "relu") add(ReLU());
    if (name == "leaky_relu") add(LeakyReLU());
    if (name == "sigmoid") add(Sigmoid());
    if (name == "tanh") add(Tanh());
    if (name == "silu") add(SiLU());
    if (name == "gelu") add(GELU());
  }

  const ModelOptions& options_;
  Sequential net_;
  Tensor x_;
};

Sequential make_mlp(const ModelOptions& options, Builder build, int classes) {
  check<ValueError>(
      options.norm != "instance",
      "instance normalization is over the pixels of each channel, and an mlp has none; use --norm layer, "
      "batch or group, or a cnn");
  build.flatten();
  for (int64_t width : options.hidden) {
    check<ValueError>(width >= 1 && width <= 1'000'000, "--hidden {}: give widths of 1 to 1000000", width);
    build.hidden(width, true);
  }
  return build.finish(classes);
}

Sequential make_lenet(Builder build, int classes) {
  build.conv(6, 5, 2);
  build.conv(16, 5, 0);
  build.flatten();
  build.hidden(120, false);
  build.hidden(84, false);
  return build.finish(classes);
}

Sequential make_cnn(Builder build, int classes) {
  build.conv(32, 3, 1);
  build.conv(64, 3, 1);
  build.flatten();
  build.hidden(128, false);
  return build.finish(classes);
}

}  // namespace

Sequential make_model(const ModelOptions& options, const Shape& sample_shape, int classes) {
  check_known("model", options.model, known_models);
  check_known("norm", options.norm, known_norms);
  check_known("act", options.act, known_activations);
  const EvalScope evaluating;
  Builder build(options, sample_shape);
  if (options.model == "mlp") return make_mlp(options, std::move(build), classes);
  if (options.model == "lenet") return make_lenet(std::move(build), classes);
  return make_cnn(std::move(build), classes);
}

int64_t least_batch(const Sequential& model, const Shape& sample_shape, int64_t batch_size) {
  Sequential trial = model;  // a copy, since its running statistics will move
  const StatisticsScope training;
  try {
    trial(zeros(sample_shape.inserted(0, 1)));
    return 1;
  } catch (const ShapeError&) {
    if (batch_size == 1) throw;
  }
  trial(zeros(sample_shape.inserted(0, 2)));
  return 2;
}

}  // namespace ballast::inline BALLAST_PRECISION
