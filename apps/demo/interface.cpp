#include "demo/interface.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "demo/demo.h"

namespace {

using namespace ballast;
using namespace ballast::demo;

constexpr const char* names =
    "depth width activation=relu,sigmoid,tanh,gelu placement=before,after scale lr batch_size "
    "test_order=mixed,sorted seed "
    "left.norm=none,batch,layer,group,rms,weight left.dropout=none,before_norms,after_last_norm "
    "left.evaluation=running,batch "
    "right.norm=none,batch,layer,group,rms,weight right.dropout=none,before_norms,after_last_norm "
    "right.evaluation=running,batch";
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

const char* demo_setting_names() { return names; }
double* demo_settings() { return values; }
float* demo_image() { return image; }

const char* demo_start() {
  return guarded([] { demo_now.reset(), demo_now = std::make_unique<Demo>(settings()); });
}

const char* demo_train(int steps, int records) {
  return guarded([&] {
    for (int i = 1; i <= steps; ++i) demo_now->step(records != 0 && i == steps);
  });
}

const char* demo_set_lr(double lr) {
  return guarded([&] { demo_now->set_lr(lr); });
}

const float* demo_record() {
  floats.clear();
  for (int side = 0; side < 2; ++side) {
    const Trained& trained = demo_now->side(side);
    floats.insert(floats.end(), {trained.loss, trained.accuracy});
    for (const LayerRecord& layer : trained.layers) {
      floats.insert(floats.end(),
                    {layer.gradient_norm, layer.weight_norm, layer.input_spread, layer.output_spread});
      floats.insert(floats.end(), layer.inputs.begin(), layer.inputs.end());
      floats.insert(floats.end(), layer.outputs.begin(), layer.outputs.end());
    }
  }
  return floats.data();
}

double demo_test_accuracy(int side) { return demo_now->test_accuracy(side); }

const float* demo_classify(int side) {
  const auto probabilities = demo_now->classify(side, image);
  floats.assign(probabilities.begin(), probabilities.end());
  return floats.data();
}

int demo_test_image(int index) { return demo_now->test_image(index, image); }

const char* demo_hash(int side) {
  return guarded([&] { text = fmt::format("{:016x}", demo_now->hash(side)); });
}
}
