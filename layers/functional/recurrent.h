#pragma once

#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {

/// How a recurrent network's state follows from its gates, which are x W_ih^T + b_ih from the input and
/// h W_hh^T + b_hh from the state h, in PyTorch's order:
/// - tanh: h = tanh(gate), of one gate, their sum (Elman 1990);
/// - gru: h = (1 - z) n + z h with r = sigmoid(r_x + r_h), z = sigmoid(z_x + z_h), n = tanh(n_x + r n_h)
///   (Cho et al. 2014, with the reset gate behind the product, as in cuDNN and PyTorch);
/// - lstm: c = sigmoid(f) c + sigmoid(i) tanh(g), h = sigmoid(o) tanh(c), of i, f, g, o, their sums
///   (Hochreiter & Schmidhuber 1997, with Gers et al.'s forget gate).
enum class RecurrentCell { tanh, gru, lstm };

struct RecurrentOrder {
  bool reverse = false;  // from the last position to the first
  Labels lengths = {};   // of samples that are padded: behind its end, a state stays as it is; or none
};

/// All states h of a sequence, from what the gates get from the input at each position, (L, N, gates H), and
/// the states h and c (N, H) before the first one; c for an LSTM alone. weight is W_hh, (gates H, H), and
/// bias b_hh or no tensor. The result is (L + 1, N, H): the state before the sequence and the one after each
/// position, beside each other as the positions are, so that the one before a reversed sequence comes last.
/// An LSTM's has its last c behind them, (L + 2, N, H).
Tensor recurrent(RecurrentCell cell, Tensor x_gates, Tensor weight, Tensor bias, Tensor h, Tensor c,
                 const RecurrentOrder& order = {});

}  // namespace ballast::inline BALLAST_PRECISION
