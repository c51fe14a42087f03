// The promises about tapes and gradients: the tape is the mode, and what a gradient is at every moment.
#include <doctest/doctest.h>

#include <memory>
#include <thread>

#include <ballast/ballast.h>
#include <ballast/core/gradcheck.h>

#include "same_bits.h"

using namespace ballast;

namespace {

// Linear, batch norm and dropout: a layer of each kind that behaves differently in training.
struct Net : Module {
  Linear body{4, 8, {.bias = false}};
  BatchNorm1d norm{8};
  Dropout drop{0.5};
  Linear head{8, 2};
  Tensor forward(Tensor x) override { return head(drop(relu(norm(body(std::move(x)))))); }
  void visit(Visitor& v) override { v("body", body), v("norm", norm), v("drop", drop), v("head", head); }
};

Tensor input(uint64_t seed = 1) {
  manual_seed(seed);
  return randn({16, 4});
}

struct Snapshot {
  explicit Snapshot(Module& module) {
    for_each_parameter(module,
                       [&](const std::string&, Parameter& p) { tensors.push_back(p.value().clone()); });
    for_each_buffer(module, [&](const std::string&, Buffer& b) { tensors.push_back(b.value().clone()); });
  }
  bool operator==(const Snapshot& other) const {
    return std::equal(tensors.begin(), tensors.end(), other.tensors.begin(), other.tensors.end(), same_bits);
  }
  std::vector<Tensor> tensors;
};

}  // namespace

TEST_CASE("without a tape layers evaluate, repeat themselves and write nothing") {
  Net net;
  const Tensor x = input();
  const Snapshot before(net);
  const Tensor y = net(x);
  CHECK(same_bits(y, net(x)));
  CHECK(Snapshot(net) == before);
  CHECK(net.norm.num_batches_tracked.value == 0);
}

TEST_CASE("a tape trains: batch statistics, dropout, running statistics") {
  Net net;
  const Tensor x = input();
  const Tensor evaluated = net(x);
  const Snapshot before(net);
  Tape tape;
  const Tensor first = net(x), second = net(x);
  CHECK_FALSE(same_bits(first, evaluated));
  CHECK_FALSE(same_bits(first, second));  // dropout's mask differs from call to call
  CHECK_FALSE(Snapshot(net) == before);
  CHECK(net.norm.num_batches_tracked.value == 2);
}

TEST_CASE("Mode::eval records through a network that evaluates") {
  Net net;
  const Tensor x = input();
  const Tensor evaluated = net(x);
  const Snapshot before(net);
  Tape tape(Mode::eval);
  const Tensor y = net(x);
  CHECK(same_bits(y, evaluated));
  tape.backward(sum(y));
  CHECK(Snapshot(net) == before);
  CHECK_FALSE(net.body.weight.grad().empty());
}

TEST_CASE("backward ends recording and training mode, unless told Keep") {
  Net net;
  const Tensor x = input();
  Tape tape;
  const Tensor loss = sum(net(x));
  tape.backward(loss, Keep{});
  CHECK_FALSE(same_bits(net(x), net(x)));  // still training
  tape.backward(loss);
  const size_t recorded = tape.size();
  CHECK(same_bits(net(x), net(x)));
  CHECK(tape.size() == recorded);
  CHECK_THROWS_AS(tape.backward(loss), UsageError);
}

TEST_CASE("evaluating inside a training step changes no bit of the training") {
  const auto train = [](bool evaluate_in_between) {
    const Tensor x = input(3);
    manual_seed(7);
    Net net;
    AdamW optimizer(net, {.lr = 0.01});
    for (int step = 0; step < 5; ++step) {
      Tape tape;
      const Tensor y = net(x);
      if (evaluate_in_between) predict(net, x);
      Tensor loss = sum(y * y);
      if (evaluate_in_between) {
        const EvalScope evaluating;
        net(x);
      }
      tape.backward(loss);
      optimizer.step();
    }
    return Snapshot(net);
  };
  CHECK(train(true) == train(false));
}

