// Bounds of what a layer can do to a distance: never exceeded, attained, and tied to the model they are of.
#include <doctest/doctest.h>

#include <cmath>

#include <ballast/ballast.h>
#include <ballast/layers/analysis/spectrum.h>

#include "models.h"

using namespace ballast;

namespace {

double norm_of(const Tensor& x) {
  double squares = 0;
  for (double v : x.values()) squares += v * v;
  return std::sqrt(squares);
}

double stretch(Module& layer, const Tensor& x, const Tensor& step) {
  return norm_of(predict(layer, x + step) - predict(layer, x)) / norm_of(step);
}

// The bound of one layer alone.
double bound(auto layer, const Shape& sample_shape) {
  return certify(Sequential(std::move(layer)), sample_shape).bound;
}

void disturb(Sequential& net) {
  for_each_parameter(net, [](const std::string&, Parameter& p) { p.assign(randn(p.shape(), 0, real(0.3))); });
  for_each_buffer(net, [](const std::string&, Buffer& b) { b.assign(rand(b.shape(), real(0.5), 2)); });
}

Sequential residual_cnn() {
  return Sequential(Conv2d(1, 4, 3, {.padding = 1}), BatchNorm2d(4), ReLU(), MaxPool2d(2),
                    Residual(Sequential(Conv2d(4, 4, 3, {.padding = 1}), BatchNorm2d(4), LeakyReLU())),
                    AvgPool2d(2), BatchNorm2d(4), Flatten(), Linear(16, 8), Tanh(), Linear(8, 3));
}

}  // namespace

TEST_CASE("the eigenvalues of a tridiagonal matrix") {
  // 2 on the diagonal and -1 beside it: 2 - 2 cos(k pi / (n + 1)).
  const int64_t n = 12;
  Tridiagonal t{std::vector<double>(12, 2.0), std::vector<double>(11, -1.0)};
  for (int64_t k = 0; k < n; ++k) {
    const double angle = static_cast<double>(k + 1) * M_PI / static_cast<double>(n + 1);
    CHECK(t.eigenvalue(k) == doctest::Approx(2 - 2 * std::cos(angle)).epsilon(1e-12));
  }
  CHECK(t.count_below(2) == 6);
  const std::vector<double> top = t.top_eigenvector();
  for (size_t i = 1; i + 1 < top.size(); ++i)
    CHECK(2 * top[i] - top[i - 1] - top[i + 1] ==
          doctest::Approx(t.eigenvalue(n - 1) * top[i]).epsilon(1e-9));
}

TEST_CASE("reduction to tridiagonal form keeps the eigenvalues") {
  // D + u u^T; its trace, and its determinant by the matrix determinant lemma.
  const int64_t n = 7;
  std::vector<double> a(49);
  double trace = 0, product = 1, lemma = 1;
  for (int64_t r = 0; r < n; ++r) {
    const double d = static_cast<double>(r + 1);
    for (int64_t c = 0; c < n; ++c)
      a[static_cast<size_t>(r * n + c)] =
          std::sin(d) * std::sin(static_cast<double>(c + 1)) + (r == c ? d : 0);
    lemma += std::sin(d) * std::sin(d) / d;
    trace += d + std::sin(d) * std::sin(d);
    product *= d;
  }
  const Tridiagonal t = tridiagonalize(a, n);
  double sum = 0, determinant = 1;
  for (int64_t k = 0; k < n; ++k) sum += t.eigenvalue(k), determinant *= t.eigenvalue(k);
  CHECK(sum == doctest::Approx(trace).epsilon(1e-12));
  CHECK(determinant == doctest::Approx(product * lemma).epsilon(1e-11));
  std::vector<double> diagonal{3, 0, 0, 0, 1, 0, 0, 0, 2};
  CHECK(tridiagonalize(diagonal, 3).eigenvalue(2) == doctest::Approx(3));
}

