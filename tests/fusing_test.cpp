// What `Then` asks for gives the same fused and one after the other.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "models.h"

using namespace ballast;

namespace {

struct Outcome {
  Tensor y, dx;
  std::vector<Tensor> gradients;
  std::vector<Tensor> buffers;
  size_t recorded;
};

Outcome run(Fusible& layer, const Then& then, Tensor x, Mode mode) {
  Tape tape(mode);
  tape.watch(x);
  zero_grad(layer);
  Outcome outcome;
  outcome.y = layer(x, then);
  outcome.recorded = tape.size();
  Tensor dy(outcome.y.shape());
  for (int64_t i = 0; i < dy.count(); ++i) dy.data()[i] = static_cast<real>((i * 7) % 11 - 5);
  tape.backward(outcome.y, dy);
  outcome.dx = tape.grad(x);
  for_each_parameter(
      layer, [&](const std::string&, Parameter& p) { outcome.gradients.push_back(p.grad().clone()); });
  for_each_buffer(layer,
                  [&](const std::string&, Buffer& b) { outcome.buffers.push_back(b.value().clone()); });
  return outcome;
}

void check_same(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  double largest = 0, worst = 0;
  for (int64_t i = 0; i < a.count(); ++i) {
    largest = std::max(largest, std::abs(double{b.data()[i]}));
    worst = std::max(worst, std::abs(double{a.data()[i]} - b.data()[i]));
  }
  CHECK(worst <= (sizeof(real) == 4 ? 1e-5 : 1e-13) * (1 + largest));
}

void randomize(Module& layer) {
  for_each_parameter(layer, [](const std::string&, Parameter& p) { p.assign(randn(p.shape())); });
}

template <class Layer>
void check_fused(Layer layer, const Tensor& x, const Then& then) {
  CAPTURE(layer.describe());
  CAPTURE(x.shape());
  CAPTURE(then.max_pool);
  for (const Mode mode : {Mode::train, Mode::eval}) {
    randomize(layer);
    Layer copy = layer;
    const Outcome fused = run(layer, then, x, mode);
    const Outcome plain = [&] {
      const UnfusedScope unfused;
      return run(copy, then, x, mode);
    }();
    CHECK(fused.recorded < plain.recorded);
    check_same(fused.y, plain.y);
    check_same(fused.dx, plain.dx);
    REQUIRE(fused.gradients.size() == plain.gradients.size());
    for (size_t i = 0; i < plain.gradients.size(); ++i) check_same(fused.gradients[i], plain.gradients[i]);
    for (size_t i = 0; i < plain.buffers.size(); ++i) check_same(fused.buffers[i], plain.buffers[i]);
  }
}

constexpr Then pooled_gelu{.activation = Then::Activation::gelu, .max_pool = true},
    pooled_silu{.activation = Then::Activation::silu, .max_pool = true};

}  // namespace

TEST_CASE("norms with what follows are the operations one after the other") {
  manual_seed(3);
  for (const Shape& shape : {Shape{4, 6, 8, 8}, Shape{3, 6, 7, 9}, Shape{2, 6, 2, 31}, Shape{2, 6, 28, 28}}) {
    const Tensor x = randn(shape);
    for (const Then& then :
         {then::relu, then::relu_max_pool, Then{.max_pool = true}, pooled_gelu, pooled_silu}) {
      check_fused(BatchNorm2d(6), x, then);
      check_fused(BatchNorm2d(6, {.affine = false, .track_running_stats = false}), x, then);
      check_fused(GroupNorm(2, 6), x, then);
      check_fused(GroupNorm(3, 6, {.affine = false}), x, then);
      check_fused(InstanceNorm2d(6, {.affine = true, .track_running_stats = true}), x, then);
      check_fused(LayerNorm({6, shape[2], shape[3]}), x, then);
      check_fused(LayerNorm({shape[2], shape[3]}, {.affine = false}), x, then);
    }
    check_fused(LayerNorm(shape[3]), x, then::relu);
    check_fused(GELU(), x, {.max_pool = true});
    check_fused(SiLU(), x, {.max_pool = true});
  }
}

