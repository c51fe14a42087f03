#pragma once

#include <cstdint>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION::detail {

// The inner loops, compiled once per instruction set. The files in isa/ see nothing of the library but this
// header, so that no inline function compiled for one processor is ever linked into the code of another.

/// Where the products of a tile go, and what is done to them on the way: c = relu(beta c + product + bias).
/// Element (row, column) is at c + row row_step + column.
struct Output {
  real* c;
  int64_t row_step;
  real beta = 0;                      // with 0, c may be uninitialized
  const real* row_bias = nullptr;     // a number per row, or
  const real* column_bias = nullptr;  // per column
  bool relu = false;
};

/// sum over k of left(row, k) right(k, column), for `rows` x `columns` elements: one walk through memory for
/// each operand. left(row, k) is at left + row left_row + k left_step; one of the steps is 1.
struct Product {
  int64_t rows, columns, depth;
  const real* left;
  int64_t left_row, left_step;
  const real* right;
};

/// Two sums that are formed in one pass.
struct Sums {
  double a = 0, b = 0;
};

/// So many elements on, in the order of memory, the norm's functions call for what is read later: further
/// than the processor's own prefetching looks.
inline constexpr int64_t called_ahead = 1024;

/// `count` neighbours that are normalized alike: y = weight xhat + bias, where xhat = ((x - high) - low)
/// rstd. The mean comes in two parts, high + low: x - high is exact near the mean, so that a large mean costs
/// no digits.
struct Run {
  int64_t count;
  real high, low, rstd;
  real weight = 1, bias = 0;                         // of all of them; or
  const real *weights = nullptr, *biases = nullptr;  // of each, both
  bool relu = false;                                 // y = max(0, ...)
  bool stream = false;                               // what is written goes past the caches, and meanwhile
  int64_t x_ahead = called_ahead, dy_ahead = called_ahead;  // elements so far on are called for
};

/// Rows of `columns` neighbours, each column normalized by itself: the same with a number per column.
struct Columns {
  int64_t rows, columns, stride;
  const real *high, *low, *rstd, *weight, *bias;
  bool relu = false;
};

/// rows x columns windows of 2 x 2 side by side, over rows of `width` elements.
struct PoolPlane {
  int64_t rows, columns, width;
};

/// Adam (Kingma & Ba 2015): g = grad + l2 value; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
/// value = decay value - rate m / (sqrt(v) / sqrt(1 - beta2^t) + eps). The rate contains the correction of m.
struct AdamStep {
  real l2, beta1, one_minus_beta1, beta2, one_minus_beta2, decay, rate, v_correction, eps;
};

/// Weights (filters, channels, 3, 3) -> `to`: for each of 36 frequencies, `frequency_step` elements apart,
/// panels of filters, (panels, channels, panel).
struct WinogradFilters {
  int64_t filters, channels, frequency_step;
  const real* weight;
  real* to;
};

/// A plane of height x width within a frame of zeros: its first row and column there, and the frame's size.
struct Frame {
  int64_t height, width, top, left, frame_height, frame_width;
};

/// Up to 4 x 4 outputs. `width` is that of the rows in which its pixels lie, and frequency f lies f
/// frequency_step elements behind the first. Two rows of outputs or fewer have no frequencies in rows 3 and 4
/// of the 6 x 6, and two columns or fewer none in columns 3 and 4.
struct WinogradTile {
  int64_t rows, columns, width, frequency_step;
};

/// Sums over tiles of input times gradient for each frequency, (36, channels, panels * panel filters) -> the
/// weights' gradient, as panels of filters (panels, channels * 9, panel).
struct WinogradWeights {
  int64_t channels, panels;
  const real* sums;
  real* to;
};

/// g = grad + l2 value; with a momentum buffer b = momentum b + (1 - dampening) g, and what is stepped along
/// is b, or with Nesterov's momentum g + momentum b; value -= rate times that.
struct SGDStep {
  real l2, momentum, one_minus_dampening, rate;
  bool nesterov;
};

struct Kernels {
  const char* isa;
  /// Rows of `right` are read in panels this wide: what it points at must be readable that far.
  int64_t panel;

#define BALLAST_KERNEL(result, name, parameters) result(*name) parameters;
#include <ballast/core/kernels/kernels.inc>
#undef BALLAST_KERNEL
};

inline constexpr uint8_t no_winner = 4;

/// The best that this processor runs, or what the environment variable BALLAST_ISA names: baseline, avx2 or
/// avx512. Throws ValueError when it names another, or one that the processor lacks.
const Kernels& kernels();

}  // namespace ballast::inline BALLAST_PRECISION::detail
