#pragma once

#include <ballast/ballast.h>

#include <string>
#include <vector>

namespace bench {

// The networks of the workloads, as a user would write them.

/// Flattens, then for each of `hidden`: linear, batch norm if asked for, ReLU; then linear to 10.
ballast::Sequential mlp(const std::vector<int64_t>& hidden, bool batch_norm = false);
/// 784-100-100-100-10 with batch norm and sigmoid, as in the paper of batch normalization.
ballast::Sequential sigmoid_mlp();
/// Two convolutions with norm ("bn", "gn", "ln" or "in"), ReLU and pooling, then two linear layers, on images
/// (1, height, width).
ballast::Sequential cnn(const std::string& norm = "bn", int64_t height = 28, int64_t width = 28);
/// Three stages of two basic residual blocks on images (3, 32, 32).
ballast::Sequential resnet();

/// mlp({512, 512}) and cnn() by hand: layers are members, the rest is functions.
struct HandWrittenMlp : ballast::Module {
  ballast::Linear fc1{784, 512}, fc2{512, 512}, fc3{512, 10};
  ballast::Tensor forward(ballast::Tensor x) override;
  void visit(ballast::Visitor& v) override { v("fc1", fc1), v("fc2", fc2), v("fc3", fc3); }
};
struct HandWrittenCnn : ballast::Module {
  ballast::Conv2d conv1{1, 32, 3, {.padding = 1}}, conv2{32, 64, 3, {.padding = 1}};
  ballast::BatchNorm2d norm1{32}, norm2{64};
  ballast::Linear fc1{3136, 128}, fc2{128, 10};
  ballast::Tensor forward(ballast::Tensor x) override;
  void visit(ballast::Visitor& v) override;
};

}  // namespace bench
