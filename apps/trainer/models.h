#pragma once

#include <ballast/layers/sequential.h>

#include "options/choice.h"
#include "options/options.h"
#include "trainer/model_line.h"
#include "trainer/norms.h"

namespace ballast::app {

/// A named model: a line, as these options make it. "resnet-N" stands for each depth N.
using LineMaker = std::string (*)(const ModelOptions&);
const Choices<LineMaker>& presets();

/// The line of --model, a preset's or its own. Throws ValueError for what is neither, ModelError for a line
/// that can't be read.
ModelLine model_line(const ModelOptions& options);
/// Throws what `model_line` throws for it.
void check_model(const std::string& model);

/// The network of --model, from samples of `sample_shape` to `outputs` numbers each. Parts are named by their
/// position, as in PyTorch's nn.Sequential. Throws ValueError.
Sequential make_model(const ModelOptions& options, const Shape& sample_shape, int64_t outputs);

/// Names of the options that the model reads: hidden, norm, act, dropout.
Given options_read(const ModelOptions& options);

/// For the names of files: the preset, or "custom".
std::string short_name(const ModelOptions& options);
/// "mlp, batch normalization"
std::string description(const ModelOptions& options);

/// The same model with each batch norm folded into the layer before it, which has a bias then.
ModelOptions without_batch_norms(ModelOptions options);

/// The smallest batch the model can train on: 2 where a batch norm would get one value per channel, else 1.
/// Throws the layer's ShapeError when `batch_size` is smaller.
int64_t least_batch(const Sequential& model, const Shape& sample_shape, int64_t batch_size);

}  // namespace ballast::app
