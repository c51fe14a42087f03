// Every rule of advice has a model that triggers it and one that doesn't.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include <ballast/ballast.h>

using namespace ballast;

namespace {

const LinearOptions no_bias{.bias = false};

std::vector<Advice> of_rule(const std::string& rule, Module& model, const TrainingContext& context = {}) {
  std::vector<Advice> found = advise(model, context);
  std::erase_if(found, [&](const Advice& a) { return a.rule != rule; });
  return found;
}

// The paths a rule points at.
std::vector<std::string> paths(const std::string& rule, Module&& model, const TrainingContext& context = {}) {
  std::vector<std::string> found;
  for (const Advice& advice : of_rule(rule, model, context)) {
    CHECK_FALSE(advice.text.empty());
    CHECK_FALSE(advice.source.empty());
    found.push_back(advice.path);
  }
  return found;
}

using Paths = std::vector<std::string>;

Sequential net_with(auto norm) {
  return Sequential(Linear(4, 6, no_bias), std::move(norm), ReLU(), Linear(6, 2));
}

}  // namespace

TEST_CASE("every rule has a name of its own, says what it is about, and names its source") {
  std::set<std::string_view> names;
  for (const AdviceRule& rule : advice_rules()) {
    CHECK(names.insert(rule.name).second);
    CHECK_FALSE(rule.about.empty());
    CHECK_FALSE(rule.source.empty());
  }
  CHECK(names == std::set<std::string_view>{"bias-before-norm", "decayed-norm", "dropout-before-norm",
                                            "one-value-per-channel", "small-batch", "unknown-layer"});
}

TEST_CASE("a sound model gets no advice") {
  Sequential net(Conv2d(1, 4, 3, {.bias = false}), BatchNorm2d(4), ReLU(), MaxPool2d(2), Flatten(),
                 Linear(16, 8, no_bias), BatchNorm1d(8), ReLU(), Dropout(0.5), Linear(8, 2));
  CHECK(advise(net, {.batch_size = 8, .weight_decay = 0.01}).empty());
}

TEST_CASE("small-batch: once, from below 8, for batch norm that trains") {
  const auto deep = [] {
    return Sequential(Linear(4, 6, no_bias), BatchNorm1d(6), Linear(6, 6, no_bias), BatchNorm1d(6));
  };
  CHECK(paths("small-batch", deep(), {.batch_size = 7}) == Paths{"1"});
  CHECK(paths("small-batch", deep(), {.batch_size = 8}).empty());
  CHECK(paths("small-batch", net_with(LayerNorm(6)), {.batch_size = 2}).empty());
  CHECK(paths("small-batch", net_with(GroupNorm(2, 6)), {.batch_size = 2}).empty());
  Sequential frozen = deep();
  freeze(frozen, "*", {.mode = true});
  CHECK(paths("small-batch", std::move(frozen), {.batch_size = 2}).empty());
  Sequential around = deep();
  around.frozen.mode = true;  // of all it calls
  CHECK(paths("small-batch", std::move(around), {.batch_size = 2}).empty());
}

TEST_CASE("small-batch points to group and layer norm") {
  Sequential net = net_with(BatchNorm1d(6));
  const std::string text = of_rule("small-batch", net, {.batch_size = 4}).at(0).text;
  CHECK(text.starts_with("1 (BatchNorm1d 6) normalizes by the statistics of 4 samples"));
  CHECK(text.find("GroupNorm or LayerNorm") != text.npos);
}

TEST_CASE("one-value-per-channel: a batch of one vector, which is an error in training") {
  const auto images = [] {
    return Sequential(Conv2d(1, 4, 3), BatchNorm2d(4), GlobalAvgPool(), BatchNorm2d(4), Flatten(),
                      Linear(4, 2));
  };
  CHECK(paths("one-value-per-channel", net_with(BatchNorm1d(6)), {.batch_size = 1}) == Paths{"1"});
  CHECK(paths("one-value-per-channel", net_with(BatchNorm1d(6)), {.batch_size = 2}).empty());
  CHECK(paths("one-value-per-channel", net_with(LayerNorm(6)), {.batch_size = 1}).empty());
  CHECK(paths("one-value-per-channel", images(), {.batch_size = 1}) == Paths{"3"});
  Sequential net = net_with(BatchNorm1d(6));
  Tape tape;
  CHECK_THROWS_AS(net(ones({1, 4})), ShapeError);
}

