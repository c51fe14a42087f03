#pragma once

#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {

// Activations, element by element on any shape. Gradients of smooth ones take denormal numbers as zero (see
// elementwise.h).

/// max(x, 0), with gradient 0 at 0.
Tensor relu(Tensor x);
/// dy where y > 0, else 0; for operations that end in a ReLU.
Tensor relu_gradient(Tensor dy, const Tensor& y);
/// x for x > 0, slope x elsewhere (Maas et al. 2013).
Tensor leaky_relu(Tensor x, real slope = real(0.01));
/// 1 / (1 + e^-x), safe at both ends.
Tensor sigmoid(Tensor x);
Tensor tanh(Tensor x);
/// x for x > 0, alpha (e^x - 1) elsewhere (Clevert et al. 2016).
Tensor elu(Tensor x, real alpha = 1);
/// ln(1 + e^(beta x)) / beta, and x itself where beta x > threshold, as in PyTorch.
Tensor softplus(Tensor x, real beta = 1, real threshold = 20);
/// x sigmoid(x), also called swish (Ramachandran et al. 2017).
Tensor silu(Tensor x);
/// x Phi(x) with Phi the normal distribution function (Hendrycks & Gimpel 2016): exactly, or with their
/// approximation Phi(x) = (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.
enum class GeluForm { exact, tanh };
Tensor gelu(Tensor x, GeluForm form = GeluForm::exact);

/// exp(x - max) / sum exp(x - max) along `axis`.
Tensor softmax(Tensor x, int axis = -1);
/// log softmax(x) along `axis`, without forming the softmax.
Tensor log_softmax(Tensor x, int axis = -1);

}  // namespace ballast::inline BALLAST_PRECISION
