#pragma once

#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {

// Activations, element by element on any shape. The smooth ones take denormal numbers as zero (see
// elementwise.h); relu and leaky_relu keep them.

/// max(x, 0), with gradient 0 at 0.
Tensor relu(Tensor x);
/// dy where y > 0, else 0; for operations that end in a ReLU.
Tensor relu_gradient(Tensor dy, const Tensor& y);
/// x for x > 0, slope x elsewhere (Maas et al. 2013).
Tensor leaky_relu(Tensor x, real slope = real(0.01));
/// 1 / (1 + e^-x), safe at both ends.
Tensor sigmoid(Tensor x);
Tensor tanh(Tensor x);
/// x sigmoid(x), also called swish (Ramachandran et al. 2017).
Tensor silu(Tensor x);
/// x Phi(x) with Phi the normal distribution function, exactly, by erf (Hendrycks & Gimpel 2016).
Tensor gelu(Tensor x);

/// exp(x - max) / sum exp(x - max) along `axis`.
Tensor softmax(Tensor x, int axis = -1);
/// log softmax(x) along `axis`, without forming the softmax.
Tensor log_softmax(Tensor x, int axis = -1);

}  // namespace ballast::inline BALLAST_PRECISION