TEST_CASE("one-value-per-channel: any norm, when one value is all there is, whatever the batch") {
  const auto found = [](auto... layers) {
    return paths("one-value-per-channel", Sequential(std::move(layers)...), {.batch_size = 16});
  };
  CHECK(found(Linear(4, 6), GroupNorm(6, 6)) == Paths{"1"});
  CHECK(found(Linear(4, 6), GroupNorm(3, 6)).empty());
  CHECK(found(Conv2d(1, 6, 3), GroupNorm(6, 6)).empty());  // over pixels
  CHECK(found(Conv2d(1, 6, 3), GlobalAvgPool(), GroupNorm(6, 6)) == Paths{"2"});
  CHECK(found(Linear(4, 1), LayerNorm(1)) == Paths{"1"});
  CHECK(found(Linear(4, 1), RMSNorm(1)) == Paths{"1"});
  CHECK(found(Linear(4, 2), LayerNorm(2)).empty());
  CHECK(found(GlobalAvgPool(), InstanceNorm2d(4)) == Paths{"1"});
  CHECK(paths("one-value-per-channel", Sequential(WeightNorm(Linear(4, 6)), BatchNorm1d(6)),
              {.batch_size = 1}) == Paths{"1"});
}

TEST_CASE("bias-before-norm: where the norm takes the mean of every output") {
  CHECK(paths("bias-before-norm", Sequential(Linear(4, 6), BatchNorm1d(6))) == Paths{"0"});
  CHECK(paths("bias-before-norm", Sequential(Linear(4, 6, no_bias), BatchNorm1d(6))).empty());
  CHECK(paths("bias-before-norm", Sequential(Conv2d(1, 4, 3), InstanceNorm2d(4))) == Paths{"0"});
  CHECK(paths("bias-before-norm", Sequential(Conv1d(1, 4, 3), BatchNorm1d(4))) == Paths{"0"});
  CHECK(paths("bias-before-norm", Sequential(WeightNorm(Linear(4, 6)), BatchNorm1d(6))) == Paths{"0"});
  CHECK(paths("bias-before-norm", Sequential(Conv2d(1, 4, 3), GroupNorm(4, 4))) == Paths{"0"});
  CHECK(paths("bias-before-norm", Sequential(Conv2d(1, 4, 3), GroupNorm(2, 4)))
            .empty());  // shifts within a group
  CHECK(paths("bias-before-norm", Sequential(Linear(4, 6), LayerNorm(6))).empty());
  CHECK(paths("bias-before-norm", Sequential(Linear(4, 6), ReLU(), BatchNorm1d(6))).empty());
  CHECK(paths("bias-before-norm", Sequential(LayerNorm(6), BatchNorm1d(6))).empty());
}

TEST_CASE("the order of layers is that of visit, into containers and out of them") {
  CHECK(paths("bias-before-norm", Sequential(Sequential(ReLU(), Linear(4, 6)), Sequential(BatchNorm1d(6)))) ==
        Paths{"0.1"});
  // Behind a residual there is a sum, and its two ways start at the same place.
  Sequential two_ways(
      Linear(4, 4),
      Residual(Sequential(BatchNorm1d(4), Linear(4, 4)), Sequential(BatchNorm1d(4), Linear(4, 4))),
      BatchNorm1d(4));
  CHECK(paths("bias-before-norm", std::move(two_ways)) == Paths{"0", "0"});
  struct Own : Module {
    Linear fc{4, 6};
    BatchNorm1d norm{6};
    void visit(Visitor& v) override { v("fc", fc), v("norm", norm); }
  };
  CHECK(paths("bias-before-norm", Own()) == Paths{"fc"});
}

TEST_CASE("dropout-before-norm: the next batch norm after a dropout") {
  CHECK(paths("dropout-before-norm", Sequential(Dropout(0.5), BatchNorm1d(4))) == Paths{"1"});
  CHECK(paths("dropout-before-norm", Sequential(Dropout(0.5), Linear(4, 4, no_bias), BatchNorm1d(4))) ==
        Paths{"2"});
  CHECK(paths("dropout-before-norm", Sequential(Residual(Sequential(Dropout(0.5))), BatchNorm1d(4))) ==
        Paths{"1"});
  CHECK(paths("dropout-before-norm", Sequential(BatchNorm1d(4), Dropout(0.5), Linear(4, 4))).empty());
  CHECK(paths("dropout-before-norm", Sequential(Dropout(0), BatchNorm1d(4))).empty());
  CHECK(paths("dropout-before-norm", Sequential(Dropout(0.5), LayerNorm(4), BatchNorm1d(4))).empty());
}

TEST_CASE("decayed-norm: norm parameters in a decay group") {
  const TrainingContext all{.weight_decay = 0.01, .decays_all = true}, weights{.weight_decay = 0.01};
  CHECK(paths("decayed-norm", net_with(BatchNorm1d(6)), all) == Paths{"1"});
  CHECK(paths("decayed-norm", net_with(LayerNorm(6)), all) == Paths{"1"});
  CHECK(paths("decayed-norm", net_with(BatchNorm1d(6)), weights).empty());
  CHECK(paths("decayed-norm", net_with(BatchNorm1d(6)), {.decays_all = true}).empty());
  CHECK(paths("decayed-norm", Sequential(Linear(4, 2)), all).empty());
  BatchNorm1d own(6);
  own.weight = Parameter(ones({6}));  // made without {.decay = false}
  CHECK(paths("decayed-norm", net_with(std::move(own)), weights) == Paths{"1"});
}
