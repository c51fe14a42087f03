// Blocks whose activations are recomputed in the backward pass.
#include <doctest/doctest.h>

#include <ballast/ballast.h>
#include <ballast/core/detail/sanitizer.h>

#include "peak_memory.h"
#include "same_bits.h"
#include "threads.h"

using namespace ballast;

namespace {

Sequential block(int64_t width) {
  return Sequential(Linear(width, width, {.bias = false}), BatchNorm1d(width), ReLU(), Dropout(0.3),
                    Linear(width, width), Tanh());
}

struct Result {
  std::vector<Tensor> parts;
  Tensor x_gradient;
};

// Three blocks, of which the first gets data and the third has its first weight in common with it.
template <class Make>
Result train(Make make) {
  manual_seed(3);
  auto first = make(block(6)), second = make(block(6)), third = make(block(6));
  Sequential net(std::move(first), std::move(second), std::move(third));
  std::vector<Parameter*> parameters;
  for_each_parameter(net, [&](const std::string&, Parameter& p) { parameters.push_back(&p); });
  parameters[parameters.size() - 5]->tie(*parameters[0]);
  AdamW optimizer(net, {.lr = 0.01});
  Result result;
  for (int step = 0; step < 4; ++step) {
    Tensor x = randn({8, 6});
    Tape tape;
    if (step == 3) tape.watch(x);
    tape.backward(mean(pow(net(dropout(x, 0.2)), 2)));
    if (step == 3) result.x_gradient = tape.grad(x);
    optimizer.step();
  }
  for (Parameter* p : parameters) result.parts.push_back(p->value().clone());
  for_each_buffer(net, [&](const std::string&, Buffer& b) { result.parts.push_back(b.value().clone()); });
  for_each_counter(net, [&](const std::string&, Counter& c) {
    result.parts.push_back(Tensor(static_cast<real>(c.value)));
  });
  return result;
}

#if !BALLAST_ADDRESS_SANITIZER && !BALLAST_THREAD_SANITIZER
template <class Make>
Tensor first_gradient(Make make) {
  constexpr int64_t width = 16, blocks = 10;
  manual_seed(5);
  Sequential net;
  for (int64_t i = 0; i < blocks; ++i) {
    Sequential layers;
    for (int64_t layer = 0; layer < 10; ++layer) layers.add(Linear(width, width)), layers.add(Tanh());
    net.add(make(std::move(layers)));
  }
  Tape tape;
  tape.backward(mean(net(randn({32768, width}))));
  Tensor gradient;
  for_each_parameter(net, [&](const std::string&, Parameter& p) {
    if (gradient.empty()) gradient = p.grad().clone();
  });
  return gradient;
}
#endif

}  // namespace

#if !BALLAST_ADDRESS_SANITIZER && !BALLAST_THREAD_SANITIZER  // which take memory of their own
TEST_CASE("a hundred recomputed layers need under a quarter of the memory, and give the same bits") {
  const Threads one(1);  // each thread has memory for packed matrices besides
  const double before = peak_memory();
  const Tensor little = first_gradient([](Sequential s) { return Recomputed(std::move(s)); });
  const double recomputed = peak_memory() - before;
  const Tensor much = first_gradient([](Sequential s) { return s; });
  const double kept = peak_memory() - before;
  CAPTURE(recomputed);
  CAPTURE(kept);
  CHECK(recomputed / kept < 0.25);
  CHECK(same_bits(little, much));
}
#endif

TEST_CASE("recomputed blocks train to the same bits: dropout, running statistics, tied parameters") {
  const Result plain = train([](Sequential s) { return Sequential(std::move(s), Flatten()); });
  const Result again = train([](Sequential s) { return Recomputed(Sequential(std::move(s), Flatten())); });
  REQUIRE(plain.parts.size() == again.parts.size());
  for (size_t i = 0; i < plain.parts.size(); ++i) CHECK(same_bits(plain.parts[i], again.parts[i]));
  CHECK(same_bits(plain.x_gradient, again.x_gradient));
}

TEST_CASE("a recomputed block may be constant, nested, and called without a tape") {
  Recomputed net(Sequential(Recomputed(Sequential(Linear(2, 2), Tanh())), Linear(2, 1)));
  const Tensor x = tensor({{1, 2}});
  const Tensor evaluated = net(x);
  Tape tape;
  const Tensor y = net(x);
  CHECK(same_bits(y, evaluated));
  tape.backward(sum(y));
  for_each_parameter(net, [](const std::string&, Parameter& p) { CHECK_FALSE(p.grad().empty()); });
  for_each_parameter(net, [](const std::string&, Parameter& p) { p.set_trainable(false); });
  Tape second;
  CHECK_FALSE(net(x).node());
}

TEST_CASE("tools know a recomputed layer as the layer itself") {
  Sequential plain(Linear(4, 3), Tanh()), again(Recomputed(Linear(4, 3)), Recomputed(Tanh()));
  const ModelSummary expected = summarize(plain, {2, 4}), found = summarize(again, {2, 4});
  REQUIRE(found.multiply_adds);
  CHECK(*found.multiply_adds == *expected.multiply_adds);
  CHECK(found.parameters == expected.parameters);
}
