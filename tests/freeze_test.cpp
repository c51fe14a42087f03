// Freezing by name: three separate switches, and a pattern that matches nothing is an error.
#include <doctest/doctest.h>

#include <ballast/ballast.h>

using namespace ballast;

namespace {

struct Net : Module {
  Sequential features{Linear(4, 6), BatchNorm1d(6), ReLU(), Sequential(Linear(6, 6), Dropout(0.5))};
  Linear head{6, 2};
  Tensor forward(Tensor x) override { return head(features(std::move(x))); }
  void visit(Visitor& v) override { v("features", features), v("head", head); }
};

using Names = std::vector<std::string>;

Names trainable(Module& model) {
  Names names;
  for_each_parameter(model, [&](const std::string& path, Parameter& p) {
    if (p.trainable()) names.push_back(path);
  });
  return names;
}

Names flagged(Module& model, bool Module::Frozen::*flag) {
  Names names;
  for_each_module(model, [&](const std::string& path, Module& m) {
    if (m.frozen.*flag) names.push_back(path.empty() ? "(all)" : path);
  });
  return names;
}

std::string message(const std::function<void()>& f) {
  try {
    f();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

const Names features = {"features.0", "features.1",   "features.2",
                        "features.3", "features.3.0", "features.3.1"};

}  // namespace

TEST_CASE("freezing parameters leaves statistics and mode alone") {
  Net net;
  const FreezeReport report = freeze(net, "features.*");
  CHECK(trainable(net) == Names{"head.weight", "head.bias"});
  CHECK(report.modules == features);
  CHECK(report.parameters.size() == 6);
  CHECK(flagged(net, &Module::Frozen::statistics).empty());
  CHECK(flagged(net, &Module::Frozen::mode).empty());
  SGD optimizer(net, {.lr = 0.1});
  const Tensor before = net.features[0].describe().empty() ? Tensor() : net.head.weight.value().clone();
  const real first = dynamic_cast<Linear&>(net.features[0]).weight.data()[0];
  Tape tape;
  tape.backward(sum(net(randn({8, 4}))));
  optimizer.step();
  CHECK(dynamic_cast<Linear&>(net.features[0]).weight.data()[0] == first);
  CHECK(net.head.weight.data()[0] != before.data()[0]);
  CHECK(dynamic_cast<BatchNorm1d&>(net.features[1]).num_batches_tracked.value == 1);
}

TEST_CASE("freezing statistics or mode leaves parameters alone") {
  Net net;
  auto& norm = dynamic_cast<BatchNorm1d&>(net.features[1]);
  SUBCASE("statistics") {
    freeze(net, "features", {.stats = true});
    CHECK(flagged(net, &Module::Frozen::statistics).size() == 7);
    CHECK(flagged(net, &Module::Frozen::mode).empty());
  }
  SUBCASE("mode") {
    freeze(net, "features", {.mode = true});
    CHECK(flagged(net, &Module::Frozen::mode).size() == 7);
    CHECK(flagged(net, &Module::Frozen::statistics).empty());
  }
  CHECK(trainable(net).size() == 8);
  Tape tape;
  net(randn({8, 4}));
  CHECK(norm.num_batches_tracked.value == 0);
}

TEST_CASE("a pattern may name one parameter, or everything") {
  Net net;
  CHECK(freeze(net, "head.bias").parameters == Names{"head.bias"});
  CHECK(trainable(net).size() == 7);
  freeze(net, "*", {.parameters = true, .stats = true, .mode = true});
  CHECK(trainable(net).empty());
  CHECK(flagged(net, &Module::Frozen::mode).front() == "(all)");
  CHECK(flagged(net, &Module::Frozen::mode).size() == 9);
  freeze(net, "f?atures.[13]");  // by the shell's rules
}

TEST_CASE("unfreezing a part releases it from what is frozen around it, and nothing else") {
  Net net;
  freeze(net, "*", {.parameters = true, .stats = true, .mode = true});
  unfreeze(net, "features.3", {.parameters = true, .mode = true});
  CHECK(trainable(net) == Names{"features.3.0.weight", "features.3.0.bias"});
  CHECK(flagged(net, &Module::Frozen::mode) == Names{"features.0", "features.1", "features.2", "head"});
  CHECK(flagged(net, &Module::Frozen::statistics).size() == 9);
  unfreeze(net, "*", {.parameters = true, .stats = true, .mode = true});
  CHECK(trainable(net).size() == 8);
  CHECK(flagged(net, &Module::Frozen::mode).empty());
  CHECK(flagged(net, &Module::Frozen::statistics).empty());
}

TEST_CASE("a layer alone, without a path, is everything") {
  BatchNorm1d norm(2);
  freeze(norm, "*", {.stats = true});
  Tape tape;
  norm(randn({4, 2}));
  CHECK(norm.num_batches_tracked.value == 0);
}

TEST_CASE("a pattern that matches nothing is an error that lists the names") {
  Net net;
  const std::string text = message([&] { freeze(net, "feature.*"); });
  CHECK(text.starts_with("the pattern 'feature.*' matches no module and no parameter; there are "));
  CHECK(text.find("features.3.1") != text.npos);
  CHECK(text.find("head.bias") != text.npos);
  CHECK(message([&] { unfreeze(net, "0"); }).starts_with("the pattern '0'"));
  CHECK(trainable(net).size() == 8);
}
