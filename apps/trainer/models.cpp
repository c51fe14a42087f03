#include "trainer/models.h"

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

namespace ballast::app {

/// Adds layers one by one and runs a blank sample through each, so that the next one knows its input's shape.
class ModelBuilder {
 public:
  ModelBuilder(const ModelOptions& options, const Shape& sample_shape)
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

  Sequential finish(int64_t outputs) {
    add(Linear(x_.size(1), outputs));
    return std::move(net_);
  }

 private:
  template <class Layer>
  void add(Layer layer) {
    net_.add(std::move(layer));
    run_new_layers();
  }

  void norm() {
    find("norm", norms(), options_.norm).make(net_, x_.shape());
    run_new_layers();
  }

  void activation() {
    find("act", activations(), options_.act).make(net_);
    run_new_layers();
  }

  void run_new_layers() {
    for (; seen_ < net_.size(); ++seen_) x_ = net_[seen_](std::move(x_));
    //~ seen_ = net_.size();
  }

  const ModelOptions& options_;
  Sequential net_;
  size_t seen_ = 0;  // layers that x_ has been through
  Tensor x_;
};

const Choices<ModelMaker>& models() {
  static const Choices<ModelMaker> table = {
      {"mlp",
       "fully connected layers",
       [](ModelBuilder& build, const ModelOptions& options) {
         build.flatten();
         for (const int64_t width : options.hidden) build.hidden(width, true);
       },
       {"hidden"}},
      {"lenet", "LeNet-5",
       [](ModelBuilder& build, const ModelOptions&) {
         build.conv(6, 5, 2);
         build.conv(16, 5, 0);
         build.flatten();
         build.hidden(120, false);
         build.hidden(84, false);
       }},
      {"cnn", "two convolutions of 32 and 64 channels",
       [](ModelBuilder& build, const ModelOptions&) {
         build.conv(32, 3, 1);
         build.conv(64, 3, 1);
         build.flatten();
         build.hidden(128, false);
       }},
  };
  return table;
}

namespace {

/// (1, C, H, W) rather than (1, C).
bool is_image(const Shape& shape) { return shape.rank() == 4; }

/// Throws ValueError if a norm would get a single value and so erase it.
void check_several(const char* norm, int64_t values) {
  check<ValueError>(
      values > 1,
      "--norm {}: it would be over a single value, of which nothing is left; use --norm none or "
      "a wider --hidden layer",
      norm);
}

}  // namespace

int64_t group_count(const Shape& shape) {
  int64_t groups = std::gcd(int64_t{8}, shape[1]);
  //~ int64_t groups = 8;
  while (groups > 1 && shape.count() / groups < 16) groups /= 2;
  //~
  return groups;
}

const Choices<NormMaker>& norms() {
  static const Choices<NormMaker> table = {
      {"none", "", [](Sequential&, const Shape&) {}},
      {"batch", "",
       [](Sequential& net, const Shape& shape) {
         if (is_image(shape))
           net.add(BatchNorm2d(shape[1]));
         else
           net.add(BatchNorm1d(shape[1]));
       }},
      {"layer", "",
       [](Sequential& net, const Shape& shape) {
         check_several("layer", shape.count());
         net.add(LayerNorm(shape.without(0)));
       }},
      {"group", "",
       [](Sequential& net, const Shape& shape) {
         check_several("group", shape.count() / group_count(shape));
         net.add(GroupNorm(group_count(shape), shape[1]));
       }},
      {"instance", "",
       [](Sequential& net, const Shape& shape) {
         check<ValueError>(is_image(shape),
                           "instance normalization is over the pixels of each channel, and an mlp has none; "
                           "use --norm layer, batch or group, or a cnn");
         net.add(InstanceNorm2d(shape[1], {.affine = true}));
       }},
  };
  return table;
}

const Choices<ActivationMaker>& activations() {
  static const Choices<ActivationMaker> table = {
      {"relu", "", [](Sequential& net) { net.add(ReLU()); }},
      {"leaky_relu", "", [](Sequential& net) { net.add(LeakyReLU()); }},
      {"sigmoid", "", [](Sequential& net) { net.add(Sigmoid()); }},
      {"tanh", "", [](Sequential& net) { net.add(Tanh()); }},
      {"silu", "", [](Sequential& net) { net.add(SiLU()); }},
      {"gelu", "", [](Sequential& net) { net.add(GELU()); }},
  };
  return table;
}

Sequential make_model(const ModelOptions& options, const Shape& sample_shape, int64_t outputs) {
  const ModelMaker& make = find("model", models(), options.model).make;
  const EvalScope evaluating;
  ModelBuilder build(options, sample_shape);
  make(build, options);
  return build.finish(outputs);
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

}  // namespace ballast::app
