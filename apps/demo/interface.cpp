// What JavaScript calls: the demo as functions of numbers and of memory that they share. An error comes back
// as a text, which is empty if there is none.
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "demo/demo.h"

#ifdef __wasm__
#define BALLAST_EXPORT(name) __attribute__((export_name(#name)))
#else
#define BALLAST_EXPORT(name)
#endif

namespace {

using namespace ballast;
using namespace ballast::demo;

// The settings by name, in the order in which `demo_settings` holds their values; enumerations are numbers.
constexpr const char* names =
    "depth width activation placement scale lr batch_size test_order seed "
    "left.norm left.dropout left.evaluation right.norm right.dropout right.evaluation";
constexpr size_t setting_count = 15;

double values[setting_count];
float image[784];
std::unique_ptr<Demo> demo_now;
std::string text;
std::vector<float> floats;

template <class Enum>
Enum choice(double value) {
  return static_cast<Enum>(static_cast<int>(value));
}

Side side_at(const double* v) {
  return {choice<Norm>(v[0]), choice<Dropping>(v[1]), choice<Evaluation>(v[2])};
}

Settings settings() {
  return {.depth = static_cast<int>(values[0]),
          .width = static_cast<int>(values[1]),
          .activation = choice<Activation>(values[2]),
          .placement = choice<Placement>(values[3]),
          .scale = values[4],
          .lr = values[5],
          .batch_size = static_cast<int>(values[6]),
          .test_order = choice<TestOrder>(values[7]),
          .seed = static_cast<uint64_t>(values[8]),
          .sides = {side_at(values + 9), side_at(values + 12)}};
}

template <class Action>
const char* guarded(Action action) {
  text.clear();
  try {
    action();
  } catch (const Error& error) {
    text = error.message;
  } catch (const std::exception& error) {
    text = error.what();
  }
  return text.c_str();
}

}  // namespace

extern "C" {

BALLAST_EXPORT(demo_setting_names) const char* demo_setting_names() { return names; }
BALLAST_EXPORT(demo_settings) double* demo_settings() { return values; }
BALLAST_EXPORT(demo_image) float* demo_image() { return image; }

/// Two new networks by the settings.
BALLAST_EXPORT(demo_start) const char* demo_start() {
  return guarded([] { demo_now.reset(), demo_now = std::make_unique<Demo>(settings()); });
}
/// `steps` steps, of which the last is recorded if `records` isn't 0.
BALLAST_EXPORT(demo_train) const char* demo_train(int steps, int records) {
  return guarded([&] {
    for (int i = 1; i <= steps; ++i) demo_now->step(records != 0 && i == steps);
  });
}
BALLAST_EXPORT(demo_set_lr) void demo_set_lr(double lr) { demo_now->set_lr(lr); }

/// Of the last step, for each side: loss, accuracy, and for each hidden layer the gradient's norm, 65
/// quantiles of the activation's inputs and 65 of the layer's outputs.
BALLAST_EXPORT(demo_record) const float* demo_record() {
  floats.clear();
  for (int side = 0; side < 2; ++side) {
    const Trained& trained = demo_now->side(side);
    floats.insert(floats.end(), {trained.loss, trained.accuracy});
    for (const LayerRecord& layer : trained.layers) {
      floats.push_back(layer.gradient_norm);
      floats.insert(floats.end(), layer.inputs.begin(), layer.inputs.end());
      floats.insert(floats.end(), layer.outputs.begin(), layer.outputs.end());
    }
  }
  return floats.data();
}

BALLAST_EXPORT(demo_test_accuracy) double demo_test_accuracy(int side) {
  return demo_now->test_accuracy(side);
}
/// The ten probabilities for `demo_image`.
BALLAST_EXPORT(demo_classify) const float* demo_classify(int side) {
  const auto probabilities = demo_now->classify(side, image);
  floats.assign(probabilities.begin(), probabilities.end());
  return floats.data();
}
/// Writes a test image into `demo_image` and returns its class.
BALLAST_EXPORT(demo_test_image) int demo_test_image(int index) { return demo_now->test_image(index, image); }
/// In hexadecimal.
BALLAST_EXPORT(demo_hash) const char* demo_hash(int side) {
  return guarded([&] { text = fmt::format("{:016x}", demo_now->hash(side)); });
}
}
