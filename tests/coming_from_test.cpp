// The C++ blocks of docs/coming-from.md compute what PyTorch computes from the lines beside them.
#include <cmath>
#include <functional>

#include <ballast/ballast.h>

#include "golden.h"

using namespace ballast;

namespace {

#include "coming_from.inc"  // the blocks, taken from the document when the build is configured

// Numbers that need not be stored, as in formula() of tests/golden/generate.py.
Tensor formula(const Shape& shape, double factor) {
  Tensor x(shape);
  for (int64_t i = 0; i < x.count(); ++i)
    x.data()[i] = static_cast<real>(std::sin(static_cast<double>(i) * factor) +
                                    std::cos(0.01 * static_cast<double>(i * i % 1009)));
  return x;
}

void set_parameters(Module& model) {
  for_each_parameter(model,
                     [](const std::string&, Parameter& p) { p.assign(formula(p.shape(), 0.7) * real(0.2)); });
}

void expect(const std::string& name, const Tensor& got) {
  CAPTURE(name);
  CHECK(Golden("coming_from").error(name, got) < (sizeof(real) == 8 ? 1e-11 : 1e-3));
}

Tensor training_output(Module& model, const Tensor& x) {
  Tape tape;
  return model(x);
}

}  // namespace

TEST_CASE("coming from PyTorch: a perceptron, and batch normalization behind a convolution") {
  Sequential mlp = perceptron();
  set_parameters(mlp);
  expect("mlp:train", training_output(mlp, formula({6, 784}, 0.3)));
  expect("mlp:eval", mlp(formula({6, 784}, 0.3)));
  Net net;
  set_parameters(net);
  expect("cnn:train", training_output(net, formula({5, 1, 8, 8}, 0.3)));
  expect("cnn:eval", net(formula({5, 1, 8, 8}, 0.3)));
}

TEST_CASE("coming from PyTorch: the training loop") {
  Net net;
  set_parameters(net);
  expect("trained:logits", train(net, formula({5, 1, 8, 8}, 0.3), {0, 1, 2, 0, 1}));
}

TEST_CASE("coming from PyTorch: a frozen layer, groups of parameters and weight decay of all of them") {
  Net net;
  set_parameters(net);
  expect("fine_tuned:logits", fine_tune(net, formula({5, 1, 8, 8}, 0.3), {0, 1, 2, 0, 1}));
}

TEST_CASE("coming from Keras: its eps and momentum") {
  Sequential model = keras_model();
  set_parameters(model);
  expect("keras:train", training_output(model, formula({4, 5}, 0.3)));
  expect("keras:eval", model(formula({4, 5}, 0.3)));
}

TEST_CASE("coming from NumPy: the four steps are batch_norm") {
  const Tensor x = formula({6, 3}, 0.3), gamma = formula({3}, 0.5), beta = formula({3}, 0.9);
  const Tensor steps = batch_norm_forward(x, gamma, beta, real(1e-5));
  const StatisticsScope batch_statistics;
  CHECK(max(abs(steps - batch_norm(x, gamma, beta))).item() < (sizeof(real) == 8 ? 1e-12 : 1e-5));
}
