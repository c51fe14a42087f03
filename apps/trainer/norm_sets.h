#pragma once

#include <string>

#include <ballast/core/layer_info.h>
#include <ballast/core/shape.h>

namespace ballast::app {

/// A norm of inputs of shape `x`, whose channels are those of axis 1: layer norm counts each element of its
/// axes as a channel; here a channel is one whatever its positions.
NormInfo by_channels(NormInfo norm, const Shape& x);

/// "32 means and variances, each of 128 samples x 784 positions = 100,352 values; in evaluation ..."; the
/// norm is by channels.
std::string norm_text(const NormInfo& norm, const Shape& x);

}  // namespace ballast::app
