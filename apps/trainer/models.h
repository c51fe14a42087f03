#pragma once

#include <ballast/layers/sequential.h>

#include "options/choice.h"
#include "options/options.h"

namespace ballast::app {

class ModelBuilder;

/// Adds the layers of a model, but for the last one, which gives the logits.
using ModelMaker = void (*)(ModelBuilder&, const ModelOptions&);
const Choices<ModelMaker>& models();

/// Adds a norm, given the shape of what it is for: (1, C) or (1, C, H, W).
using NormMaker = void (*)(Sequential&, const Shape&);
const Choices<NormMaker>& norms();

using ActivationMaker = void (*)(Sequential&);
const Choices<ActivationMaker>& activations();

/// The network that the options name, from samples of `sample_shape` (C, H, W) to `outputs` numbers each:
///   mlp    flatten, then for each of --hidden: linear, norm, act, dropout; linear
///   lenet  LeNet-5 (LeCun et al. 1998) with the activation chosen and max pooling: conv 6 5x5 pad 2, norm,
///          act, pool, conv 16 5x5, norm, act, pool, flatten, linear 120, act, dropout, linear 84, act,
///          dropout, linear
///   cnn    conv 32 3x3 pad 1, norm, act, pool, conv 64 3x3 pad 1, norm, act, pool, flatten, linear 128, act,
///          dropout, linear
/// A layer that a norm follows has no bias. Layer norm is over (C, H, W); instance norm is affine; for group
/// norm see `group_count`. Without --dropout there are no dropout layers. Parts are named by their position,
/// as in PyTorch's nn.Sequential. Throws ValueError for unknown names and ShapeError for images too small.
Sequential make_model(const ModelOptions& options, const Shape& sample_shape, int64_t outputs);

/// The number of groups of --norm group for values of shape (1, C) or (1, C, H, W): the most of 8, 4, 2 and 1
/// that divides C and leaves at least 16 values to each group. Fewer values say little about their mean and
/// deviation; of a single one, nothing is left but the bias. (For the channels of images, 16 per group is the
/// choice of Wu & He 2018, arXiv:1803.08494, table 3.)
int64_t group_count(const Shape& shape);

/// The smallest batch the model can train on: 2 where a batch norm would get one value per channel, else 1.
/// Throws the layer's ShapeError when `batch_size` is smaller.
int64_t least_batch(const Sequential& model, const Shape& sample_shape, int64_t batch_size);

}  // namespace ballast::app
