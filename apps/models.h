#pragma once

#include <ballast/layers/sequential.h>

#include "options.h"

namespace ballast::inline BALLAST_PRECISION {

/// The network that the options name, for samples of `sample_shape` (C, H, W):
///   mlp    flatten, then for each of --hidden: linear, norm, act, dropout; linear
///   lenet  LeNet-5 (LeCun et al. 1998) with the activation chosen and max pooling: conv 6 5x5 pad 2, norm,
///   act, pool,
///          conv 16 5x5, norm, act, pool, flatten, linear 120, act, dropout, linear 84, act, dropout, linear
///   cnn    conv 32 3x3 pad 1, norm, act, pool, conv 64 3x3 pad 1, norm, act, pool, flatten, linear 128, act,
///   dropout,
///          linear
/// A layer that a norm follows has no bias. Layer norm is over (C, H, W); group norm has 8 groups, or as many
/// as 8 and the number of channels have in common; instance norm is affine. Without --dropout there are no
/// dropout layers. Parts are named by their position, as in PyTorch's nn.Sequential. Throws ValueError for
/// unknown names and ShapeError for images too small.
Sequential make_model(const ModelOptions& options, const Shape& sample_shape, int classes);

/// The smallest batch the model can train on: 2 where a batch norm would get one value per channel, else 1.
/// Throws the layer's ShapeError when `batch_size` is smaller.
int64_t least_batch(const Sequential& model, const Shape& sample_shape, int64_t batch_size);

}  // namespace ballast::inline BALLAST_PRECISION