TEST_CASE("a linear layer's bound is its largest singular value, to 1 %") {
  manual_seed(1);
  for (const auto& sizes : {std::pair<int64_t, int64_t>{1, 1}, {3, 5}, {40, 7}, {300, 200}}) {
    const int64_t in = sizes.first, out = sizes.second;
    Linear layer(in, out);
    layer.weight.assign(randn({out, in}));
    // Reference: W W^T as a whole, reduced and bisected.
    std::vector<double> gram(static_cast<size_t>(out * out));
    for (int64_t r = 0; r < out; ++r)
      for (int64_t c = 0; c < out; ++c)
        for (int64_t i = 0; i < in; ++i)
          gram[static_cast<size_t>(r * out + c)] +=
              double{layer.weight.value()(r, i)} * layer.weight.value()(c, i);
    const double sigma = std::sqrt(tridiagonalize(gram, out).eigenvalue(out - 1));
    const double found = bound(layer, {in});
    CAPTURE(in);
    CHECK(found >= sigma * (1 - 1e-6));
    CHECK(found <= sigma * 1.01);
  }
}

TEST_CASE("a convolution's bound is that of the matrix it is, padding, stride and groups included") {
  manual_seed(2);
  const auto check_conv = [](Conv2d layer, const Shape& image) {
    // Column i of the matrix is the image of unit vector i.
    layer.bias = Parameter();
    const int64_t in = image.count();
    std::vector<Tensor> columns;
    for (int64_t i = 0; i < in; ++i) {
      Tensor unit = zeros(image.inserted(0, 1));
      unit.data()[i] = 1;
      columns.push_back(layer(unit));
    }
    std::vector<double> gram(static_cast<size_t>(in * in));
    for (int64_t a = 0; a < in; ++a)
      for (int64_t b = 0; b < in; ++b)
        for (int64_t i = 0; i < columns[0].count(); ++i)
          gram[static_cast<size_t>(a * in + b)] +=
              double{columns[static_cast<size_t>(a)].data()[i]} * columns[static_cast<size_t>(b)].data()[i];
    const double sigma = std::sqrt(tridiagonalize(gram, in).eigenvalue(in - 1));
    const double found = bound(layer, image);
    CHECK(found >= sigma * (1 - 1e-6));
    CHECK(found <= sigma * 1.01);
  };
  check_conv(Conv2d(2, 3, 3, {.padding = 1}), {2, 6, 5});
  check_conv(Conv2d(2, 4, 3, {.stride = 2, .groups = 2}), {2, 7, 7});
  check_conv(Conv2d(1, 1, 1), {1, 2, 2});
}

TEST_CASE("bounds with a value of their own") {
  CHECK(bound(AvgPool2d(2), {1, 4, 4}) == doctest::Approx(0.5).epsilon(0.0051));
  CHECK(bound(GlobalAvgPool(), {2, 3, 3}) == doctest::Approx(1.0 / 3).epsilon(0.0051));
  CHECK(bound(MaxPool2d(2), {1, 4, 4}) == 1);
  CHECK(bound(MaxPool2d(3, {.stride = 2}), {1, 5, 5}) == 2);  // the middle pixel is in 4 windows
  CHECK(bound(LeakyReLU(2), {4}) == 2);
  CHECK(bound(Residual(Sequential(ReLU())), {4}) == 2);
  CHECK(bound(Dropout(0.9), {4}) == 1);
  BatchNorm1d norm(2);
  norm.weight.assign(tensor({1, -6}));
  norm.running_var.assign(tensor({1, 4}));
  CHECK(bound(norm, {2}) == doctest::Approx(3).epsilon(0.0051));
}

TEST_CASE("a layer under weight or spectral normalization has the bound of the weight it uses") {
  manual_seed(8);
  Linear layer(20, 10);
  const double plain = bound(layer, {20});
  WeightNorm doubled(layer);
  doubled.weight_g.assign(doubled.weight_g.value() * real(2));
  CHECK(bound(doubled, {20}) == doctest::Approx(2 * plain).epsilon(0.002));
  SpectralNorm unit(layer);
  unit.iterate(500);
  CHECK(bound(unit, {20}) == doctest::Approx(1).epsilon(0.006));
}

