#pragma once

#include <ballast/ballast.h>

namespace bench {

/// What a step costs whatever the program: the operations of its matrix products and direct convolutions, and
/// the bytes that have to pass through memory.
struct Cost {
  double flops = 0, bytes = 0;
};

/// Of a training step on a batch of this shape. The first layer's input needs no gradient. The bytes:
///   parameters and the optimizer's state, `parameter_passes` times;
///   what a product or convolution reads, twice: written and, for the weight's gradient, read again;
///   what a norm reads, five times: written, normalized; read in backward, its gradient written and read.
/// Everything else can be fused with these; what is smaller than 1 MB stays in cache and counts as nothing.
Cost training_cost(ballast::Module& net, const ballast::Shape& batch, int parameter_passes);

/// Of an evaluation: the weights are read once, everything else can stay in cache.
Cost inference_cost(ballast::Module& net, const ballast::Shape& batch);

}  // namespace bench
