// Networks as PyTorch's code. That PyTorch makes the same of it is seen with PyTorch itself, which isn't part
// of the tests.
#include "trainer/pytorch_text.h"

#include <doctest/doctest.h>

#include <ballast/core/check.h>
#include <ballast/layers/batch_norm.h>
#include <ballast/layers/conv2d.h>
#include <ballast/layers/layer_norm.h>
#include <ballast/layers/linear.h>
#include <ballast/layers/residual.h>

#include "trainer/models.h"

using namespace ballast;
using namespace ballast::app;

TEST_CASE("pytorch_text: what differs from PyTorch's defaults is said, the rest is not") {
  const std::string line =
      "conv 8 3 pad=1 stride=2, batchnorm, relu, maxpool 2, conv 8 1 groups=8 bias=true, groupnorm 2, gelu, "
      "avgpool 2 "
      "stride=1, "
      "instancenorm, leaky_relu, flatten, linear 16, layernorm, tanh, dropout 0.25, linear";
  CHECK(pytorch_text(make_model({.model = line, .norm = "batch"}, {3, 16, 12}, 5)) == R"(from torch import nn

model = nn.Sequential(
    nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),  # 0
    nn.BatchNorm2d(8),  # 1
    nn.ReLU(),  # 2
    nn.MaxPool2d(2),  # 3
    nn.Conv2d(8, 8, 1, groups=8),  # 4
    nn.GroupNorm(2, 8),  # 5
    nn.GELU(),  # 6
    nn.AvgPool2d(2, stride=1),  # 7
    nn.InstanceNorm2d(8, affine=True),  # 8
    nn.LeakyReLU(0.01),  # 9
    nn.Flatten(),  # 10
    nn.Linear(48, 16, bias=False),  # 11
    nn.LayerNorm([16]),  # 12
    nn.Tanh(),  # 13
    nn.Dropout(0.25),  # 14
    nn.Linear(16, 5),  # 15
)
)");
}

TEST_CASE("pytorch_text: windows and steps that aren't square, options of norms, residual blocks") {
  Sequential body(Conv2d(2, 2, {3, 1}, {.stride = 1, .padding = {1, 0}}),
                  BatchNorm2d(2, {.eps = real(1e-3), .momentum = {}, .affine = false}));
  const std::string text =
      pytorch_text(Sequential(Residual(std::move(body)), LayerNorm(Shape{4, 4}, {.affine = false})));
  CHECK(text.find("class Residual(nn.Module):") != std::string::npos);
  CHECK(text.find("    Residual(nn.Sequential(\n"
                  "        nn.Conv2d(2, 2, (3, 1), padding=(1, 0)),  # 0\n"
                  "        nn.BatchNorm2d(2, eps=0.001, momentum=None, affine=False),  # 1\n"
                  "    ), nn.Sequential()),  # 0\n"
                  "    nn.LayerNorm([4, 4], elementwise_affine=False),  # 1\n") != std::string::npos);
}

TEST_CASE("pytorch_text: a layer of one's own is refused by name") {
  struct Own : Module {
    Tensor forward(Tensor x) override { return x; }
    std::string describe() const override { return "Own"; }
  };
  CHECK_THROWS_WITH_AS(pytorch_text(Sequential(Own(), Linear(2, 2))), "Own: PyTorch has no such layer",
                       ValueError);
}
