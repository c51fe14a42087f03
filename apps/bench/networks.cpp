#include "networks.h"

namespace bench {
using namespace ballast;
namespace {

void add_norm(Sequential& net, const std::string& norm, const Shape& image) {
  const int64_t channels = image[0];
  if (norm == "bn") net.add(BatchNorm2d(channels));
  if (norm == "gn") net.add(GroupNorm(8, channels));
  if (norm == "ln") net.add(LayerNorm(image));
  if (norm == "in") net.add(InstanceNorm2d(channels, {.affine = true}));
}

void add_block(Sequential& net, int64_t in, int64_t out, int64_t stride) {
  Sequential body(Conv2d(in, out, 3, {.stride = stride, .padding = 1, .bias = false}), BatchNorm2d(out),
                  ReLU(), Conv2d(out, out, 3, {.padding = 1, .bias = false}), BatchNorm2d(out));
  Sequential shortcut;
  if (in != out)
    shortcut = Sequential(Conv2d(in, out, 1, {.stride = stride, .bias = false}), BatchNorm2d(out));
  net.add(Residual(std::move(body), std::move(shortcut)));
  net.add(ReLU());
}

}  // namespace

Sequential mlp(const std::vector<int64_t>& hidden, bool batch_norm) {
  Sequential net;
  net.add(Flatten());
  int64_t in = 784;
  for (int64_t width : hidden) {
    net.add(Linear(in, width));
    if (batch_norm) net.add(BatchNorm1d(width));
    net.add(ReLU());
    in = width;
  }
  net.add(Linear(in, 10));
  return net;
}

Sequential sigmoid_mlp() {
  return Sequential(Flatten(), Linear(784, 100), BatchNorm1d(100), Sigmoid(), Linear(100, 100),
                    BatchNorm1d(100), Sigmoid(), Linear(100, 100), BatchNorm1d(100), Sigmoid(),
                    Linear(100, 10));
}

Sequential cnn(const std::string& norm, int64_t height, int64_t width) {
  Sequential net;
  net.add(Conv2d(1, 32, 3, {.padding = 1}));
  add_norm(net, norm, {32, height, width});
  net.add(ReLU());
  net.add(MaxPool2d(2));
  net.add(Conv2d(32, 64, 3, {.padding = 1}));
  add_norm(net, norm, {64, height / 2, width / 2});
  net.add(ReLU());
  net.add(MaxPool2d(2));
  net.add(Flatten());
  net.add(Linear(64 * (height / 4) * (width / 4), 128));
  net.add(ReLU());
  net.add(Linear(128, 10));
  return net;
}

Sequential resnet() {
  Sequential net(Conv2d(3, 32, 3, {.padding = 1, .bias = false}), BatchNorm2d(32), ReLU());
  add_block(net, 32, 32, 1);
  add_block(net, 32, 32, 1);
  add_block(net, 32, 64, 2);
  add_block(net, 64, 64, 1);
  add_block(net, 64, 128, 2);
  add_block(net, 128, 128, 1);
  net.add(GlobalAvgPool());
  net.add(Flatten());
  net.add(Linear(128, 10));
  return net;
}

Tensor HandWrittenMlp::forward(Tensor x) { return fc3(relu(fc2(relu(fc1(flatten(x)))))); }

Tensor HandWrittenCnn::forward(Tensor x) {
  x = norm1(conv1(x), then::relu_max_pool);
  x = norm2(conv2(x), then::relu_max_pool);
  return fc2(fc1(flatten(x), then::relu));
}

void HandWrittenCnn::visit(Visitor& v) {
  v("conv1", conv1), v("norm1", norm1), v("conv2", conv2), v("norm2", norm2), v("fc1", fc1), v("fc2", fc2);
}

}  // namespace bench
