#pragma once

#include <ballast/ballast.h>

/// Calls f(layer, shape, wrong) for every layer there is: `shape` is an input it takes, `wrong` one it must
/// refuse, or {} for a layer that takes any. One line here, and the whole contract of layer_test.cpp applies
/// to a new layer.
template <class F>
void for_each_layer(F f) {
  using namespace ballast;
  const Shape any;
  f(Linear(4, 3), Shape{5, 4}, Shape{5, 3});
  f(Linear(4, 3, {.bias = false}), Shape{2, 5, 4}, Shape{4, 5});
  f(Conv2d(2, 4, 3, {.padding = 1, .groups = 2}), Shape{2, 2, 5, 4}, Shape{2, 3, 5, 4});
  f(Conv1d(2, 3, 2, {.stride = 2}), Shape{2, 2, 6}, Shape{2, 2, 6, 1});
  f(ReLU(), Shape{3, 4}, any);
  f(LeakyReLU(), Shape{3, 4}, any);
  f(Sigmoid(), Shape{3, 4}, any);
  f(Tanh(), Shape{3, 4}, any);
  f(SiLU(), Shape{3, 4}, any);
  f(GELU(), Shape{3, 4}, any);
  f(Softmax(), Shape{3, 4}, any);
  f(Dropout(0.4), Shape{3, 4}, any);
  f(Flatten(), Shape{2, 3, 2}, Shape{3});
  f(MaxPool2d(2), Shape{2, 2, 4, 6}, Shape{2, 2, 1, 6});
  f(AvgPool2d({2, 3}, {.stride = 1}), Shape{2, 2, 4, 6}, Shape{2, 4, 6});
  f(MaxPool1d(2), Shape{2, 2, 6}, Shape{2, 6});
  f(AvgPool1d(2), Shape{2, 2, 6}, Shape{2, 6});
  f(GlobalAvgPool(), Shape{2, 3, 4, 2}, Shape{2, 3, 4});
  f(BatchNorm1d(3), Shape{6, 3}, Shape{6, 4});
  f(BatchNorm1d(3, {.momentum = {}}), Shape{6, 3, 2}, Shape{6, 3, 2, 2});
  f(BatchNorm2d(3), Shape{2, 3, 4, 2}, Shape{6, 3});
  f(LayerNorm({3, 2}), Shape{4, 3, 2}, Shape{4, 2, 3});
  f(GroupNorm(2, 4), Shape{3, 4, 2, 2}, Shape{3, 6, 2, 2});
  f(InstanceNorm2d(3), Shape{2, 3, 4, 2}, Shape{2, 4, 4, 2});
  f(InstanceNorm2d(3, {.affine = true, .track_running_stats = true}), Shape{2, 3, 4, 2}, Shape{2, 3, 4});
  f(InstanceNorm1d(3, {.affine = true}), Shape{2, 3, 4}, Shape{2, 3});
  f(RMSNorm({3, 2}), Shape{4, 3, 2}, Shape{4, 2, 3});
  f(WeightNorm(Linear(4, 3)), Shape{5, 4}, Shape{5, 3});
  f(WeightNorm(Conv2d(2, 4, 3, {.padding = 1, .groups = 2})), Shape{2, 2, 5, 4}, Shape{2, 3, 5, 4});
  f(SpectralNorm(Linear(4, 3)), Shape{5, 4}, Shape{5, 3});
  f(SpectralNorm(Conv2d(2, 3, 2, {.bias = false})), Shape{2, 2, 5, 4}, Shape{2, 3, 5, 4});
  f(ELU(), Shape{3, 4}, any);
  f(Softplus(), Shape{3, 4}, any);
  f(Dropout2d(0.4), Shape{3, 4, 2}, Shape{3});
  f(AdaptiveAvgPool2d({2, 3}), Shape{2, 2, 5, 4}, Shape{2, 2, 5});
  f(Upsample({2, 3}, UpsampleMode::bilinear), Shape{2, 2, 3, 2}, Shape{2, 2, 3});
  f(ConvTranspose2d(2, 4, 3, {.stride = 2, .padding = 1, .output_padding = 1, .groups = 2}),
    Shape{2, 2, 3, 4}, Shape{2, 3, 3, 4});
  f(PositionEmbedding(5, 4), Shape{2, 3, 4}, Shape{2, 6, 4});
  f(Rows(), Shape{2, 2, 3, 4}, Shape{2, 3, 4});
  f(Patches(2), Shape{2, 2, 4, 6}, Shape{2, 2, 4, 5});
  f(LastPosition(), Shape{2, 3, 4}, Shape{2, 3});
  f(MeanPosition(), Shape{2, 3, 4}, Shape{2, 3});
  f(RNN(4, 3), Shape{2, 5, 4}, Shape{2, 5, 3});
  f(GRU(4, 3, {.layers = 2, .dropout = 0.5}), Shape{2, 5, 4}, Shape{5, 4});
  f(LSTM(4, 3, {.bidirectional = true}), Shape{2, 5, 4}, Shape{2, 0, 4});
  f(LSTM(4, 3, {.layer_norm = true}), Shape{2, 5, 4}, Shape{2, 5, 3});
  f(MultiheadAttention(4, 2), Shape{2, 5, 4}, Shape{2, 5, 3});
  f(TransformerEncoderLayer(4, 2, {.feedforward = 6, .norm_first = true}), Shape{2, 5, 4}, Shape{2, 5, 3});
  f(Sequential(Linear(4, 3), BatchNorm1d(3), ReLU()), Shape{5, 4}, Shape{5, 3});
  f(Residual(Sequential(Linear(4, 4), Tanh())), Shape{5, 4}, Shape{5, 3});
}