TEST_CASE("a statistics scope updates running statistics and nothing else") {
  Net net;
  const Tensor x = input();
  const StatisticsScope scope;
  const Tensor y = net(x);
  CHECK(net.norm.num_batches_tracked.value == 1);
  CHECK(same_bits(y, net(x)));  // no dropout
}

TEST_CASE("tapes nest, and a tensor of another or a dead tape is an error") {
  Net net;
  const Tensor x = input();
  Tape outer;
  Tensor a = net(x);
  {
    Tape inner;
    CHECK_THROWS_AS(relu(a), UsageError);
    CHECK_NOTHROW(relu(a.detach()));
    CHECK_THROWS_AS(outer.backward(sum(a.detach())), UsageError);  // inner is still recording
  }
}

TEST_CASE("an outer tape goes on after an inner one") {
  Parameter w(tensor({2}));
  Tape outer;
  const Tensor y = w.value() * real(3);
  {
    Tape inner;
    inner.backward(sum(w.value() * real(5)));
  }
  outer.backward(sum(y));
  CHECK(w.grad().item() == 8);
  Tensor dead = y;
  Tape next;
  CHECK_THROWS_AS(relu(dead), UsageError);
}

TEST_CASE("threads have tapes of their own") {
  Tape tape;
  Parameter w(tensor({2}));
  std::thread([&] {
    const Tensor y = relu(Tensor(w));
    CHECK(tape.size() == 0);
  }).join();
  CHECK(relu(Tensor(w)).node());
}

TEST_CASE("dropout's mask is a function of seed, tape number and call") {
  const Tensor x = ones({1000});
  const auto mask = [&](uint64_t seed, uint64_t tape_number, int call) {
    manual_seed(seed);
    random_state().tapes = tape_number;
    Tape tape;
    Tensor y;
    for (int i = 0; i <= call; ++i) y = dropout(x, 0.5);
    return y;
  };
  CHECK(same_bits(mask(1, 2, 3), mask(1, 2, 3)));
  CHECK_FALSE(same_bits(mask(1, 2, 3), mask(2, 2, 3)));
  CHECK_FALSE(same_bits(mask(1, 2, 3), mask(1, 3, 3)));
  CHECK_FALSE(same_bits(mask(1, 2, 3), mask(1, 2, 2)));
}

TEST_CASE("three switches of freezing: parameters, statistics, mode") {
  const Tensor x = input();
  SUBCASE("parameters") {
    Net net;
    net.body.weight.set_trainable(false);
    Tape tape;
    tape.backward(sum(net(x)));
    CHECK(net.body.weight.grad().empty());
    CHECK_FALSE(net.norm.weight.grad().empty());
  }
  SUBCASE("statistics") {
    Net net;
    net.norm.frozen.statistics = true;
    const Snapshot before(net);
    Tape tape;
    const Tensor y = net(x);
    CHECK(Snapshot(net) == before);
    CHECK_FALSE(same_bits(y, predict(net, x)));  // the batch's statistics are still used
  }
  SUBCASE("mode, of a whole subtree") {
    Net net;
    net.frozen.mode = true;
    Tape tape;
    const Tensor y = net(x);
    CHECK(same_bits(y, predict(net, x)));
    tape.backward(sum(y));
    CHECK_FALSE(net.body.weight.grad().empty());
  }
}

TEST_CASE("gradients accumulate over tapes until step or zero_grad") {
  Parameter w(tensor({1, 2}));
  const auto run = [&](real factor) {
    Tape tape;
    tape.backward(sum(w.value() * factor));
  };
  CHECK(w.grad().empty());
  run(2);
  run(3);
  CHECK(w.grad()(0) == 5);
  w.zero_grad();
  CHECK(w.grad().empty());
  run(7);
  CHECK(w.grad()(1) == 7);
}

TEST_CASE("two losses through one body give the sum of their gradients") {
  Linear body(3, 3);
  const Tensor x = randn({5, 3});
  Tensor separate;
  {
    Tape tape;
    tape.backward(sum(body(x)));
  }
  {
    Tape tape;
    tape.backward(mean(body(x) * body(x)));
  }
  separate = body.weight.grad().clone();
  zero_grad(body);
  Tape tape;
  const Tensor y = body(x);
  tape.backward(sum(y), Keep{});
  tape.backward(mean(y * y));
  for (int64_t i = 0; i < 9; ++i)
    CHECK(body.weight.grad().data()[i] == doctest::Approx(separate.data()[i]).epsilon(1e-5));
}

