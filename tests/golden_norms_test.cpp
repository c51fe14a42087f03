// Every norm in every option against PyTorch: forward, all gradients, and the running statistics afterwards.
#include <map>
#include <memory>
#include <sstream>

#include <fmt/core.h>

#include <ballast/layers/batch_norm.h>
#include <ballast/layers/group_norm.h>
#include <ballast/layers/instance_norm.h>
#include <ballast/layers/layer_norm.h>
#include <ballast/layers/rms_norm.h>
#include <ballast/layers/spectral_norm.h>
#include <ballast/layers/weight_norm.h>

#include "golden.h"

using namespace ballast;

namespace {

template <std::derived_from<Module> Layer>
std::unique_ptr<Module> make(Layer layer) {
  return std::make_unique<Layer>(std::move(layer));
}

// "batch_norm1d shape=6,4 affine=1 momentum=0.1 mode=train"
struct Case {
  std::string norm;
  std::map<std::string, std::string> options;

  explicit Case(const std::string& name) {
    std::istringstream words(name);
    words >> norm;
    for (std::string word; words >> word;)
      options[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
  }
  const std::string& text(const char* option) const { return options.at(option); }
  int number(const char* option) const { return std::stoi(text(option)); }
  bool is(const char* option) const { return text(option) == "1"; }
  real eps() const { return static_cast<real>(std::stod(text("eps"))); }
};

std::unique_ptr<Module> tracking_norm(const Case& c, int64_t channels) {
  const std::string& momentum = c.text("momentum");
  std::optional<double> weight_of_new = 0.1;
  if (momentum == "cumulative") weight_of_new = {};
  if (momentum == "1") weight_of_new = 1;
  const bool affine = c.is("affine"), tracks = momentum != "none";
  const BatchNormOptions batch{.momentum = weight_of_new, .affine = affine, .track_running_stats = tracks};
  const InstanceNormOptions instance{
      .momentum = weight_of_new, .affine = affine, .track_running_stats = tracks};
  if (c.norm == "batch_norm1d") return make(BatchNorm1d(channels, batch));
  if (c.norm == "batch_norm2d") return make(BatchNorm2d(channels, batch));
  if (c.norm == "instance_norm1d") return make(InstanceNorm1d(channels, instance));
  if (c.norm == "instance_norm2d") return make(InstanceNorm2d(channels, instance));
  return nullptr;
}

template <template <class> class Norm, class... Options>
std::unique_ptr<Module> wrapped(const Case& c, const Options&... options) {
  const std::string& layer = c.text("layer");
  const bool bias = c.is("bias");
  if (layer == "linear") return make(Norm<Linear>(Linear(3, 5, {.bias = bias}), options...));
  if (layer == "linear1") return make(Norm<Linear>(Linear(1, 1, {.bias = bias}), options...));
  if (layer == "conv")
    return make(Norm<Conv2d>(Conv2d(2, 3, {3, 2}, {.padding = 1, .bias = bias}), options...));
  return make(Norm<Conv2d>(Conv2d(4, 2, 2, {.stride = 2, .groups = 2, .bias = bias}), options...));
}

std::unique_ptr<Module> layer_of(const Case& c, const Shape& x) {
  if (c.norm == "group_norm")
    return make(GroupNorm(c.number("groups"), x[1], {.eps = c.eps(), .affine = c.is("affine")}));
  if (c.norm == "layer_norm" || c.norm == "rms_norm") {
    const int axes = c.number("axes");
    const Shape last(x.begin() + (x.rank() - axes), axes);
    if (c.norm == "rms_norm") return make(RMSNorm(last, {.eps = c.eps(), .affine = c.is("affine")}));
    return make(LayerNorm(last, {.eps = c.eps(), .affine = c.is("affine")}));
  }
  if (c.norm == "weight_norm") return wrapped<WeightNorm>(c);
  if (c.norm == "spectral_norm")
    return wrapped<SpectralNorm>(c, SpectralNormOptions{.n_power_iterations = 2});
  return tracking_norm(c, x[1]);
}

// The largest error over all tensors of a case.
double worst_error(const Golden& golden, const std::string& name) {
  const std::string prefix = name + ":";
  const Case c(name);
  const std::unique_ptr<Module> owned = layer_of(c, golden.tensor(prefix + "x").shape());
  REQUIRE(owned);
  Module& layer = *owned;
  for_each_parameter(layer,
                     [&](const std::string& path, Parameter& p) { p.assign(golden.tensor(prefix + path)); });
  for_each_buffer(layer, [&](const std::string& path, Buffer& b) { b.assign(golden.tensor(prefix + path)); });
  for_each_counter(
      layer, [&](const std::string& path, Counter& n) { n.value = golden.integers(prefix + path).at(0); });

  double worst = 0;
  int64_t seen = 2;  // x, dy
  const auto compare = [&](const std::string& part, const Tensor& got) {
    const double error = golden.error(prefix + part, got);
    CAPTURE(part);
    CHECK(error <= Golden::limit);
    worst = std::max(worst, error);
    ++seen;
  };
  Tape tape(c.text("mode") == "train" ? Mode::train : Mode::eval);
  Tensor x = golden.tensor(prefix + "x");
  tape.watch(x);
  const Tensor y = layer(x);
  compare("y", y);
  tape.backward(y, golden.tensor(prefix + "dy"));
  compare("dx", tape.grad(x));
  for_each_parameter(layer, [&](const std::string& path, Parameter& p) {
    compare("grad:" + path, p.grad());
    ++seen;  // its value
  });
  for_each_buffer(layer, [&](const std::string& path, Buffer& b) {
    compare("after:" + path, b);
    ++seen;
  });
  for_each_counter(layer, [&](const std::string& path, Counter& n) {
    CHECK(n.value == golden.integers(prefix + "after:" + path).at(0));
    seen += 2;
  });
  CHECK(seen == golden.tensors_of(name));
  return worst;
}

}  // namespace

TEST_CASE("golden: every norm, shape and option") {
  const Golden golden("norms");
  struct Tally {
    int cases = 0;
    double worst = 0;
  };
  std::map<std::string, Tally> tallies;
  for (const std::string& name : golden.cases()) {
    CAPTURE(name);
    const double error = worst_error(golden, name);
    for (const std::string& row : {Case(name).norm, std::string("together")}) {
      Tally& tally = tallies[row];
      ++tally.cases;
      tally.worst = std::max(tally.worst, error);
    }
  }
  fmt::print("{:<16} {:>5}  {}\n", "against PyTorch", "cases", "worst error");
  for (const auto& [norm, tally] : tallies)
    fmt::print("{:<16} {:>5}  {:.1e}\n", norm, tally.cases, tally.worst);
  CHECK(tallies["together"].cases >= 150);
}
