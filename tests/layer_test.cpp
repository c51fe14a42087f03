// The contract of every layer in layer_list.h.
#include <doctest/doctest.h>

#include <ballast/ballast.h>

#include "gradcheck.h"
#include "layer_list.h"
#include "temp_folder.h"

using namespace ballast;

namespace {

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::equal(a.values().begin(), a.values().end(), b.values().begin());
}

// Moves a layer away from its initial state, where many parameters are 0 or 1 and hide mistakes.
template <class Layer>
void disturb(Layer& layer) {
  for_each_parameter(
      layer, [](const std::string&, Parameter& p) { p.assign(rand(p.shape(), real(0.5), real(1.5))); });
  for_each_buffer(layer,
                  [](const std::string&, Buffer& b) { b.assign(rand(b.shape(), real(0.5), real(1.5))); });
}

}  // namespace

TEST_CASE("visit lists every parameter, and all of them learn") {
  manual_seed(1);
  for_each_layer([](auto layer, const Shape& shape, const Shape&) {
    CAPTURE(layer.describe());
    disturb(layer);
    if (parameter_count(layer) == 0) return;
    SGD optimizer(layer, {.lr = 0.1});
    Tape tape;
    const Tensor y = layer(randn(shape));
    tape.backward(sum(y * randn(y.shape())));
    for_each_parameter(layer, [](const std::string& path, Parameter& p) {
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
  for_each_layer([&](auto layer, const Shape& shape, const Shape&) {
    CAPTURE(layer.describe());
    disturb(layer);
    const Tensor x = randn(shape), y = layer(x);
    auto other = layer;
    disturb(other);
    save(folder / "layer.safetensors", layer);
    load(folder / "layer.safetensors", other);
    CHECK(same_bits(other(x), y));
  });
}

TEST_CASE("evaluation repeats itself and writes nothing") {
  manual_seed(3);
  for_each_layer([](auto layer, const Shape& shape, const Shape&) {
    CAPTURE(layer.describe());
    disturb(layer);
    const auto before = layer;
    const Tensor x = randn(shape), kept = x.clone();
    CHECK(same_bits(layer(x), layer(x)));
    CHECK(same_bits(x, kept));
    auto untouched = before;
    std::vector<Tensor> values, originals;
    const auto collect = [](Module& m, std::vector<Tensor>& to) {
      for_each_parameter(m, [&](const std::string&, Parameter& p) { to.push_back(p); });
      for_each_buffer(m, [&](const std::string&, Buffer& b) { to.push_back(b); });
    };
    collect(layer, values);
    collect(untouched, originals);
    CHECK(std::equal(values.begin(), values.end(), originals.begin(), originals.end(), same_bits));
  });
}

TEST_CASE("a wrong shape is refused, naming the layer, the shape and the remedy") {
  for_each_layer([](auto layer, const Shape&, const Shape& wrong) {
    if (wrong.rank() == 0) return;
    CAPTURE(layer.describe());
    std::string message;
    try {
      layer(zeros(wrong));
    } catch (const ShapeError& error) {
      message = error.what();
    }
    CAPTURE(message);
    CHECK(message.starts_with("ShapeError in "));
    if (parameter_count(layer) && layer.describe().find("Sequential") == message.npos &&
        layer.describe() != "Residual") {
      CHECK(message.find(layer.describe()) != message.npos);
    }
    CHECK(message.find(wrong.str()) != message.npos);
    const bool says_what_to_do = message.find("must") != message.npos || message.find("take") != message.npos;
    CHECK(says_what_to_do);
  });
}

#ifdef BALLAST_DOUBLE
TEST_CASE("a layer's gradients are right") {
  manual_seed(4);
  for_each_layer([](auto layer, const Shape& shape, const Shape&) {
    CAPTURE(layer.describe());
    disturb(layer);
    std::vector<Parameter*> parameters;
    for_each_parameter(layer, [&](const std::string&, Parameter& p) { parameters.push_back(&p); });
    layer.frozen.statistics = true;
    for (Mode mode : {Mode::train, Mode::eval}) {
      GradientCheck gradients([&](std::vector<Tensor> x) { return layer(x[0]); }, {randn(shape)}, mode,
                              parameters);
      CHECK(gradients.full() == "");
    }
  });
}
#endif