TEST_CASE("an exception in mid-step leaves earlier gradients as they were") {
  Parameter w(tensor({1}));
  {
    Tape tape;
    tape.backward(sum(w.value() * real(2)));
  }
  try {
    Tape tape;
    Tensor loss = sum(w.value() * real(100));
    reshape(loss, Shape{7});
    FAIL("reshape must throw");
  } catch (const ShapeError&) {
  }
  CHECK(w.grad().item() == 2);
  const Tensor y = relu(Tensor(w));  // nothing records any more
  CHECK_FALSE(y.node());
}

TEST_CASE("an exception inside backward drops the gradients it had reached") {
  Parameter w(tensor({1}));
  Tape tape;
  const Tensor y = w.value() * real(2);
  const NodeId in = y.node();
  Tensor z = record("broken", y.clone(), {in}, [](Tensor, Grads&) { throw ValueError("broken backward"); });
  const Tensor loss = z + w.value();
  CHECK_THROWS_AS(tape.backward(loss), ValueError);
  CHECK(w.grad().empty());
  CHECK_FALSE(relu(Tensor(w)).node());
}

TEST_CASE("gradients of inputs: watch, grad, detach") {
  Tensor x = tensor({2, 3});
  Parameter w(tensor({5, 7}));
  Tape tape;
  tape.watch(x);
  Tensor product = x * w.value();
  tape.watch(product);
  const Tensor loss = sum(product * product.detach());
  tape.backward(loss);
  CHECK(tape.grad(x)(0) == 10 * 5);
  CHECK(tape.grad(product)(1) == 21);
  CHECK_THROWS_AS(tape.grad(loss), UsageError);
  Tensor unwatched = tensor({1});
  CHECK_THROWS_AS(tape.watch(unwatched), UsageError);  // the tape has ended
}

TEST_CASE("a tensor made from a parameter before the tape remembers it") {
  Parameter w(tensor({1, 2, 3, 4}));
  const Tensor matrix = reshape(w, {2, 2});
  const Tensor constant = reshape(w.value().detach(), {2, 2});
  Tape tape;
  tape.backward(sum(matrix * constant));
  CHECK(w.grad()(3) == 4);
}

TEST_CASE("a gradient of another shape than its input is an error, not a write beyond the end") {
  Parameter p(Tensor({2}));
  // Like x + p, but without the sum of p's gradient over the rows, and a wrong gradient of x on demand.
  const auto run = [&](const Shape& of_x, bool write) {
    Tape tape;
    Tensor x = randn({4, 2});
    tape.watch(x);
    const NodeId in_x = x.node(), in_p = p.value().node();
    const Tensor y = record("own_add", x.clone(), {in_x, in_p}, [=](const Tensor& dy, Grads& grads) {
      grads.add(in_x, reshape(dy, of_x));
      if (write) {
        grads.write(in_p, dy.shape(), [](real*, real) {});
      } else {
        grads.add(in_p, dy);
      }
    });
    tape.backward(y, ones(y.shape()));
  };
  const char* message = "backward of 'own_add': a gradient of shape (4, 2) for an input of shape (2); ";
  CHECK_THROWS_WITH_AS(run({4, 2}, false), doctest::Contains(message), ShapeError);
  CHECK_THROWS_WITH_AS(run({4, 2}, true), doctest::Contains(message), ShapeError);
  CHECK_THROWS_WITH_AS(run({2, 4}, true), doctest::Contains("of shape (2, 4) for an input of shape (4, 2)"),
                       ShapeError);
}

TEST_CASE("a graph 100,000 operations deep runs backward") {
  Parameter w(tensor({1}));
  Tape tape;
  Tensor y = w;
  for (int i = 0; i < 100000; ++i) y = y + real(0);
  tape.backward(y);
  CHECK(w.grad().item() == 1);
}