TEST_CASE("norms of vectors, products and convolutions with a ReLU") {
  manual_seed(4);
  for (const int64_t channels : {3, 16, 200}) {
    const Tensor x = randn({9, channels});
    check_fused(BatchNorm1d(channels), x, then::relu);
    check_fused(LayerNorm(channels), x, then::relu);
    check_fused(Linear(channels, 17), x, then::relu);
    check_fused(Linear(channels, 40, {.bias = false}), x, then::relu);
  }
  check_fused(Conv2d(3, 7, 3, {.padding = 1}), randn({2, 3, 9, 10}), then::relu);
}

TEST_CASE("NaN passes what follows a norm") {
  for (const Then& then : {then::relu, then::relu_max_pool, pooled_gelu}) {
    BatchNorm2d norm(1);
    Tensor x = zeros({1, 1, 4, 4});
    x(0, 0, 1, 1) = NAN;
    const Tensor y = norm(x, then);
    CHECK(std::isnan(y(0, 0, then.max_pool ? 0 : 1, then.max_pool ? 0 : 1)));
    CHECK(y(0, 0, -1, -1) == 0);
  }
}

TEST_CASE("what can't be pooled is an error that names the layer") {
  BatchNorm2d norm(1);
  CHECK_THROWS_WITH_AS(norm(zeros({1, 1, 1, 4}), then::relu_max_pool),
                       "ShapeError in BatchNorm2d 1: batch_norm: x is (1, 1, 1, 4); pooling over windows of "
                       "2 x 2 takes (N, C, "
                       "H, W) with H and W at least 2",
                       ShapeError);
}

TEST_CASE("a Sequential fuses by itself, and trains alike without") {
  manual_seed(5);
  const Noise data(32);
  const auto train = [&](Sequential net, size_t& recorded) {
    Adam optimizer(net, {.lr = 1e-3});
    for (int step = 0; step < 3; ++step) {
      Tape tape;
      const Tensor loss = cross_entropy(net(data.x), data.y);
      recorded = tape.size();
      tape.backward(loss);
      optimizer.step();
    }
    return predict(net, data.x);
  };
  for (const Sequential& net : {small_mlp(), small_cnn()}) {
    size_t fused = 0, plain = 0;
    const Tensor logits = train(net, fused);
    const UnfusedScope unfused;
    const Tensor expected = train(net, plain);
    CHECK(fused < plain);
    double worst = 0;
    for (int64_t i = 0; i < logits.count(); ++i)
      worst = std::max(worst, std::abs(double{logits.data()[i]} - expected.data()[i]));
    CHECK(worst < (sizeof(real) == 4 ? 2e-2 : 1e-9));
  }
}

TEST_CASE("a Sequential fuses only what means the same") {
  manual_seed(6);
  // Pooling can't be part of a norm over single rows, nor of a plane with one row.
  const auto same = [](Sequential net, const Tensor& x) {
    const Tensor fused = net(x);
    const UnfusedScope unfused;
    check_same(fused, net(x));
  };
  same(Sequential(LayerNorm(8), ReLU(), MaxPool2d(2)), randn({2, 3, 8, 8}));
  // Only windows of 2 x 2 side by side can.
  for (const PoolOptions& options : {PoolOptions{.stride = Pair(1)}, PoolOptions{.padding = 1}})
    same(Sequential(BatchNorm2d(3), ReLU(), MaxPool2d(2, options)), randn({2, 3, 8, 8}));
  CHECK_THROWS_WITH_AS(Sequential(BatchNorm2d(3), ReLU(), MaxPool2d(2))(zeros({2, 3, 1, 8})),
                       doctest::Contains("in 2 (MaxPool2d"), ShapeError);

  struct Negative : Linear {
    using Linear::Linear;
    Tensor forward(Tensor x) override { return -Linear::forward(std::move(x)); }
  };
  struct Passing : ReLU {
    Tensor forward(Tensor x) override { return x; }
  };
  Sequential overridden(Negative(4, 4), ReLU()), plain(Linear(4, 4), Passing());
  const Tensor x = randn({3, 4});
  check_same(overridden(x), relu(-static_cast<Linear&>(overridden[0]).Linear::forward(x)));
  check_same(plain(x), plain[0](x));
}

