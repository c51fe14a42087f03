// The native side of tests/wasm_hashes.mjs: the same lines.
#include <fmt/core.h>

#include "demo/demo.h"

using namespace ballast::demo;

int main() {
  constexpr const char* activations[] = {"relu", "sigmoid", "tanh", "gelu"};
  constexpr const char* norms[] = {"none", "batch", "layer", "group", "rms", "weight"};
  for (int activation = 0; activation < 4; ++activation) {
    for (int norm = 0; norm < 6; norm += 2) {
      Demo demo({.depth = 3,
                 .width = 50,
                 .activation = static_cast<Activation>(activation),
                 .batch_size = 32,
                 .sides = {Side{.norm = static_cast<Norm>(norm)},
                           Side{.norm = static_cast<Norm>(norm + 1), .dropout = Dropping::after_last_norm}}});
      for (int step = 0; step < 1000; ++step) demo.step(false);
      fmt::print("{}: {} {:016x}, {} {:016x}, {:.4f} and {:.4f}\n", activations[activation], norms[norm],
                 demo.hash(0), norms[norm + 1], demo.hash(1), demo.test_accuracy(0), demo.test_accuracy(1));
    }
  }
}
