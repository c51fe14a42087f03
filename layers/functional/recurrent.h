#pragma once

#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {

// Cells of recurrent networks: one step of N samples with H units each, in PyTorch's order of gates.

/// The state of a long short-term memory (Hochreiter & Schmidhuber 1997, with Gers et al.'s forget gate):
/// sigmoid(f) c + sigmoid(i) tanh(g). gates (N, 4H) are i, f, g and o one after the other; c (N, H).
Tensor lstm_state(Tensor gates, Tensor c);
/// Its output, sigmoid(o) tanh(c).
Tensor lstm_output(Tensor gates, Tensor c);

/// The state of a gated recurrent unit (Cho et al. 2014, with the reset gate behind the product, as in cuDNN
/// and PyTorch): (1 - z) n + z h with r = sigmoid(r_x + r_h), z = sigmoid(z_x + z_h), n = tanh(n_x + r n_h).
/// The gates (N, 3H), from the input and from the state, are r, z and n one after the other; h (N, H).
Tensor gru_state(Tensor x_gates, Tensor h_gates, Tensor h);

}  // namespace ballast::inline BALLAST_PRECISION
