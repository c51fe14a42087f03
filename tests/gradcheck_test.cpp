// The gradient check itself: operations with a mistake must not pass.
#include <doctest/doctest.h>

#include <ballast/core/detail/map.h>
#include <ballast/core/gradcheck.h>
#include <ballast/core/ops/elementwise.h>
#include <ballast/core/ops/reduce.h>
#include <ballast/core/random.h>

#include "same_bits.h"

using namespace ballast;
using namespace ballast::detail;

namespace {

// y = x^2 / 2, with a backward function of the test's choice.
template <class Backward>
auto half_square(Backward backward) {
  return [backward](Tensor x) {
    const NodeId in = x.node();
    Tensor y = mapped(x.clone(), [](real v) { return v * v / 2; });
    return record("half_square", y, {in},
                  [=, x = x.detach()](Tensor dy, Grads& grads) { backward(std::move(dy), x, in, grads); });
  };
}

Tensor times(Tensor a, const Tensor& b, real factor = 1) {
  return zipped(a.clone(), b, [=](real p, real q) { return factor * p * q; });
}

}  // namespace

TEST_CASE("gradient check: a right gradient passes") {
  manual_seed(1);
  const auto f =
      half_square([](Tensor dy, const Tensor& x, NodeId in, Grads& g) { g.add(in, times(dy, x)); });
  CHECK(gradient_error(f, randn({2, 3})) == "");
  CHECK(directional_error(f, randn({2, 3})) == "");
  const auto accumulating = half_square([](Tensor dy, const Tensor& x, NodeId in, Grads& grads) {
    grads.write(in, x.shape(), [&](real* g, real beta) {
      for (int64_t i = 0; i < x.count(); ++i)
        g[i] = (beta == 0 ? 0 : beta * g[i]) + dy.data()[i] * x.data()[i];
    });
  });
  CHECK(gradient_error(accumulating, randn({5})) == "");
}

TEST_CASE("gradient check: a wrong factor, a missing gradient and an overwritten one don't") {
  manual_seed(2);
  const auto flipped = half_square(
      [](Tensor dy, const Tensor& x, NodeId in, Grads& grads) { grads.add(in, times(dy, x, -1)); });
  CHECK(gradient_error(flipped, randn({3})) != "");
  CHECK(directional_error(flipped, randn({3})) != "");

  const auto slightly_off = half_square(
      [](Tensor dy, const Tensor& x, NodeId in, Grads& grads) { grads.add(in, times(dy, x, real(1.0001))); });
  CHECK(gradient_error(slightly_off, randn({3})) != "");
  CHECK(directional_error(slightly_off, randn({3})) != "");

  const auto missing = half_square([](Tensor, const Tensor&, NodeId, Grads&) {});
  CHECK(gradient_error(missing, randn({3})) != "");

  const auto overwriting = half_square([](Tensor dy, const Tensor& x, NodeId in, Grads& grads) {
    grads.write(in, x.shape(), [&](real* g, real) {
      for (int64_t i = 0; i < x.count(); ++i) g[i] = dy.data()[i] * x.data()[i];
    });
  });
  CHECK(gradient_error(overwriting, randn({3})) != "");
}

TEST_CASE("gradient check: an operation that spoils what others hold doesn't pass") {
  manual_seed(3);
  const auto spoils_x = [](Tensor x) {
    const NodeId in = x.node();
    for (int64_t i = 0; i < x.count(); ++i) x.data()[i] *= 3;
    return record("spoils_x", std::move(x), {in},
                  [in](Tensor dy, Grads& grads) { grads.add(in, times(std::move(dy), full({3}, 3))); });
  };
  CHECK(gradient_error(spoils_x, randn({3})) != "");

  const auto spoils_dy = half_square([](Tensor dy, const Tensor& x, NodeId in, Grads& grads) {
    for (int64_t i = 0; i < x.count(); ++i) dy.data()[i] *= x.data()[i];
    grads.add(in, std::move(dy));
  });
  CHECK(gradient_error([&](Tensor x) { return spoils_dy(x) + x; }, randn({3})) != "");
}

TEST_CASE("gradient check: another value on a tape than without doesn't pass") {
  manual_seed(4);
  const auto two_faced = [](Tensor x) {
    return x * (Tape::recording() ? real(1) : real(1) + std::numeric_limits<real>::epsilon());
  };
  CHECK(gradient_error(two_faced, full({1}, real(1.3))) != "");
}

TEST_CASE("gradient check: a reduction's 1/N") {
  manual_seed(5);
  CHECK(gradient_error([](Tensor x) { return mean(x); }, randn({4})) == "");
}

// x factor + offset, with a gradient of the factor that is `times` too large.
struct Scale : Module {
  Parameter factor{tensor({2, 3})}, offset{tensor({1, 1})};
  real times = 1;
  Tensor forward(Tensor x) override {
    const NodeId of_x = x.node(), of_factor = factor.value().node();
    Tensor y = x.detach() * factor.value().detach();
    y = record(
        "scale", std::move(y), {of_x, of_factor},
        [=, x = x.detach(), f = factor.value().detach(), wrong = times](const Tensor& dy, Grads& grads) {
          grads.add(of_x, dy * f);
          grads.add(of_factor, sum_to(dy * x * wrong, f.shape()));
        });
    return std::move(y) + offset;
  }
  void visit(Visitor& v) override { v("factor", factor), v("offset", offset); }
};

TEST_CASE("gradient check: says which element is wrong, and leaves a layer as it was") {
  manual_seed(4);
  Scale layer;
  layer.offset.set_trainable(false);  // a constant, without a gradient
  const uint64_t tapes = random_state().tapes;
  CHECK(gradient_error(layer, randn({4, 2})) == "");
  CHECK(random_state().tapes == tapes);
  CHECK(layer.factor.grad().empty());
  CHECK(same_bits(layer.factor, tensor({2, 3})));
  layer.times = 2;
  CHECK(gradient_error(layer, randn({4, 2})).starts_with("d y[0] / d parameter 0[0] is "));
}
