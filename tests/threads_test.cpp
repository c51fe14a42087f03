// What threads may share, as core/tape.h says: run under the thread sanitizer too.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <mutex>
#include <thread>

#include <ballast/ballast.h>

#include "temp_folder.h"

using namespace ballast;

namespace {

void on_threads(int count, const std::function<void(int)>& f) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back(f, i);
  for (std::thread& thread : threads) thread.join();
}

void on_thread(const std::function<void()>& f) { std::thread(f).join(); }

std::string message(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::equal(a.values().begin(), a.values().end(), b.values().begin());
}

}  // namespace

TEST_CASE("many threads evaluate one model") {
  Sequential net(Linear(4, 8), BatchNorm1d(8), ReLU(), Dropout(real(0.5)), Linear(8, 2));
  const Tensor x = randn({16, 4}), expected = predict(net, x);
  std::array<bool, 4> right{};
  on_threads(4, [&](int thread) {
    bool all = true;
    for (int i = 0; i < 20; ++i) all = all && same(predict(net, x), expected);
    right[static_cast<size_t>(thread)] = all;
  });
  CHECK(std::all_of(right.begin(), right.end(), [](bool r) { return r; }));
}

TEST_CASE("threads take gradients of inputs through one frozen model") {
  Sequential net(Linear(4, 8), BatchNorm1d(8), ReLU(), Linear(8, 2));
  freeze(net, "*");
  const auto gradient = [&](real factor) {
    Tensor x = full({3, 4}, factor);
    Tape tape(Mode::eval);
    tape.watch(x);
    tape.backward(sum(net(x)));
    return tape.grad(x).clone();
  };
  std::array<Tensor, 4> found, expected;
  for (size_t i = 0; i < 4; ++i) expected[i] = gradient(static_cast<real>(i));
  on_threads(4, [&](int i) { found[static_cast<size_t>(i)] = gradient(static_cast<real>(i)); });
  for (size_t i = 0; i < 4; ++i) CHECK(same(found[i], expected[i]));
}

TEST_CASE("tapes of several threads record through one model, and run backward in turn") {
  Linear net(4, 2);
  std::mutex turn;
  on_threads(4, [&](int) {
    for (int i = 0; i < 10; ++i) {
      Tape tape(Mode::eval);
      const Tensor y = net(ones({1, 4}));
      const std::scoped_lock lock(turn);
      tape.backward(sum(y));
    }
  });
  CHECK(net.bias.grad()(0) == 40);
  CHECK(net.weight.grad()(1, 3) == 40);
}

TEST_CASE("a second backward through the same parameters at the same time is refused") {
  Parameter w(tensor({1}));
  const auto backward = [&] {
    Tape tape;
    tape.backward(w.value() * real(3));
  };
  std::string other;
  {
    Tape tape;
    const Tensor y = w.value() * real(2);
    const NodeId in = y.node();
    // Its backward function runs when the gradient of w has been reached.
    const Tensor z = record("pause", y.clone(), {in}, [&](const Tensor& dy, Grads& grads) {
      on_thread([&] { other = message(backward); });
      grads.add(in, dy);
    });
    tape.backward(z + w.value());
  }
  CHECK(other.starts_with("backward: another thread runs backward through a parameter of shape (1)"));
  CHECK(w.grad().item() == 3);
  on_thread(backward);
  CHECK(w.grad().item() == 6);
}

TEST_CASE("one thread saves a copy while another trains the model") {
  const TempFolder folder;
  Sequential net(Linear(4, 8), BatchNorm1d(8), ReLU(), Linear(8, 2));
  SGD optimizer(net, {.lr = 0.1});
  const auto train = [&] {
    Tape tape;
    tape.backward(mean(net(randn({8, 4}))));
    optimizer.step();
  };
  train();
  const Sequential snapshot = net;
  std::thread saver([&] {
    for (int i = 0; i < 5; ++i) save(folder / "snapshot.safetensors", snapshot);
  });
  for (int i = 0; i < 20; ++i) train();
  saver.join();
  Sequential loaded(Linear(4, 8), BatchNorm1d(8), ReLU(), Linear(8, 2));
  load(folder / "snapshot.safetensors", loaded);
  const Tensor x = randn({2, 4});
  CHECK_FALSE(same(predict(loaded, x), predict(net, x)));
  net = snapshot;
  CHECK(same(predict(loaded, x), predict(net, x)));
}

TEST_CASE("a tape may be destroyed on another thread, before or after the end of its own") {
  const Parameter w(tensor({2}));
  const auto records = [&] { return bool(relu(w.value()).node()); };
  auto tape = std::make_unique<Tape>();
  CHECK(records());
  on_thread([&] { tape.reset(); });
  CHECK_FALSE(records());
  on_thread([&] { tape = std::make_unique<Tape>(); });
  CHECK_FALSE(records());
  tape.reset();
  const Tape next;
  CHECK(records());
}

TEST_CASE("a tape runs backward on its own thread only") {
  const Parameter w(tensor({2}));
  Tape tape;
  const Tensor y = w.value() * real(3);
  std::string other;
  on_thread([&] { other = message([&] { tape.backward(y); }); });
  CHECK(other.find("another thread than the one that made the tape") != other.npos);
  CHECK_NOTHROW(tape.backward(y));
}
