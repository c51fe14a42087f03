// Layers of a user's own: one that describes itself is counted, folded, certified, probed and advised on like
// those of the library; one that doesn't is refused, or left out by name, with what to override.
#include <doctest/doctest.h>

#include <cmath>

#include <ballast/ballast.h>

using namespace ballast;

namespace {

// y = x W^T + b by operations of its own.
struct Dense : Module {
  Parameter weight{randn({3, 4})}, bias{randn({3})};
  Tensor forward(Tensor x) override { return matmul(std::move(x), transpose(weight)) + bias; }
  void visit(Visitor& v) override { v("weight", weight), v("bias", bias); }
  std::string describe() const override { return "Dense"; }
};

struct DescribedDense : Dense {
  LayerInfo info() override {
    return {.multiply_adds = 4,
            .affine = true,
            .weight = &weight,
            .bias = &bias,
            .channel_axis = -1,
            .positions = LayerInfo::Positions::one};
  }
};

// A batch norm without weight and bias.
struct Whitening : Module {
  Buffer mean{zeros({3})}, var{ones({3})};
  Counter batches;
  std::optional<double> momentum = 0.5;
  Tensor forward(Tensor x) override {
    return batch_norm(std::move(x), {}, {},
                      {.mean = &mean, .var = &var, .batches = &batches, .momentum = momentum});
  }
  void visit(Visitor& v) override { v("mean", mean), v("var", var), v("batches", batches); }
  std::string describe() const override { return "Whitening"; }
};

struct DescribedWhitening : Whitening {
  LayerInfo info() override {
    return {.multiply_adds = 0,
            .affine = true,
            .norm = NormInfo{.channels = 3,
                             .eps = 1e-5,
                             .over_batch = true,
                             .over_positions = true,
                             .running_mean = &mean,
                             .running_var = &var,
                             .num_batches_tracked = &batches,
                             .momentum = &momentum}};
  }
};

struct Ramp : Module {  // 0 below 0, 2 x above
  Tensor forward(Tensor x) override { return 2 * relu(std::move(x)); }
  std::string describe() const override { return "Ramp"; }
};

struct DescribedRamp : Ramp {
  LayerInfo info() override { return {.multiply_adds = 0, .lipschitz = 2, .dead_at_zero = true}; }
};

// Calls its parts in the order in which it lists them.
template <class First, class Second>
struct InOrder : Module {
  First first;
  Second second;
  bool says_so = true;
  explicit InOrder(First a = First(), Second b = Second()) : first(std::move(a)), second(std::move(b)) {}
  Tensor forward(Tensor x) override { return second(first(std::move(x))); }
  void visit(Visitor& v) override { v("first", first), v("second", second); }
  LayerInfo info() override {
    return says_so ? LayerInfo{.structure = LayerInfo::Structure::sequence} : Module::info();
  }
};

template <class Error, class F>
std::string message(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

double difference(const Tensor& a, const Tensor& b) {
  double largest = 0;
  for (int64_t i = 0; i < a.count(); ++i)
    largest = std::max(largest, static_cast<double>(std::abs(a.data()[i] - b.data()[i])));
  return largest;
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

}  // namespace

TEST_CASE("multiply-adds: convolutions by output element, linear layers by output, for the whole batch") {
  Sequential net(Conv2d(2, 4, 3, {.padding = 1, .groups = 2}), BatchNorm2d(4), ReLU(), Flatten(),
                 Linear(100, 3));
  const ModelSummary found = summarize(net, {2, 2, 5, 5});
  REQUIRE(found.layers.size() == 5);
  CHECK(found.layers[0].multiply_adds == 2 * 4 * 25 * 9);
  CHECK(found.layers[0].output == Shape{2, 4, 5, 5});
  CHECK(found.layers[1].multiply_adds == 0);
  CHECK(found.layers[1].parameters == 8);
  CHECK(found.layers[4].multiply_adds == 2 * 100 * 3);
  CHECK(found.layers[4].input == Shape{2, 100});
  CHECK(found.multiply_adds == 2 * (4 * 25 * 9 + 300));
  CHECK(found.parameters == parameter_count(net));
  Sequential other(Conv1d(2, 3, 2, {.stride = 2}), WeightNorm(Conv2d(1, 1, 1)));
  CHECK(summarize(other[0], {1, 2, 6}).multiply_adds == 3 * 3 * 4);
  CHECK(summarize(other[1], {1, 1, 2, 3}).multiply_adds == 6);
}

TEST_CASE("what is inside a residual is counted, and a layer that is called twice works twice") {
  Sequential net(Residual(Sequential(Linear(4, 4)), Sequential(Linear(4, 4))));
  const ModelSummary found = summarize(net, {1, 4});
  CHECK(found.multiply_adds == 32);
  CHECK(found.layers[0].path == "0.shortcut.0");
  struct Twice : Module {
    Linear fc{4, 4};
    Tensor forward(Tensor x) override { return fc(fc(std::move(x))); }
    void visit(Visitor& v) override { v("fc", fc); }
  };
  Twice twice;
  const ModelSummary of_twice = summarize(twice, {1, 4});
  CHECK(of_twice.multiply_adds == 32);
  CHECK(of_twice.parameters == 20);
  CHECK(of_twice.layers.at(1).parameters == 0);
}

TEST_CASE("work that nobody vouches for is unknown, and so is the total") {
  const auto why = [](Module&& model) {
    const ModelSummary found = summarize(model, {1, 4});
    CHECK_FALSE(found.multiply_adds.has_value());
    for (const LayerSummary& layer : found.layers)
      if (!layer.multiply_adds) return layer.path + ": " + layer.why;
    return std::string("known");
  };
  CHECK(why(Sequential(ReLU(), Dense())) == "1: its info() gives no multiply_adds");
  struct Beside : Module {  // a parameter of its own beside a layer
    Linear fc{4, 4};
    Parameter mix{randn({4, 4})};
    Tensor forward(Tensor x) override { return matmul(fc(std::move(x)), mix); }
    void visit(Visitor& v) override { v("fc", fc), v("mix", mix); }
  };
  CHECK(why(Beside()) == ": its info() gives no multiply_adds");
  struct PastTheLayer : Module {  // uses a layer's weight without calling it
    Linear fc{4, 4};
    Tensor forward(Tensor x) override { return linear(std::move(x), fc.weight, fc.bias); }
    void visit(Visitor& v) override { v("fc", fc); }
  };
  CHECK(why(PastTheLayer()) == "fc: was not called as a module");
}

TEST_CASE("a layer that describes itself is counted and folded") {
  manual_seed(1);
  Sequential net{DescribedDense(), DescribedWhitening(), DescribedRamp()};
  CHECK(summarize(net, {2, 4}).multiply_adds == 2 * 12);
  auto& norm = dynamic_cast<DescribedWhitening&>(net[1]);
  norm.mean.assign(randn({3})), norm.var.assign(rand({3}, real(0.5), 2));
  const Tensor x = randn({5, 4}), y = net(x);
  const FoldReport report = fold(net);
  CHECK(report.kept.empty());
  REQUIRE(report.folded.size() == 1);
  CHECK(net.size() == 2);
  CHECK(difference(net(x), y) < 1e-5);
}

TEST_CASE("one that doesn't is kept, with what to override") {
  Sequential net{Dense(), BatchNorm1d(3), Linear(3, 3), Whitening()};
  const FoldReport report = fold(net);
  CHECK(report.folded.empty());
  REQUIRE(report.kept.size() == 2);
  CHECK(contains(report.kept[0].reason, "comes after Dense, which doesn't say what it computes"));
  CHECK(contains(report.kept[0].reason, "override info()"));
  CHECK(report.kept[1].norm == "3");
  CHECK(contains(report.kept[1].reason, "override info()"));
  CHECK(contains(message<UsageError>([&] { fold(net[0], net[1]); }), "override info()"));
}

TEST_CASE("a sequence of one's own is folded too: its norm becomes the identity") {
  manual_seed(2);
  InOrder net(Linear(4, 3), BatchNorm1d(3));
  net.second.running_mean.assign(randn({3})), net.second.running_var.assign(rand({3}, real(0.5), 2));
  const Tensor x = randn({5, 4}), y = net(x);
  const FoldReport report = fold(net);
  REQUIRE(report.folded.size() == 1);
  CHECK(report.folded[0].norm == "second");
  CHECK(difference(net(x), y) < 1e-5);
  CHECK(difference(net.first(x), y) < 1e-5);
  net.says_so = false;
  CHECK(fold(net).folded.empty());
}

TEST_CASE("a layer that describes itself is certified, in a sequence of one's own too") {
  manual_seed(3);
  InOrder<DescribedDense, DescribedRamp> net;
  const Certificate found = certify(net, {4});
  REQUIRE(found.layers.size() == 2);
  CHECK(found.layers[1].bound == 2);
  CHECK(found.bound == doctest::Approx(2 * certify(net.first, {4}).bound));
  net.says_so = false;
  CHECK(contains(message<ValueError>([&] { certify(net, {4}); }), "override info()"));
}

TEST_CASE("what is said of a class isn't believed of one derived from it") {
  struct Shifted : Linear {
    using Linear::Linear;
    Tensor forward(Tensor x) override { return Linear::forward(x + 1); }
  };
  Sequential net(Shifted(4, 3), BatchNorm1d(3));
  CHECK(contains(fold(net).kept.at(0).reason, "doesn't say what it computes"));
  CHECK_FALSE(summarize(net, {1, 4}).multiply_adds.has_value());
  CHECK(contains(message<ValueError>([&] { certify(net, {4}); }), "override info()"));
}

TEST_CASE("one that doesn't, or says what isn't so, is refused by name") {
  manual_seed(4);
  const std::string unknown = message<ValueError>([] { certify(Sequential(DescribedDense(), Ramp()), {4}); });
  CHECK(contains(unknown, "layer 1 (Ramp) doesn't say how much it can stretch a distance; override info()"));
  struct Steeper : Ramp {
    LayerInfo info() override { return {.lipschitz = 1}; }
  };
  CHECK(contains(message<ValueError>([] { certify(Sequential(Linear(4, 4), Steeper()), {4}); }),
                 "1 (Ramp) moves its output by"));
  struct Bent : Ramp {
    LayerInfo info() override { return {.affine = true}; }
  };
  CHECK(contains(message<ValueError>([] { certify(Bent(), {4}); }), "what its info() says isn't so"));
}

TEST_CASE("a layer that describes itself is probed; what another one can't say is named") {
  manual_seed(5);
  Sequential net{DescribedDense(), DescribedWhitening(), DescribedRamp(), Ramp()};
  Probe probe(net, {.condition = true});
  Tape tape;
  net(randn({8, 4}));
  probe.step(0.1);
  CHECK(probe["0"].condition.has_value());
  CHECK(probe["1"].gamma_over_sigma.has_value());
  CHECK(probe["2"].dead_units.has_value());
  CHECK(probe["2"].left_out.empty());
  CHECK_FALSE(probe["3"].dead_units.has_value());
  CHECK(contains(probe["3"].left_out, "3 (Ramp) doesn't override info()"));
}

TEST_CASE("running statistics of one's own are recalibrated, or refused") {
  struct Sample {
    Tensor x;
  };
  const std::vector<Sample> samples{{tensor({{1, 1, 1}, {3, 3, 3}})}};
  Sequential net{DescribedWhitening(), ReLU()};
  auto& norm = dynamic_cast<DescribedWhitening&>(net[0]);
  recalibrate(net, samples);
  CHECK(norm.mean.data()[1] == doctest::Approx(2));
  CHECK(norm.momentum == 0.5);
  Sequential unknown(BatchNorm1d(3), Whitening());
  CHECK(contains(message<ValueError>([&] { recalibrate(unknown, samples); }),
                 "1 (Whitening) keeps buffers and doesn't say what for; override info()"));
}

TEST_CASE("a layer that describes itself is advised on; another one is named") {
  const auto rules = [](Module&& model) {
    std::vector<std::string> found;
    for (const Advice& advice : advise(model, {.batch_size = 1}))
      found.push_back(advice.rule + " " + advice.path);
    return found;
  };
  CHECK(rules(Sequential(DescribedDense(), DescribedWhitening())) ==
        std::vector<std::string>{"small-batch 1", "one-value-per-channel 1", "bias-before-norm 0"});
  CHECK(rules(Sequential(Linear(4, 4), Ramp())) == std::vector<std::string>{"unknown-layer 1"});
}