TEST_CASE("a deep graph that dies without backward frees itself") {
  Parameter w(tensor({1}));
  {
    Tape tape;
    Tensor y = w;
    for (int i = 0; i < 100000; ++i) y = relu(y + real(1));
  }
  CHECK(w.grad().empty());
}

TEST_CASE("the loss must be one element, of this tape, and depend on something") {
  Parameter w(tensor({1, 2}));
  Tape tape;
  CHECK_THROWS_AS(tape.backward(w.value() * real(2)), UsageError);
  CHECK_THROWS_AS(tape.backward(tensor({1})), UsageError);
  CHECK_THROWS_AS(tape.backward(w.value() * real(2), ones({3})), ShapeError);
  tape.backward(w.value() * real(2), tensor({1, 10}));
  CHECK(w.grad()(1) == 20);
}

TEST_CASE("an operation on no tensor says so") {
  CHECK_THROWS_AS(relu(Tensor()), UsageError);
  CHECK_THROWS_AS(tensor({1}) + Tensor(), UsageError);
}

TEST_CASE("tapes and scopes may end in any order, on the heap too") {
  const Parameter w(tensor({2}));
  const auto records = [&] { return bool(relu(w.value()).node()); };
  SUBCASE("the next tape is made before the last one dies") {
    Linear net(4, 2);
    std::unique_ptr<Tape> tape;
    for (int step = 0; step < 4; ++step) {
      tape = std::make_unique<Tape>();
      CHECK_NOTHROW(tape->backward(sum(net(ones({3, 4})))));
    }
  }
  SUBCASE("the older of two tapes dies first") {
    auto older = std::make_unique<Tape>(Mode::eval), younger = std::make_unique<Tape>();
    older.reset();
    CHECK(records());
    CHECK(Scope::dropout());
    younger->backward(w.value() * real(3));
    CHECK_FALSE(records());
  }
  SUBCASE("a scope in between dies first") {
    const Tape outer;
    auto evaluating = std::make_unique<EvalScope>();
    auto inner = std::make_unique<StatisticsScope>();
    evaluating.reset();
    CHECK_FALSE(records());
    CHECK(Scope::batch_statistics());
    inner.reset();
    CHECK(records());
  }
  SUBCASE("a tape dies in a scope that records as outside") {
    auto tape = std::make_unique<Tape>();
    const FrozenModeScope mode;
    const FrozenStatisticsScope statistics;
    CHECK(records());
    tape.reset();
    CHECK_FALSE(records());
    CHECK_FALSE(Scope::running_statistics());
  }
}

TEST_CASE("the gradients of a step that an exception ends are no part of the next one") {
  Parameter w(tensor({1}));
  const auto step = [&](real factor, bool fails) {
    Tape tape;
    tape.backward(w.value() * factor);
    if (fails) throw ValueError("after backward");
  };
  CHECK_THROWS_AS(step(100, true), ValueError);
  CHECK(w.grad().empty());
  step(2, false);
  CHECK(w.grad().item() == 2);
  Tape tape;
  tape.backward(w.value() * real(3));
  CHECK_THROWS_AS(throw ValueError("caught before the tape ends"), ValueError);
  CHECK(w.grad().item() == 5);
}

TEST_CASE("an exception in a frozen module's call leaves the modes as they were") {
  Sequential net(Linear(4, 3), Linear(5, 2));
  net.frozen = {.statistics = true, .mode = true};
  const Tape tape;
  CHECK_THROWS_AS(net(ones({1, 4})), ShapeError);
  CHECK(Scope::batch_statistics());
  CHECK(Scope::running_statistics());
  CHECK(Scope::dropout());
  CHECK_THROWS_WITH_AS(linear(ones({2}), ones({3, 4}), {}), doctest::Contains("x is (2)"), ShapeError);
}

TEST_CASE("gradients are compared with differences in double alone") {
  const auto check = [] { gradient_error([](Tensor x) { return x * x; }, ones({2})); };
  if constexpr (sizeof(real) == sizeof(double)) {
    CHECK_NOTHROW(check());
  } else {
    CHECK_THROWS_AS(check(), ValueError);
  }
}
