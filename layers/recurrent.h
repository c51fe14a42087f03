#pragma once

#include <optional>
#include <string>
#include <vector>

#include <ballast/core/module.h>
#include <ballast/layers/functional/recurrent.h>
#include <ballast/layers/layer_norm.h>

namespace ballast::inline BALLAST_PRECISION {

struct RecurrentOptions {
  int64_t layers = 1;
  bool bidirectional = false;
  bool bias = true;
  double dropout = 0;       // between layers
  bool layer_norm = false;  // inside the cells; see RecurrentLayer
};

/// The states of all layers and directions, (layers directions, N, hidden), in PyTorch's order. `c` is that
/// of an LSTM. No tensor stands for zeros.
struct RecurrentState {
  Tensor h = {}, c = {};
};

/// What RNN, GRU and LSTM have in common: x (N, L, in) -> (N, L, hidden), or 2 hidden if bidirectional
/// (PyTorch's batch_first = true). Parameters have PyTorch's names and start from U(+-1/sqrt(hidden)).
///
/// With `layer_norm`, what a cell gets from its input and from its state is normalized, each with weight and
/// bias of its own, and so is the state c of an LSTM before its output (Ba et al. 2016, section 3.1 and
/// appendix); the products then have no bias, which would come to the same as those of the norms.
class RecurrentLayer : public Module {
 public:
  struct Result {
    Tensor y;
    RecurrentState last;
  };

  /// From a state of zeros, all samples of the full length.
  Tensor forward(Tensor x) override { return run(std::move(x), {}, {}).y; }
  using Module::operator();
  /// Sample n has lengths[n] positions and is padded behind them: there its output is 0, and `last` is its
  /// state after its own last position, as of PyTorch's packed sequences. Without lengths all are of length
  /// L.
  Result operator()(Tensor x, const Labels& lengths, const RecurrentState& initial = {});

  void visit(Visitor& v) override;
  LayerInfo info() override;
  std::string describe() const override;

  int64_t in() const { return in_; }
  int64_t hidden() const { return hidden_; }
  const RecurrentOptions& options() const { return options_; }

 protected:
  using Cell = RecurrentCell;
  RecurrentLayer(Cell cell, int64_t in, int64_t hidden, const RecurrentOptions& options);

 private:
  // One direction of one layer.
  struct Direction : Parts {
    Parameter weight_ih, weight_hh, bias_ih, bias_hh;
    std::optional<LayerNorm> norm_ih, norm_hh, norm_c;
  };
  Result run(Tensor x, const Labels& lengths, const RecurrentState& initial);
  Tensor run_direction(Direction& d, const Tensor& x, const RecurrentOrder& order, const Tensor& present,
                       RecurrentState& state);
  Tensor run_steps(Direction& d, const Tensor& from_input, bool reverse, const Tensor& present,
                   RecurrentState& state);
  RecurrentState step(Direction& d, Tensor from_input, const RecurrentState& state);
  void check_arguments(const Tensor& x, const Labels& lengths, const RecurrentState& initial) const;
  int64_t gates() const { return cell_ == Cell::lstm ? 4 : cell_ == Cell::gru ? 3 : 1; }
  int64_t directions() const { return options_.bidirectional ? 2 : 1; }
  const char* name() const { return cell_ == Cell::lstm ? "LSTM" : cell_ == Cell::gru ? "GRU" : "RNN"; }

  Cell cell_;
  int64_t in_, hidden_;
  RecurrentOptions options_;
  std::vector<Direction> directions_;  // layer by layer, each forwards and then, if bidirectional, backwards
};

/// A plain recurrent network: h = tanh(W_ih x + b_ih + W_hh h + b_hh) (Elman 1990).
struct RNN : RecurrentLayer {
  RNN(int64_t in, int64_t hidden, const RecurrentOptions& options = {})
      : RecurrentLayer(Cell::tanh, in, hidden, options) {}
};

/// Gated recurrent units; see RecurrentCell.
struct GRU : RecurrentLayer {
  GRU(int64_t in, int64_t hidden, const RecurrentOptions& options = {})
      : RecurrentLayer(Cell::gru, in, hidden, options) {}
};

/// Long short-term memory; see RecurrentCell.
struct LSTM : RecurrentLayer {
  LSTM(int64_t in, int64_t hidden, const RecurrentOptions& options = {})
      : RecurrentLayer(Cell::lstm, in, hidden, options) {}
};

}  // namespace ballast::inline BALLAST_PRECISION
