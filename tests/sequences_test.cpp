// RecurrentLayer layers, attention and embeddings; golden_layers_test.cpp compares them with PyTorch.
#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <string>

#include <ballast/ballast.h>
#include <ballast/core/detail/sanitizer.h>

#include "peak_memory.h"
#include "same_bits.h"
#include "thrown.h"

using namespace ballast;

namespace {

Tensor sample(const Tensor& x, int64_t n, int64_t length) {
  return slice(slice(x, 0, n, n + 1), 1, 0, length);
}

// 1 where a position is behind the end of its sample.
Tensor padding_of(const Labels& lengths, int64_t length) {
  Tensor padding = zeros({lengths.size(), length});
  for (int64_t n = 0; n < lengths.size(); ++n)
    for (int64_t position = lengths[n]; position < length; ++position) padding(n, position) = 1;
  return padding;
}

}  // namespace

#if !BALLAST_ADDRESS_SANITIZER && !BALLAST_THREAD_SANITIZER  // which take memory of their own
TEST_CASE("attention needs memory that grows with the length, not with its square") {
  manual_seed(1);
  const int64_t length = 8192;  // whose square is 256 MiB of float
  Tensor x = randn({1, length, 24});
  const double before = peak_memory();
  Tape tape;
  tape.watch(x);
  tape.backward(sum(self_attention(x)));
  CHECK(peak_memory() - before < 100);
  CHECK(tape.grad(x).shape() == x.shape());
}
#endif

TEST_CASE("a sequence in a padded batch gets the bits it gets alone") {
  manual_seed(2);
  const Labels lengths{5, 9, 1, 7, 9, 3, 2, 8, 4};
  const Tensor x = randn({9, 9, 20});
  const auto check = [&](RecurrentLayer&& layer) {
    CAPTURE(layer.describe());
    const auto [y, last] = layer(x, lengths);
    for (int64_t n = 0; n < lengths.size(); ++n) {
      const auto [alone, own_last] = layer(sample(x, n, lengths[n]), Labels{});
      CHECK(same_bits(sample(y, n, lengths[n]), alone));
      CHECK(same_bits(slice(last.h, 1, n, n + 1), own_last.h));
      CHECK(sum(abs(slice(slice(y, 0, n, n + 1), 1, lengths[n], 9))).item() == 0);
    }
  };
  check(RNN(20, 17));
  check(GRU(20, 17, {.layers = 2, .bidirectional = true}));
  check(LSTM(20, 17, {.layers = 2, .bidirectional = true}));
  check(LSTM(20, 17, {.bidirectional = true, .layer_norm = true}));

  MultiheadAttention attention(20, 4);
  TransformerEncoderLayer encoder(20, 2, {.feedforward = 30});
  const Tensor padding = padding_of(lengths, 9);
  const Tensor attended = attention(x, padding), encoded = encoder(x, padding);
  for (int64_t n = 0; n < lengths.size(); ++n) {
    if (lengths[n] == 1) continue;  // a single row, which a Linear layer multiplies as a vector
    CHECK(same_bits(sample(attended, n, lengths[n]), attention(sample(x, n, lengths[n]))));
    CHECK(same_bits(sample(encoded, n, lengths[n]), encoder(sample(x, n, lengths[n]))));
  }
}