TEST_CASE("a Sequential computes an increasing activation after max pooling") {
  manual_seed(7);
  struct Counting : Tanh {
    bool own_info;  // else Tanh's, which says nothing of this class
    int64_t seen = 0;
    explicit Counting(bool o) : own_info(o) {}
    Tensor forward(Tensor x) override {
      seen = x.count();
      return tanh(std::move(x));
    }
    LayerInfo info() override {
      return own_info ? LayerInfo{.type = &typeid(Counting), .increasing = true} : Tanh::info();
    }
  };
  const Tensor x = randn({2, 3, 8, 8});
  for (const bool own_info : {false, true}) {
    Sequential net(BatchNorm2d(3), Counting(own_info), MaxPool2d(2));
    net(x);
    CHECK(static_cast<Counting&>(net[1]).seen == (own_info ? x.count() / 4 : x.count()));
    const UnfusedScope unfused;
    net(x);
    CHECK(static_cast<Counting&>(net[1]).seen == x.count());
  }

  const auto same = [&](auto activation, const MaxPool2d& pool) {
    CAPTURE(activation.describe());
    Sequential net(BatchNorm2d(3), activation, pool, Conv2d(3, 2, 2)), copy = net;
    const auto trained = [&](Sequential& model) {
      Tensor input = x;
      Tape tape;
      tape.watch(input);
      const Tensor y = model(input);
      tape.backward(sum(y * y));
      return std::pair(y, tape.grad(input));
    };
    const auto [y, dx] = trained(net);
    const UnfusedScope unfused;
    const auto [expected_y, expected_dx] = trained(copy);
    check_same(y, expected_y);
    check_same(dx, expected_dx);
  };
  for (const MaxPool2d& pool : {MaxPool2d(2), MaxPool2d(3, {.stride = Pair(2), .padding = 1})}) {
    same(Tanh(), pool), same(Sigmoid(), pool), same(ELU(), pool), same(Softplus(), pool);
    same(LeakyReLU(), pool), same(GELU(), pool), same(SiLU(), pool);
  }
}

TEST_CASE("who watches a layer with what follows it changes no random number") {
  struct Watch : CallObserver {
    void called(const Module&, const Tensor&, const Tensor&) override {}
  };
  const Tensor x = ones({2, 4});
  const auto masks = [&](bool watched) {
    manual_seed(8);
    Linear layer(4, 64);
    Dropout drop(real(0.5));
    std::unique_ptr<Watch> watch = watched ? std::make_unique<Watch>() : nullptr;
    Tape tape;
    return drop(layer(x, then::relu)).clone();
  };
  const Tensor a = masks(false), b = masks(true);
  for (int64_t i = 0; i < a.count(); ++i) REQUIRE(a.data()[i] == b.data()[i]);
}

TEST_CASE("gradients of norms are the same in place of the input, beside it, and on a tape that goes on") {
  manual_seed(9);
  const Tensor x = randn({4, 6, 8, 8}), vectors = randn({5, 6});
  const auto check = [](Fusible&& layer, const Tensor& input, const Then& then) {
    CAPTURE(layer.describe());
    CAPTURE(then.max_pool);
    randomize(layer);
    const auto gradient = [&](bool hold, bool again) {
      Tape tape;
      Tensor leaf = input;
      tape.watch(leaf);
      Tensor in = leaf * 2;
      const Tensor held = hold ? in : Tensor();
      const Tensor y = layer(std::move(in), then), dy = ones(y.shape()) + y.detach();
      if (again) tape.backward(y, dy, Keep{});
      tape.backward(y, dy);
      return tape.grad(leaf);
    };
    const Tensor beside = gradient(true, false), in_place = gradient(false, false),
                 kept = gradient(false, true);
    for (int64_t i = 0; i < beside.count(); ++i) {
      REQUIRE(in_place.data()[i] == beside.data()[i]);
      REQUIRE(kept.data()[i] == beside.data()[i]);
    }
  };
  for (const Then& then : {Then{}, then::relu, then::relu_max_pool}) {
    check(BatchNorm2d(6), x, then);
    check(GroupNorm(3, 6), x, then);
    check(LayerNorm({6, 8, 8}), x, then);
    check(InstanceNorm2d(6), x, then);
  }
  check(BatchNorm1d(6), vectors, then::relu);
  check(LayerNorm(6), vectors, then::relu);
}