TEST_CASE("an overlapping max pool attains its bound") {
  MaxPool2d pool(3, {.stride = 2});
  Tensor step = zeros({1, 1, 5, 5});
  step(0, 0, 2, 2) = 1;
  CHECK(stretch(pool, zeros({1, 1, 5, 5}), step) == doctest::Approx(2));
}

TEST_CASE("no activation is steeper than its bound, and each attains it") {
  const auto check_slope = [](auto layer) {
    CAPTURE(layer.describe());
    const double limit = bound(layer, {1});
    const int64_t count = 40001;
    Tensor x(Shape{count});
    for (int64_t i = 0; i < count; ++i) x.data()[i] = static_cast<real>(i - count / 2) / real(2048);
    const Tensor y = layer(x);
    double steepest = 0;
    for (int64_t i = 8; i < count; ++i)
      steepest = std::max(steepest, std::abs(double{y.data()[i]} - y.data()[i - 8]) * 256);
    CHECK(steepest <= limit * (1 + (sizeof(real) == 4 ? 1e-3 : 1e-9)));
    CHECK(steepest >= limit * 0.999);
  };
  check_slope(ReLU());
  check_slope(LeakyReLU());
  check_slope(Sigmoid());
  check_slope(Tanh());
  check_slope(SiLU());
  check_slope(GELU());
  Softmax softmax;
  CHECK(stretch(softmax, zeros({1, 2}), tensor({{real(0.01), real(-0.01)}})) ==
        doctest::Approx(0.5).epsilon(1e-3));
}

TEST_CASE("each affine layer attains its own bound within 1 % along its direction") {
  manual_seed(3);
  Sequential net = residual_cnn();
  disturb(net);
  const Certificate certificate = certify(net, {1, 8, 8});
  Sequential folded = net;
  fold(folded);
  int64_t affine = 0;
  for_each_module(folded, [&](const std::string& path, Module& layer) {
    for (const LayerBound& found : certificate.layers) {
      if (found.path != path || found.direction.empty()) continue;
      CAPTURE(path);
      ++affine;
      CHECK(norm_of(found.direction) == doctest::Approx(1).epsilon(1e-5));
      CHECK(stretch(layer, randn(found.direction.shape()), found.direction) >= 0.99 * found.bound);
      CHECK(stretch(layer, zeros(found.direction.shape()), found.direction) ==
            doctest::Approx(found.attained).epsilon(1e-4));
      CHECK(stretch(layer, randn(found.direction.shape()), found.direction) <= found.bound * (1 + 1e-4));
    }
  });
  CHECK(affine == 6);  // 2 convolutions, the average pool, the norm after it, 2 linear layers
}

TEST_CASE("no step in the input moves the logits by more than the bound") {
  manual_seed(4);
  Sequential net = residual_cnn();
  disturb(net);
  const Certificate certificate = certify(net, {1, 8, 8});
  double largest = 0;
  for (int probe = 0; probe < 300; ++probe) {
    const real size = std::pow(real(10), static_cast<real>(probe % 5 - 3));
    largest = std::max(largest, stretch(net, randn({1, 1, 8, 8}), randn({1, 1, 8, 8}, 0, size)));
  }
  CAPTURE(certificate.bound);
  CHECK(largest <= certificate.bound);
  CHECK(largest > certificate.bound / 10000);
}

TEST_CASE("the bound of a linear network is its product, and a radius is what Tsuzuku et al. say") {
  Sequential net(Linear(2, 2), Linear(2, 2, {.bias = false}));
  auto &first = dynamic_cast<Linear&>(net[0]), &second = dynamic_cast<Linear&>(net[1]);
  first.weight.assign(tensor({{3, 0}, {0, 1}}));
  first.bias.assign(tensor({0, 0}));
  second.weight.assign(tensor({{2, 0}, {0, 2}}));
  const Certificate certificate = certify(net, {2});
  CHECK(certificate.bound == doctest::Approx(6).epsilon(0.0102));
  const std::vector<double> radii =
      certified_radii(certificate, net, tensor({{1, 1}, {1, 1}, {0, 0}}), {0, 1, 0});
  CHECK(radii[0] == doctest::Approx(4 / (std::sqrt(2.0) * certificate.bound)));  // logits 6 and 2
  CHECK(radii[1] == 0);
  CHECK(radii[2] == 0);
  CHECK_THROWS_AS(certified_radii(certificate, net, ones({1, 2}), {2}), ValueError);
}