TEST_CASE("a long short-term memory with layer normalization is what Ba et al. write") {
  manual_seed(3);
  LSTM layer(3, 4, {.layer_norm = true});
  for_each_parameter(layer, [](const std::string&, Parameter& p) { p.assign(randn(p.shape())); });
  std::vector<Tensor> p;
  std::vector<std::string> names;
  for_each_parameter(layer,
                     [&](const std::string& name, Parameter& q) { names.push_back(name), p.push_back(q); });
  REQUIRE(names == std::vector<std::string>{"weight_ih_l0", "weight_hh_l0", "norm_ih_l0.weight",
                                            "norm_ih_l0.bias", "norm_hh_l0.weight", "norm_hh_l0.bias",
                                            "norm_c_l0.weight", "norm_c_l0.bias"});
  const Tensor x = randn({2, 5, 3});
  Tensor h = zeros({2, 4}), c = h;
  std::vector<Tensor> expected;
  for (int64_t t = 0; t < 5; ++t) {
    const Tensor x_t = reshape(slice(x, 1, t, t + 1), {2, 3});
    const Tensor gates =
        layer_norm(linear(x_t, p[0]), 1, p[2], p[3]) + layer_norm(linear(h, p[1]), 1, p[4], p[5]);
    const std::vector<Tensor> g = split(gates, 4, 1);
    c = sigmoid(g[1]) * c + sigmoid(g[0]) * tanh(g[2]);
    h = sigmoid(g[3]) * tanh(layer_norm(c, 1, p[6], p[7]));
    expected.push_back(h);
  }
  CHECK(max(abs(layer(x) - stack(expected, 1))).item() < 1e-5);
}

TEST_CASE("recurrent layers and attention train to the same bits on 1 to 4 threads") {
  const int before = num_threads();
  const auto trained = [](int threads) {
    set_num_threads(threads);
    manual_seed(4);
    Sequential net(LSTM(24, 40, {.bidirectional = true}), Linear(80, 40), PositionEmbedding(130, 40),
                   TransformerEncoderLayer(40, 4, {.feedforward = 64}), GRU(40, 10));
    AdamW optimizer(net, {.lr = 1e-3});
    for (int step = 0; step < 3; ++step) {
      const Tensor x = randn({6, 130, 24});
      Tape tape;
      tape.backward(mean(pow(net(x), 2)));
      optimizer.step();
    }
    std::vector<Tensor> result;
    for_each_parameter(net, [&](const std::string&, Parameter& p) { result.push_back(p.value().clone()); });
    return result;
  };
  const std::vector<Tensor> one = trained(1);
  for (const int threads : {2, 3, 4}) {
    const std::vector<Tensor> many = trained(threads);
    CHECK(std::equal(one.begin(), one.end(), many.begin(), many.end(), same_bits));
  }
  set_num_threads(before);
}

TEST_CASE("the states of a sequence are those of its steps, and so are their gradients") {
  manual_seed(8);
  const int64_t length = 3, samples = 20, units = 5;  // samples: several tasks, the last one smaller
  for (const RecurrentCell cell : {RecurrentCell::tanh, RecurrentCell::gru, RecurrentCell::lstm}) {
    const bool lstm = cell == RecurrentCell::lstm;
    const int64_t gates = (lstm ? 4 : cell == RecurrentCell::gru ? 3 : 1) * units;
    for (const bool reverse : {false, true}) {
      CAPTURE(gates);
      CAPTURE(reverse);
      const auto run = [&](bool whole) {
        manual_seed(9);
        std::vector<Tensor> in{randn({length, samples, gates}), randn({gates, units}), randn({gates}),
                               randn({samples, units}), lstm ? randn({samples, units}) : Tensor()};
        Tape tape;
        for (Tensor& x : in)
          if (!x.empty()) tape.watch(x);
        Tensor result;
        if (whole) {
          result = recurrent(cell, in[0], in[1], in[2], in[3], in[4], {.reverse = reverse});
        } else {  // L sequences of one position
          std::vector<Tensor> states{reshape(in[3], {1, samples, units})};
          Tensor h = in[3], c = in[4];
          for (int64_t step = 0; step < length; ++step) {
            const int64_t p = reverse ? length - 1 - step : step;
            const Tensor y = recurrent(cell, slice(in[0], 0, p, p + 1), in[1], in[2], h, c);
            states.insert(reverse ? states.begin() : states.end(), slice(y, 0, 1, 2));
            h = reshape(slice(y, 0, 1, 2), {samples, units});
            if (lstm) c = reshape(slice(y, 0, 2, 3), {samples, units});
          }
          if (lstm) states.push_back(reshape(c, {1, samples, units}));
          result = concat(states, 0);
        }
        const Tensor dy = randn(result.shape());
        tape.backward(result, dy, Keep());
        tape.backward(result, dy);  // what the first one kept is intact
        std::vector<Tensor> all{result};
        for (const Tensor& x : in)
          if (!x.empty()) all.push_back(tape.grad(x));
        return all;
      };
      const std::vector<Tensor> whole = run(true), steps = run(false);
      REQUIRE(whole.size() == steps.size());
      CHECK(same_bits(whole[0], steps[0]));
      for (size_t i = 1; i < whole.size(); ++i) CHECK(max(abs(whole[i] - steps[i])).item() < 1e-4);
    }
  }
}