TEST_CASE("what a norm made for a convolution is made again for its backward, bit by bit, and not kept") {
  manual_seed(10);
  const Tensor x = randn({8, 32, 33, 33});  // over the 1 MiB from which on that is done
  const auto check = [&](Fusible&& norm, const Then& then, Mode mode) {
    CAPTURE(norm.describe());
    CAPTURE(then.relu());
    randomize(norm);
    Conv2d conv(32, 4, 3);
    Tape tape(mode);
    Tensor y = norm(x, then);
    const StorageRef memory = y.storage();
    const Tensor input = y.clone();
    const Tensor z = conv(std::move(y)), dz = randn(z.shape());
    CHECK(memory->references == 1);
    tape.backward(z, dz, Keep{});
    const Tensor made_again = conv.weight.grad().clone();
    zero_grad(conv);
    tape.backward(z, dz);
    const Tensor once_more = conv.weight.grad().clone();
    zero_grad(conv);
    Tape other;
    other.backward(conv(input), dz);
    const auto expected = conv.weight.grad().values();
    REQUIRE(std::ranges::equal(made_again.values(), expected));
    REQUIRE(std::ranges::equal(once_more.values(), expected));
  };
  for (const Then& then : {Then{}, then::relu}) {
    check(BatchNorm2d(32), then, Mode::train);
    check(BatchNorm2d(32), then, Mode::eval);
    check(GroupNorm(4, 32), then, Mode::train);
    check(LayerNorm({32, 33, 33}), then, Mode::train);
    check(InstanceNorm2d(32, {.affine = true}), then, Mode::train);
  }
}

TEST_CASE("what a convolution of few taps made for a norm is made again for its backward, bit by bit") {
  manual_seed(11);
  const Tensor x = randn({8, 3, 36, 36});
  const auto check = [&](Fusible&& norm, const Then& then) {
    CAPTURE(norm.describe());
    CAPTURE(then.relu());
    randomize(norm);
    Conv2d first(3, 32, 3), second(32, 4, 3);
    Tape tape;
    Tensor y = first(x);
    const StorageRef memory = y.storage();
    const Tensor made = y.clone();
    const Tensor z = second(norm(std::move(y), then)), dz = randn(z.shape());
    CHECK(memory->references == 1);
    const auto gradients = [&] {
      std::vector<Tensor> all;
      for (Module* module :
           {static_cast<Module*>(&first), static_cast<Module*>(&second), static_cast<Module*>(&norm)}) {
        for_each_parameter(*module,
                           [&](const std::string&, Parameter& p) { all.push_back(p.grad().clone()); });
        zero_grad(*module);
      }
      return all;
    };
    tape.backward(z, dz, Keep{});
    const std::vector<Tensor> made_again = gradients();
    tape.backward(z, dz);
    const std::vector<Tensor> once_more = gradients();
    Tensor held = made;
    Tape behind;
    behind.watch(held);
    behind.backward(second(norm(held, then)), dz);
    Tape before;
    before.backward(first(x), behind.grad(held));
    const std::vector<Tensor> expected = gradients();
    for (size_t i = 0; i < expected.size(); ++i) {
      CAPTURE(i);
      REQUIRE(std::ranges::equal(made_again[i].values(), expected[i].values()));
      REQUIRE(std::ranges::equal(once_more[i].values(), expected[i].values()));
    }
  };
  for (const Then& then : {Then{}, then::relu}) {
    check(BatchNorm2d(32), then);
    check(GroupNorm(4, 32), then);
  }
}

TEST_CASE("nothing is made again from what must be made again itself, and nothing that is pooled") {
  const Tensor x = randn({64, 3, 44, 44});
  Conv2d first(3, 3, 3), second(3, 3, 3);
  BatchNorm2d norm(3);
  Tape tape;
  const auto kept = [&](Conv2d& conv, Tensor in, const Then& then, bool keeps) {
    Tensor y = conv(std::move(in));
    const StorageRef memory = y.storage();
    Tensor z = norm(std::move(y), then);
    CHECK(memory->references == (keeps ? 2 : 1));
    return z;
  };
  kept(first, x, then::relu_max_pool, true);
  kept(second, kept(first, x, {}, false), {}, true);
}
