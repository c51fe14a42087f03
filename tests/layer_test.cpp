// The contract of every layer in layer_list.h.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include <ballast/ballast.h>
#include <ballast/core/gradcheck.h>

#include "layer_list.h"
#include "same_bits.h"
#include "temp_folder.h"

using namespace ballast;

namespace {

// A layer of any type, so that each check is compiled once and not for every type.
struct Subject {
  Module& layer;
  Module& copy;  // as the layer was in the beginning
  std::function<Tensor(const Tensor&)> run, run_copy;
  Shape shape, wrong;  // see for_each_layer
};

void for_each_subject(const std::function<void(const Subject&)>& check) {
  for_each_layer([&](auto layer, const Shape& shape, const Shape& wrong) {
    auto copy = layer;
    CAPTURE(layer.describe());
    check({layer, copy, [&](const Tensor& x) { return layer(x); }, [&](const Tensor& x) { return copy(x); },
           shape, wrong});
  });
}

// Moves a layer away from its initial state, where many parameters are 0 or 1 and hide mistakes.
void disturb(Module& layer) {
  for_each_parameter(
      layer, [](const std::string&, Parameter& p) { p.assign(rand(p.shape(), real(0.5), real(1.5))); });
  for_each_buffer(layer,
                  [](const std::string&, Buffer& b) { b.assign(rand(b.shape(), real(0.5), real(1.5))); });
}

// The change of each output channel.
std::vector<double> changes(const Tensor& from, const Tensor& to, int channel_axis) {
  const int axis = channel_axis < 0 ? from.rank() + channel_axis : channel_axis;
  const int64_t channels = from.size(axis), positions = from.shape().count(axis + 1, from.rank());
  std::vector<double> found(static_cast<size_t>(channels));
  for (int64_t i = 0; i < from.count(); ++i)
    found[static_cast<size_t>(i / positions % channels)] += std::abs(from.data()[i] - to.data()[i]);
  return found;
}

}  // namespace

TEST_CASE("visit lists every parameter, and all of them learn") {
  manual_seed(1);
  for_each_subject([](const Subject& s) {
    disturb(s.layer);
    if (parameter_count(s.layer) == 0) return;
    SGD optimizer(s.layer, {.lr = 0.1});
    Tape tape;
    const Tensor y = s.run(randn(s.shape));
    tape.backward(sum(y * randn(y.shape())));
    for_each_parameter(s.layer, [](const std::string& path, Parameter& p) {
      CAPTURE(path);
      REQUIRE_FALSE(p.grad().empty());
      CHECK(p.grad().shape() == p.shape());
    });
    CHECK_NOTHROW(optimizer.step());  // throws if a parameter took part that visit doesn't list
  });
}

TEST_CASE("a layer loads what it saved") {
  manual_seed(2);
  const TempFolder folder;
  for_each_subject([&](const Subject& s) {
    disturb(s.layer);
    const Tensor x = randn(s.shape), y = s.run(x);
    disturb(s.copy);
    save(folder / "layer.safetensors", s.layer);
    load(folder / "layer.safetensors", s.copy);
    CHECK(same_bits(s.run_copy(x), y));
  });
}

TEST_CASE("evaluation repeats itself and writes nothing") {
  manual_seed(3);
  for_each_subject([](const Subject& s) {
    disturb(s.layer);
    std::vector<Tensor> values, originals;
    const auto for_each_value = [&](auto f) {
      for_each_parameter(s.layer, [&](const std::string&, Parameter& p) { f(p); });
      for_each_buffer(s.layer, [&](const std::string&, Buffer& b) { f(b); });
    };
    for_each_value([&](const Tensor& value) { originals.push_back(value.clone()); });
    const Tensor x = randn(s.shape), kept = x.clone();
    CHECK(same_bits(s.run(x), s.run(x)));
    CHECK(same_bits(x, kept));
    for_each_value([&](const Tensor& value) { values.push_back(value); });
    CHECK(std::equal(values.begin(), values.end(), originals.begin(), originals.end(), same_bits));
  });
}

TEST_CASE("a wrong shape is refused, naming the layer, the shape and the remedy") {
  for_each_subject([](const Subject& s) {
    if (s.wrong.rank() == 0) return;
    std::string message;
    try {
      s.run(zeros(s.wrong));
    } catch (const ShapeError& error) {
      message = error.what();
    }
    CAPTURE(message);
    CHECK(message.starts_with("ShapeError in "));
    const std::string name = s.layer.describe();
    // Those that consist of modules leave it to them.
    const bool of_modules =
        name.starts_with("Sequential") || name == "Residual" || name.starts_with("TransformerEncoderLayer");
    if (parameter_count(s.layer) && !of_modules) {
      CHECK(message.find(name) != message.npos);
    }
    CHECK(message.find(s.wrong.str()) != message.npos);
    const bool says_what_to_do = message.find("must") != message.npos || message.find("take") != message.npos;
    CHECK(says_what_to_do);
  });
}