TEST_CASE("a state may be handed from one part of a sequence to the next") {
  manual_seed(5);
  LSTM lstm(3, 4, {.layers = 2});
  const Tensor x = randn({2, 6, 3});
  const auto whole = lstm(x, Labels{});
  const auto first = lstm(slice(x, 1, 0, 4), Labels{}),
             second = lstm(slice(x, 1, 4, 6), Labels{}, first.last);
  CHECK(same_bits(concat({first.y, second.y}, 1), whole.y));
  CHECK(same_bits(second.last.c, whole.last.c));
}

TEST_CASE("a query that sees no key gives 0, and NaN goes through") {
  manual_seed(6);
  Tensor x = randn({2, 3, 4});
  const Tensor all = ones({2, 3});
  CHECK(same_bits(attention(x, x, x, {.key_padding = all}), zeros({2, 3, 4})));
  x(0, 1, 0) = std::numeric_limits<real>::quiet_NaN();
  CHECK_FALSE(all_finite(attention(x, x, x)));
}

TEST_CASE("an embedding takes words as labels and as numbers, and names one that isn't there") {
  manual_seed(7);
  Embedding table(5, 3);
  const Tensor of_labels = table(Labels{4, 0, 4});
  CHECK(same_bits(of_labels, table(tensor({4, 0, 4}))));
  CHECK(of_labels(0, 2) == table.weight.value()(4, 2));
  CHECK(table(tensor({{1, 2}, {3, 4}})).shape() == Shape{2, 2, 3});
  CHECK(thrown<ValueError>([&] {
          table(tensor({1, 5}));
        }).find("5 at index 1 is not one of the words 0 ... 4") != std::string::npos);
  CHECK(thrown<ValueError>([&] { table(tensor({real(0.5)})); }).find("0.5 at index 0") != std::string::npos);
  Tape tape;
  tape.backward(sum(table(Labels{4, 0, 4})));
  CHECK(same_bits(table.weight.grad(), tensor({{1, 1, 1}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}, {2, 2, 2}})));
}

TEST_CASE("errors of recurrent layers and attention say what was given and what to give") {
  const auto has = [](const std::string& text, const char* part) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  LSTM lstm(3, 4);
  const Tensor x = zeros({2, 5, 3});
  has(thrown<ShapeError>([&] { lstm(zeros({2, 3})); }), "x is (2, 3); it must be (N, L, 3)");
  has(thrown<ShapeError>([&] { lstm(x, Labels{1}); }), "1 lengths for 2 samples");
  has(thrown<ValueError>([&] { lstm(x, Labels{1, 6}); }), "a length of 6; it must be from 1 to 5");
  has(thrown<ShapeError>([&] { lstm(x, Labels{}, {.h = zeros({1, 2, 3})}); }), "it must be (1, 2, 4)");
  has(thrown<ValueError>([] { GRU(3, 0); }), "GRU 3 -> 0 with 1 layers: all must be at least 1");
  has(thrown<ValueError>([] { MultiheadAttention(6, 4); }), "4 heads; they must divide the 6");
  has(thrown<ShapeError>([&] { attention(x, x, zeros({2, 4, 3})); }), "v (2, 4, 3)");
  has(thrown<ShapeError>([&] {
        attention(x, x, x, {.key_padding = zeros({2, 3})});
      }),
      "key_padding is (2, 3); it must be (2, 5)");
}
