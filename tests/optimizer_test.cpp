// What is not a formula about optimizers; the formulas are held against golden files.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include <ballast/ballast.h>

#include "threads.h"

using namespace ballast;

namespace {

struct Two : Module {
  Parameter a{tensor({1, 1})}, b{tensor({1})};
  Tensor forward(Tensor x) override { return x; }
  void visit(Visitor& v) override { v("a", a), v("b", b); }
};

void backward(const Tensor& y) { Tape::recording()->backward(y); }

}  // namespace

TEST_CASE("a parameter without a gradient is skipped, its moments included") {
  Two both, alone;
  AdamW optimizer(both, {.lr = 0.1, .weight_decay = 0.1}), reference(alone, {.lr = 0.1, .weight_decay = 0.1});
  for (int step = 0; step < 4; ++step) {
    {
      Tape tape;
      backward(step % 2 ? sum(both.a.value() * real(3))
                        : sum(both.a.value() * real(3)) + sum(both.b.value()));
      optimizer.step();
    }
    if (step % 2) continue;
    Tape tape;
    backward(sum(alone.b.value()));
    reference.step();
  }
  CHECK(both.b.data()[0] == alone.b.data()[0]);
  CHECK(alone.a.data()[0] == 1);
}

// The threads update pieces of it.
TEST_CASE("each element of a large parameter is updated once, with its own gradient and moments") {
  constexpr int64_t period = 7;
  struct Net : Module {
    Parameter small, large;
    explicit Net(int64_t count) : small(zeros({3})), large(zeros({count})) {}
    Tensor forward(Tensor x) override { return x; }
    void visit(Visitor& v) override { v("small", small), v("large", large); }
  } net(100'003), reference(period);
  Adam optimizer(net), of_reference(reference);
  for (const real factor : {real(1), real(-2), real(5)}) {
    const auto step = [&](Net& n, Optimizer& o) {
      Tensor slopes(n.large.shape());
      for (int64_t i = 0; i < slopes.count(); ++i)
        slopes(i) = std::cos(factor * static_cast<real>(i % period));
      Tape tape;
      backward(sum(n.large.value() * slopes) + sum(n.small.value()));
      o.step();
    };
    step(net, optimizer);
    step(reference, of_reference);
  }
  for (int64_t i = 0; i < net.large.count(); ++i)
    REQUIRE(net.large.data()[i] == doctest::Approx(reference.large.data()[i % period]).epsilon(1e-5));
}

TEST_CASE("weight decay spares biases and norms unless told otherwise") {
  const auto bias_after_step = [](DecayRule rule) {
    Sequential net(Linear(2, 2), BatchNorm1d(2));
    SGD optimizer(net, {.lr = 1, .weight_decay = 0.5, .decay_rule = rule});
    Tape tape;
    backward(sum(net(randn({4, 2})) * real(0)));
    optimizer.step();
    return dynamic_cast<BatchNorm1d&>(net[1]).weight.data()[0];
  };
  CHECK(bias_after_step(DecayRule::weights_only) == 1);
  CHECK(bias_after_step(DecayRule::all) == 0.5);
}

TEST_CASE("groups have a learning rate and decay of their own, and follow the schedule in proportion") {
  struct Net : Module {
    Linear body{1, 1, {.bias = false}}, head{1, 1, {.bias = false}};
    void visit(Visitor& v) override { v("body", body), v("head", head); }
  } net;
  constant(net.body.weight, 1);
  constant(net.head.weight, 1);
  SGD optimizer(net, {.lr = 0.1});
  optimizer.group(net.body, {.lr = 0.01});
  optimizer.set_lr(0.2);
  Tape tape;
  backward(sum(net.body(ones({1, 1})) + net.head(ones({1, 1}))));
  optimizer.step();
  CHECK(net.body.weight.data()[0] == doctest::Approx(1 - 0.02));
  CHECK(net.head.weight.data()[0] == doctest::Approx(1 - 0.2));
  Linear stranger(1, 1);
  CHECK_THROWS_AS(optimizer.group(stranger, {.lr = 1}), UsageError);
}

TEST_CASE("clipping by norm and by value") {
  Two net;
  SGD optimizer(net, {.lr = 1});
  const auto gradients = [&] {
    Tape tape;
    backward(sum(net.a.value() * tensor({3, 0})) + sum(net.b.value() * real(4)));
  };
  gradients();
  CHECK(optimizer.clip_grad_norm(10) == doctest::Approx(5));
  CHECK(net.a.grad()(0) == 3);
  CHECK(optimizer.clip_grad_norm(1) == doctest::Approx(5));
  CHECK(net.a.grad()(0) == doctest::Approx(0.6));
  CHECK(net.b.grad()(0) == doctest::Approx(0.8));
  optimizer.zero_grad();
  gradients();
  optimizer.clip_grad_value(3.5);
  CHECK(net.a.grad()(0) == 3);
  CHECK(net.b.grad()(0) == 3.5);
}

TEST_CASE("a large parameter is clipped whole, and alike by any number of threads") {
  struct Net : Module {
    Parameter p{zeros({200'003})};
    Tensor forward(Tensor x) override { return x; }
    void visit(Visitor& v) override { v("p", p); }
  } net;
  SGD optimizer(net, {.lr = 1});
  Tensor slopes(net.p.shape());
  double squares = 0;
  for (int64_t i = 0; i < slopes.count(); ++i) {
    slopes(i) = std::cos(static_cast<real>(i));
    squares += std::pow(static_cast<double>(slopes(i)), 2);
  }
  const auto with_gradient = [&](int threads, auto clip) {
    const Threads used(threads);
    optimizer.zero_grad();
    Tape tape;
    backward(sum(net.p.value() * slopes));
    return clip();
  };
  const auto by_norm = [&] { return optimizer.clip_grad_norm(1); };
  const double norm = with_gradient(1, by_norm);
  CHECK(norm == doctest::Approx(std::sqrt(squares)).epsilon(1e-9));
  for (int64_t i = 0; i < slopes.count(); ++i)
    REQUIRE(net.p.grad()(i) == doctest::Approx(slopes(i) / norm).epsilon(1e-5));
  for (const int threads : {2, 3, 4}) CHECK(with_gradient(threads, by_norm) == norm);
  with_gradient(2, [&] { optimizer.clip_grad_value(0.5); });
  for (int64_t i = 0; i < slopes.count(); ++i)
    REQUIRE(net.p.grad()(i) == std::clamp(slopes(i), real(-0.5), real(0.5)));
}

TEST_CASE("options out of range are refused") {
  Two net;
  CHECK_THROWS_AS(SGD(net, {.lr = -1}), ValueError);
  CHECK_THROWS_AS(SGD(net, {.nesterov = true}), ValueError);
  CHECK_THROWS_AS(Adam(net, {.beta1 = 1}), ValueError);
  ReLU nothing;
  CHECK_THROWS_AS(SGD(nothing, {}), UsageError);
  CHECK_THROWS_AS(schedule::cosine(0.1, 0), ValueError);
}

TEST_CASE("an optimizer that refuses its options leaves the parameters to the one that has them") {
  Two net;
  SGD optimizer(net, {.lr = 0.5});
  Tape tape;
  backward(sum(net.a.value()) + sum(net.b.value()));
  CHECK_THROWS_AS(SGD(net, {.lr = -1}), ValueError);
  CHECK_THROWS_AS(SGD(net, {.momentum = -1}), ValueError);
  CHECK_THROWS_AS(SGD(net, {.dampening = NAN}), ValueError);
  CHECK_THROWS_AS(SGD(net, {.nesterov = true}), ValueError);
  CHECK_THROWS_AS(Adam(net, {.beta2 = 1}), ValueError);
  CHECK_THROWS_AS(AdamW(net, {.eps = -1}), ValueError);
  CHECK_NOTHROW(optimizer.step());
  CHECK(net.b.data()[0] == real(0.5));
}

TEST_CASE("gradient accumulation over two half batches equals one whole batch") {
  manual_seed(5);
  Linear halves(3, 2);
  Linear whole = halves;
  SGD optimizer_halves(halves, {.lr = 0.1}), optimizer_whole(whole, {.lr = 0.1});
  const Tensor x = randn({8, 3});
  for (int64_t half = 0; half < 2; ++half) {
    Tape tape;
    backward(sum(halves(slice(x, 0, 4 * half, 4 * half + 4))));
  }
  optimizer_halves.step();
  Tape tape;
  backward(sum(whole(x)));
  optimizer_whole.step();
  for (int64_t i = 0; i < 6; ++i)
    CHECK(halves.weight.data()[i] == doctest::Approx(whole.weight.data()[i]).epsilon(1e-5));
}

TEST_CASE("a group keeps the optimizer's weight decay, and its ratio to the learning rate it was made with") {
  Two net;
  SGD optimizer(net, {.lr = 0.1, .weight_decay = 0.5});
  optimizer.set_lr(0.2);
  struct Part : Module {
    Parameter& p;
    explicit Part(Parameter& parameter) : p(parameter) {}
    void visit(Visitor& v) override { v("p", p); }
  } part(net.a);
  optimizer.group(part, {.lr = 0.1});
  Tape tape;
  backward(sum(net.a.value()) + sum(net.b.value()));
  optimizer.step();
  CHECK(net.a.data()[0] == doctest::Approx(1 - 0.2 * 1.5));
  CHECK(net.b.data()[0] == doctest::Approx(1 - 0.2 * 1.5));
  SGD resting(net, {.lr = 0});
  CHECK_THROWS_AS(resting.group(part, {.lr = 0.1}), ValueError);
  CHECK_NOTHROW(resting.group(part, {.lr = 0}));
}

TEST_CASE("a group without a learning rate has the optimizer's") {
  Two net;
  SGD optimizer(net, {.lr = 0.1, .weight_decay = 0.5});
  optimizer.group(net, {.weight_decay = 0});
  optimizer.set_lr(0.2);
  Tape tape;
  backward(sum(net.a.value()));
  optimizer.step();
  CHECK(net.a.data()[0] == doctest::Approx(1 - 0.2));
}

TEST_CASE("rates and decays must be finite and at least 0, whenever they are given") {
  Two net;
  SGD optimizer(net, {.lr = 0.1});
  for (const double bad : {-1.0, double{NAN}, double{INFINITY}}) {
    CHECK_THROWS_AS(optimizer.set_lr(bad), ValueError);
    CHECK_THROWS_AS(optimizer.group(net, {.lr = bad}), ValueError);
    CHECK_THROWS_AS(optimizer.group(net, {.lr = 0.1, .weight_decay = bad}), ValueError);
    CHECK_THROWS_AS(SGD(net, {.lr = bad}), ValueError);
    CHECK_THROWS_AS(SGD(net, {.weight_decay = bad}), ValueError);
    CHECK_THROWS_AS(SGD(net, {.momentum = bad}), ValueError);
    CHECK_THROWS_AS(Adam(net, {.eps = bad}), ValueError);
    CHECK_THROWS_AS(schedule::constant(bad), ValueError);
    CHECK_THROWS_AS(schedule::cosine(0.1, 10, bad), ValueError);
    CHECK_THROWS_AS(schedule::one_cycle(bad, 10), ValueError);
    CHECK_THROWS_AS(schedule::step(0.1, 10, bad), ValueError);
  }
  CHECK(optimizer.lr() == 0.1);
  CHECK_NOTHROW(optimizer.set_lr(0));
}

TEST_CASE("a gradient that isn't finite is named by clipping, and left alone") {
  Two net;
  SGD optimizer(net, {.lr = 1});
  for (const real bad : {real(INFINITY), real(NAN)}) {
    {
      Tape tape;
      backward(sum(net.a.value()) + sum(net.b.value() * bad));
    }
    std::string text;
    try {
      optimizer.clip_grad_norm(1);
    } catch (const ValueError& error) {
      text = error.what();
    }
    CHECK(text.starts_with("clip_grad_norm: the gradient of 'b' has elements that aren't finite"));
    CHECK(net.a.grad()(0) == 1);
    optimizer.zero_grad();
  }
}

TEST_CASE("Ema: the first update copies, later ones move by 1 - decay, statistics too; counters are copied") {
  BatchNorm1d net(2), average = net;
  Ema ema(net, average, {.decay = 0.75});
  const auto set = [&](real value) {
    Parameter* weight = nullptr;
    for_each_parameter(net, [&](const std::string& name, Parameter& p) {
      if (name == "weight") weight = &p;
    });
    weight->assign(full({2}, value));
    for_each_buffer(net, [&](const std::string&, Buffer& b) { b.assign(full(b.shape(), value)); });
    for_each_counter(net, [&](const std::string&, Counter& c) { c.value = static_cast<int64_t>(value); });
    ema.update();
  };
  const auto expect = [&](real value, int64_t count) {
    for_each_parameter(average, [&](const std::string& name, Parameter& p) {
      if (name == "weight") CHECK(p.data()[1] == value);
    });
    for_each_buffer(average, [&](const std::string&, Buffer& b) { CHECK(b.data()[0] == value); });
    for_each_counter(average, [&](const std::string&, Counter& c) { CHECK(c.value == count); });
  };
  set(8);
  expect(8, 8);
  set(16);
  expect(10, 16);
  set(2);
  expect(8, 2);
}

TEST_CASE("Ema: the decay of the warm-up is (1 + t) / (10 + t) until that is more") {
  Linear net(1, 1), average = net;
  Ema ema(net, average, {.decay = 0.3, .warm_up = true});
  double expected = 0;
  for (int t = 0; t < 6; ++t) {
    const double value = t * t;
    for_each_parameter(
        net, [&](const std::string&, Parameter& p) { p.assign(full(p.shape(), static_cast<real>(value))); });
    ema.update();
    const double decay = t == 0 ? 0 : std::min(0.3, (1.0 + t) / (10 + t));
    expected = decay * expected + (1 - decay) * value;
    for_each_parameter(average, [&](const std::string&, Parameter& p) {
      CHECK(p.data()[0] == doctest::Approx(expected).epsilon(1e-6));
    });
  }
}

TEST_CASE("Ema: parameters tied in model and average move once per update") {
  struct Tied : Module {
    Parameter a{Tensor({1})}, b{Tensor({1})};
    Tied() { b.tie(a); }
    void visit(Visitor& v) override { v("a", a), v("b", b); }
  } net, average;
  constant(net.a, 1);
  Ema ema(net, average, {.decay = 0.75});
  ema.update();
  constant(net.a, 2);
  ema.update();
  CHECK(average.a.data()[0] == doctest::Approx(1.25));
}

TEST_CASE("Ema refuses an average that isn't a copy, and a decay of 1") {
  Linear net(2, 3), copy = net, other(2, 4);
  CHECK_THROWS_AS(Ema(net, other), UsageError);
  CHECK_THROWS_AS(Ema(net, net), UsageError);
  CHECK_THROWS_AS(Ema(net, copy, {.decay = 1}), ValueError);
}

TEST_CASE("parameters of no module have an optimizer through a list") {
  Parameter w(tensor({1, 2})), b(tensor({3}));
  ParameterList list({&w, &b});
  SGD sgd(list, {.lr = 1});
  Tape tape;
  tape.backward(sum(Tensor(w) * real(2)) + sum(Tensor(b)));
  sgd.step();
  CHECK(w.value()(0) == -1);
  CHECK(w.value()(1) == 0);
  CHECK(b.value()(0) == 2);
}