TEST_CASE("errors of one-dimensional layers speak of lengths, not of images") {
  const auto message_of = [](auto f) {
    try {
      f();
    } catch (const Error& error) {
      return error.message;
    }
    return std::string("no error");
  };
  const auto called = [&](auto layer, const Shape& x) { return message_of([&] { layer(zeros(x)); }); };
  const auto has = [](const std::string& text, const std::string& part) {
    CAPTURE(text);
    CHECK(text.find(part) != text.npos);
  };
  has(called(Conv1d(2, 3, 2), {2, 4, 6}),
      "Conv1d 2 -> 3, 2: x is (2, 4, 6); it must be (N, C, L) with C = 2");
  has(called(Conv1d(2, 3, 3, {.padding = 1, .dilation = 4}), {2, 2, 6}),
      "x is (2, 2, 6); with padding 1 that is shorter than the kernel of 3 with dilation 4");
  has(called(MaxPool1d(3), {2, 2, 2}), "x is (2, 2, 2); with padding 0 that is shorter than a window of 3");
  has(called(AvgPool1d(3), {2, 2, 0}), "x is (2, 2, 0); with padding 0 that is shorter than a window of 3");
  has(message_of([] { Conv1d(2, 3, 0); }), "Conv1d: kernel 0, stride 1, padding 0, dilation 1;");
  has(message_of([] { Conv1d(2, 3, 2, {.stride = 0}); }),
      "Conv1d: kernel 2, stride 0, padding 0, dilation 1;");
  has(message_of([] { MaxPool1d(0); }), "MaxPool1d: window 0, stride 0, padding 0;");
  has(message_of([] { AvgPool1d(2, {.padding = 2}); }), "AvgPool1d: window 2, stride 2, padding 2;");
}

TEST_CASE("what a layer says of itself is so") {
  manual_seed(5);
  const double rounding = sizeof(real) == 4 ? 1e-3 : 1e-9;
  const auto length = [](const Tensor& x) { return std::sqrt(static_cast<double>(sum(x * x).item())); };
  for_each_subject([&](const Subject& s) {
    disturb(s.layer);
    const LayerInfo info = s.layer.info();
    REQUIRE(info.known);
    const bool counted = info.multiply_adds || info.structure != LayerInfo::Structure::other;
    CHECK(counted);
    const Tensor x = randn(s.shape), z = randn(s.shape), of_x = s.run(x), of_z = s.run(z);
    if (info.affine)
      CHECK(length(of_x + of_z - s.run(x + z) - s.run(zeros(s.shape))) <= rounding * length(of_x));
    if (info.lipschitz) CHECK(length(of_x - of_z) <= *info.lipschitz * length(x - z) * (1 + rounding));
    if (info.increasing) CHECK(length(s.run(maximum(x, z)) - maximum(of_x, of_z)) == 0);
    if (info.dead_at_zero) CHECK(length(s.run(full(s.shape, -1))) == 0);
    if (info.norm && info.norm->tracks())
      CHECK(info.norm->running_var->shape() == Shape{info.norm->channels});
  });
}

TEST_CASE("row o of the weight and element o of the bias that a layer names make channel o") {
  manual_seed(6);
  for_each_subject([](const Subject& s) {
    const LayerInfo info = s.layer.info();
    const Tensor x = randn(s.shape), y = s.run(x);
    for (Parameter* part : {info.weight, info.bias}) {
      if (!part || part->empty()) continue;
      part->data()[part->count() - 1] += 1;  // of the last row
      std::vector<double> changed = changes(y, s.run(x), info.channel_axis);
      part->data()[part->count() - 1] -= 1;
      CHECK(changed.back() > 0);
      changed.pop_back();
      CHECK(std::all_of(changed.begin(), changed.end(), [](double change) { return change == 0; }));
    }
  });
}

#ifdef BALLAST_DOUBLE
TEST_CASE("a layer's gradients are right") {
  manual_seed(4);
  for_each_subject([](const Subject& s) {
    disturb(s.layer);
    std::vector<Parameter*> parameters;
    for_each_parameter(s.layer, [&](const std::string&, Parameter& p) { parameters.push_back(&p); });
    s.layer.frozen.statistics = true;
    for (Mode mode : {Mode::train, Mode::eval}) {
      GradientCheck gradients([&](std::vector<Tensor> x) { return s.run(x[0]); }, {randn(s.shape)}, mode,
                              parameters);
      CHECK(gradients.full() == "");
    }
  });
}
#endif
