#include "trainer/norms.h"

#include <numeric>

#include <ballast/layers/activation.h>
#include <ballast/layers/batch_norm.h>
#include <ballast/layers/group_norm.h>
#include <ballast/layers/instance_norm.h>
#include <ballast/layers/layer_norm.h>

#include "options/option.h"  // g++ 12 crashes on a table of Choice if it is the first with such defaults

namespace ballast::app {

int64_t group_count(const Shape& shape) {
  int64_t groups = std::gcd(int64_t{8}, shape[1]);
  //~ int64_t groups = 8;
  while (groups > 1 && shape.count() / groups < 16) groups /= 2;
  //~
  return groups;
}

void check_several(const char* norm, int64_t values) {
  check<ValueError>(values > 1,
                    "{} norm: it would be over a single value, of which nothing is left; use another norm, "
                    "--norm none, or a wider layer",
                    norm);
}

const Choices<NormMaker>& norms() {
  static const Choices<NormMaker> table = {
      {"none", "", [](Sequential&, const Shape&) {}},
      {"batch", "",
       [](Sequential& net, const Shape& shape) {
         if (shape.rank() == 4)
           net.add(BatchNorm2d(shape[1]));
         else
           net.add(BatchNorm1d(shape[1]));
       }},
      {"layer", "",
       [](Sequential& net, const Shape& shape) {
         check_several("layer", shape.count());
         net.add(LayerNorm(shape.without(0)));
       }},
      {"group", "",
       [](Sequential& net, const Shape& shape) {
         check_several("group", shape.count() / group_count(shape));
         net.add(GroupNorm(group_count(shape), shape[1]));
       }},
      {"instance", "",
       [](Sequential& net, const Shape& shape) {
         check<ValueError>(shape.rank() >= 3,
                           "instance normalization is over the pixels of each channel, and here are none; "
                           "use --norm layer, batch or group");
         check_several("instance", shape.count() / shape[1]);
         if (shape.rank() == 4)
           net.add(InstanceNorm2d(shape[1], {.affine = true}));
         else
           net.add(InstanceNorm1d(shape[1], {.affine = true}));
       }},
  };
  return table;
}

const Choices<ActivationMaker>& activations() {
  static const Choices<ActivationMaker> table = {
      {"relu", "", [](Sequential& net) { net.add(ReLU()); }},
      {"leaky_relu", "", [](Sequential& net) { net.add(LeakyReLU()); }},
      {"sigmoid", "", [](Sequential& net) { net.add(Sigmoid()); }},
      {"tanh", "", [](Sequential& net) { net.add(Tanh()); }},
      {"silu", "", [](Sequential& net) { net.add(SiLU()); }},
      {"gelu", "", [](Sequential& net) { net.add(GELU()); }},
      {"elu", "", [](Sequential& net) { net.add(ELU()); }},
      {"softplus", "", [](Sequential& net) { net.add(Softplus()); }},
  };
  return table;
}

}  // namespace ballast::app
