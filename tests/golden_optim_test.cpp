// Optimizers and learning rate schedules against PyTorch.
#include <functional>
#include <map>
#include <memory>

#include <ballast/core/ops/elementwise.h>
#include <ballast/core/ops/movement.h>
#include <ballast/core/ops/reduce.h>
#include <ballast/optim/adam.h>
#include <ballast/optim/rmsprop.h>
#include <ballast/optim/schedule.h>
#include <ballast/optim/sgd.h>

#include "golden.h"

using namespace ballast;

namespace {

struct Model : Module {
  struct Part : Module {
    Parameter rare;
    void visit(Visitor& v) override { v("rare", rare); }
  };
  Parameter weight, bias;
  Part part;

  explicit Model(const Golden& golden)
      : weight(golden.tensor("start:weight")), bias(golden.tensor("start:bias"), {.decay = false}) {
    part.rare = Parameter(golden.tensor("start:part.rare"));
  }
  void visit(Visitor& v) override { v("weight", weight), v("bias", bias), v("part", part); }
};

constexpr int64_t steps = 100;

// How a case of optimizers() in tests/golden/generate.py goes here.
struct Run {
  std::function<std::unique_ptr<Optimizer>(Model&)> make;
  int64_t drop_lr_at = 0;
  double clip_value = 0;
};

Run sgd(SGDOptions options, DecayRule rule = DecayRule::all) {
  options.decay_rule = rule;
  return {[=](Model& model) { return std::make_unique<SGD>(model, options); }};
}

// The options that Adam and AdamW have in common.
template <class Adam_, class Options>
void add_adam(std::map<std::string, Run>& runs, const std::string& name) {
  const auto add = [&](const char* variant, const Options& options) {
    runs[name + variant] = {[=](Model& model) { return std::make_unique<Adam_>(model, options); }};
  };
  const DecayRule all = DecayRule::all;
  add("", {.lr = 0.01, .weight_decay = 0});
  add("/decay", {.lr = 0.01, .weight_decay = 0.1, .decay_rule = all});
  add("/betas", {.lr = 0.01, .beta1 = 0.5, .beta2 = 0.9, .weight_decay = 0});
  add("/no_betas", {.lr = 0.01, .beta1 = 0, .beta2 = 0, .weight_decay = 0});
  add("/eps", {.lr = 0.01, .eps = 0.1, .weight_decay = 0});
  add("/all", {.lr = 0.03, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.2, .decay_rule = all});
  add("/weights_only", {.lr = 0.01, .weight_decay = 0.1});
  add("/lr_drop", {.lr = 0.01, .weight_decay = 0.1, .decay_rule = all});
  runs[name + "/lr_drop"].drop_lr_at = 6;
  runs[name + "/group"] = {[=](Model& model) {
    auto optimizer =
        std::make_unique<Adam_>(model, Options{.lr = 0.01, .weight_decay = 0.1, .decay_rule = all});
    optimizer->group(model.part, {.lr = 0.05, .weight_decay = 0.3});
    return optimizer;
  }};
}

std::map<std::string, Run> runs() {
  std::map<std::string, Run> all{
      {"sgd", sgd({.lr = 0.01})},
      {"sgd/decay", sgd({.lr = 0.01, .weight_decay = 0.1})},
      {"sgd/momentum", sgd({.lr = 0.01, .momentum = 0.9})},
      {"sgd/dampening", sgd({.lr = 0.01, .momentum = 0.9, .dampening = 0.4})},
      {"sgd/nesterov", sgd({.lr = 0.01, .momentum = 0.9, .nesterov = true})},
      {"sgd/momentum_decay", sgd({.lr = 0.01, .momentum = 0.8, .weight_decay = 0.1})},
      {"sgd/dampening_decay", sgd({.lr = 0.01, .momentum = 0.8, .dampening = 0.9, .weight_decay = 0.1})},
      {"sgd/nesterov_decay", sgd({.lr = 0.01, .momentum = 0.8, .nesterov = true, .weight_decay = 0.1})},
      {"sgd/weights_only", sgd({.lr = 0.01, .momentum = 0.9, .weight_decay = 0.1}, DecayRule::weights_only)},
      {"sgd/lr_drop", sgd({.lr = 0.01, .momentum = 0.9, .nesterov = true, .weight_decay = 0.1})},
      {"sgd/clip_value", sgd({.lr = 0.1})},
  };
  all["sgd/lr_drop"].drop_lr_at = 6;
  all["sgd/clip_value"].clip_value = 0.5;
  add_adam<Adam, AdamOptions>(all, "adam");
  add_adam<AdamW, AdamWOptions>(all, "adamw");
  return all;
}

// Those that came after the others.
std::map<std::string, Run> later_runs() {
  const auto rmsprop = [](const RMSpropOptions& options) -> Run {
    return {[=](Model& model) { return std::make_unique<RMSprop>(model, options); }};
  };
  std::map<std::string, Run> all{
      {"rmsprop", rmsprop({.lr = 0.01})},
      {"rmsprop/momentum", rmsprop({.lr = 0.01, .alpha = 0.9, .eps = 1e-3, .momentum = 0.9})},
  };
  const DecayRule rule = DecayRule::all;
  all["rmsprop/all"] = {[=](Model& model) {
    auto optimizer = std::make_unique<RMSprop>(
        model,
        RMSpropOptions{.lr = 0.01, .alpha = 0.8, .momentum = 0.5, .weight_decay = 0.1, .decay_rule = rule});
    optimizer->group(model.part, {.lr = 0.05});
    return optimizer;
  }};
  all["adam/amsgrad"] = {[=](Model& model) {
    return std::make_unique<Adam>(model, AdamOptions{.lr = 0.01,
                                                     .beta1 = 0.5,
                                                     .beta2 = 0.9,
                                                     .weight_decay = 0.1,
                                                     .decay_rule = rule,
                                                     .amsgrad = true});
  }};
  all["adamw/amsgrad"] = {[=](Model& model) {
    return std::make_unique<AdamW>(
        model, AdamWOptions{.lr = 0.01, .weight_decay = 0.1, .decay_rule = rule, .amsgrad = true});
  }};
  return all;
}

void check_runs(const Golden& golden, const std::map<std::string, Run>& table) {
  CHECK(table.size() == golden.cases().size() - 2);  // all but the start and the gradients
  for (const auto& named : table) {
    const auto& name = named.first;
    const auto& run = named.second;
    Model model(golden);
    const std::unique_ptr<Optimizer> optimizer = run.make(model);
    for (int64_t step = 1; step <= steps; ++step) {
      if (step == run.drop_lr_at) optimizer->set_lr(optimizer->lr() / 10);
      Tape tape;
      Tensor loss = Tensor(real(0));
      for_each_parameter(model, [&](const std::string& path, Parameter& p) {
        if (path == "part.rare" && step % 3 != 1) return;
        const Tensor gradients = golden.tensor("gradient:" + path);
        const Tensor gradient = reshape(slice(gradients, 0, step - 1, step), p.shape());
        loss = loss + sum(Tensor(p) * gradient);
      });
      tape.backward(loss);
      if (run.clip_value != 0) optimizer->clip_grad_value(run.clip_value);
      optimizer->step();
      for_each_parameter(model, [&](const std::string& path, Parameter& p) {
        const std::string recorded = fmt::format("{}:{}:{}", name, step, path);
        if (step == 1 || step == 2 || step == 10 || step == 100) golden.expect(recorded, p.value());
      });
    }
  }
}

}  // namespace

TEST_CASE("golden: 100 steps of every optimizer") {
  check_runs(Golden("optimizers"), runs());
  check_runs(Golden("optimizers_later"), later_runs());
}

TEST_CASE("golden: learning rate schedules") {
  const Golden golden("schedules");
  const std::map<std::string, Schedule> table{
      {"step", schedule::step(0.1, 20)},
      {"step/gamma", schedule::step(0.1, 7, 0.5)},
      {"cosine", schedule::cosine(0.1, 60)},
      {"cosine/floor", schedule::cosine(0.1, 60, 0.02)},
      {"one_cycle", schedule::one_cycle(0.1, 60)},
      {"one_cycle/options",
       schedule::one_cycle(0.1, 60, {.warm_up = 0.5, .divide_first = 10, .divide_last = 100})},
      {"warm_up/constant", schedule::warm_up(10, schedule::constant(0.1))},
      {"warm_up/cosine", schedule::warm_up(10, schedule::cosine(0.1, 50))},
  };
  CHECK(table.size() == golden.cases().size());
  for (const auto& [name, lr] : table) {
    Tensor rates(Shape{60});
    for (int64_t step = 0; step < 60; ++step) rates(step) = static_cast<real>(lr(step));
    golden.expect(name, rates);
  }
}