TEST_CASE("a step shorter than the radius never changes the prediction") {
  manual_seed(5);
  Sequential net(Linear(6, 16), BatchNorm1d(16), ReLU(), Linear(16, 3));
  disturb(net);
  const Certificate certificate = certify(net, {6});
  const Tensor x = randn({50, 6});
  const Labels y = argmax(predict(net, x));
  const std::vector<double> radii = certified_radii(certificate, net, x, y);
  for (int64_t n = 0; n < 50; ++n) {
    for (int trial = 0; trial < 10; ++trial) {
      const Tensor step = randn({1, 6});
      const real scale = static_cast<real>(0.999 * radii[static_cast<size_t>(n)] / norm_of(step));
      CHECK(argmax(predict(net, slice(x, 0, n, n + 1) + step * scale))[0] == y[n]);
    }
  }
}

TEST_CASE("a certificate refuses a model whose statistics or weights have changed") {
  manual_seed(6);
  Sequential net(Linear(4, 6), BatchNorm1d(6), ReLU(), Linear(6, 3));
  const Certificate certificate = certify(net, {4});
  const Tensor x = randn({8, 4});
  const Labels y(8);
  CHECK_NOTHROW(certified_radii(certificate, net, x, Labels{0, 0, 0, 0, 0, 0, 0, 0}));
  SUBCASE("statistics, by a training step's forward pass") {
    Tape tape;
    net(x);
  }
  SUBCASE("one weight") { dynamic_cast<Linear&>(net[3]).bias.data()[2] += real(1e-3); }
  CHECK_THROWS_AS(certificate.check_valid(net), UsageError);
  CHECK_THROWS_AS(certified_radii(certificate, net, x, Labels{0, 0, 0, 0, 0, 0, 0, 0}), UsageError);
}

TEST_CASE("certifying changes nothing: not the model, not the random numbers to come") {
  manual_seed(7);
  Sequential net = small_cnn();
  const Tensor x = randn({2, 1, 12, 12}), y = net(x);
  const RandomState before = random_state();
  {
    Tape tape;  // also in the middle of a training step
    certify(net, {1, 12, 12});
  }
  CHECK(random_state().tensors == before.tensors);
  CHECK(random_state().tapes == before.tapes + 1);
  const Tensor again = net(x);
  CHECK(std::equal(y.values().begin(), y.values().end(), again.values().begin()));
  CHECK(dynamic_cast<Conv2d&>(net[0]).weight.grad().empty());
}

TEST_CASE("a layer without a bound of use is an error that names it and says why") {
  const auto message = [](Sequential net, const Shape& shape) -> std::string {
    try {
      certify(net, shape);
    } catch (const ValueError& error) {
      return error.what();
    }
    return "nothing was thrown";
  };
  const std::string text = message(Sequential(Linear(4, 4), LayerNorm(4)), {4});
  CHECK(text.starts_with("certify: layer 1 (LayerNorm (4)) has no Lipschitz bound of use"));
  CHECK(text.find("where the variance vanishes") != text.npos);
  CHECK(message(Sequential(InstanceNorm2d(2)), {2, 4, 4}).starts_with("certify: layer 0 (InstanceNorm2d 2)"));
  Sequential broken(Linear(2, 2));
  dynamic_cast<Linear&>(broken[0]).weight.assign(full({2, 2}, real(NAN)));
  CHECK(message(broken, {2}).find("aren't all finite") != std::string::npos);
}
