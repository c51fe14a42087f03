#pragma once

#include <cstdint>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION::detail {

// The inner loops, compiled once per instruction set. The files in isa/ see nothing of the library but this
// header, so that no inline function compiled for one processor is ever linked into the code of another.

/// Where a product is stored, and what is applied to it: c = relu(beta c + product + bias). Element (row,
/// column) is at c + row row_step + column.
struct Output {
  real* c;
  int64_t row_step;
  real beta = 0;                      // with 0, c may be uninitialized
  const real* row_bias = nullptr;     // one element per row, or null
  const real* column_bias = nullptr;  // one element per column, or null
  bool relu = false;
};

/// Sum over k of left(row, k) right(k, column), for `rows` x `columns` elements. left(row, k) is at left +
/// row left_row + k left_step; one of the steps is 1.
struct Product {
  int64_t rows, columns, depth;
  const real* left;
  int64_t left_row, left_step;
  const real* right;
};

/// Two sums that are formed in one pass.
struct Sums {
  double a, b;
};

/// Prefetch distance of the norms' kernels, in elements: further than the hardware prefetcher reaches.
inline constexpr int64_t prefetch_distance = 1024;

/// Contiguous runs of `count` elements, each with one mean and variance: y = weight xhat + bias, where xhat =
/// ((x - high) - low) rstd. The mean is high + low, so that a large one costs no precision: x - high is exact
/// near it.
struct Runs {
  int64_t runs, count;
  const real *high, *low, *rstd;  // one of each per run
  const real *weight, *bias;      // one of each per run, or
  bool elementwise = false;       // one of each per element, the same for all runs
  bool relu = false;              // y = max(0, ...)
  bool stream = false;            // non-temporal stores, with prefetching of x and dy
  int64_t x_ahead = prefetch_distance, dy_ahead = prefetch_distance;
};

/// Like Runs for the columns of a matrix whose rows are `stride` elements apart, with one value per column.
struct Columns {
  int64_t rows, columns, stride;
  const real *high, *low, *rstd, *weight, *bias;
  bool relu = false;
};

/// rows x columns windows of 2 x 2 that don't overlap, in rows of `width` elements.
struct PoolPlane {
  int64_t rows, columns, width;
};

/// Adam (Kingma & Ba 2015): g = grad + l2 value; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
/// value = decay value - rate m / (sqrt(v) / sqrt(1 - beta2^t) + eps). `rate` includes m's bias correction.
/// AMSGrad (Reddi et al. 2018) has the largest v so far in its place.
struct AdamStep {
  real l2, beta1, one_minus_beta1, beta2, one_minus_beta2, decay, rate, v_correction, eps;
};

/// Weights (filters, channels, taps, taps) -> `to`: for each of 36 frequencies, `frequency_step` elements
/// apart, panels of filters, (panels, channels, panel). There are 3 x 3 taps or 5 x 5.
struct WinogradFilters {
  int64_t filters, channels, taps, frequency_step;
  const real* weight;
  real* to;
};

/// A plane of height x width with zero padding. `top` and `left` are its position in the padded plane.
struct PaddedPlane {
  int64_t height, width, top, left, padded_height, padded_width;
};

/// A tile of up to 4 x 4 outputs of 3 x 3 taps, or 2 x 2 of 5 x 5, in a plane with rows of `width` pixels.
/// Frequencies are frequency_step elements apart. Of 3 x 3 taps, a tile with at most two rows of outputs has
/// no frequencies in rows 3 and 4 of the 6 x 6; with at most two columns, none in columns 3 and 4.
struct WinogradTile {
  int64_t rows, columns, taps, width, frequency_step;
};

/// Sums over tiles of input times gradient for each frequency, (36, channels, panels * panel filters) -> the
/// weight gradient, as panels of filters (panels, channels * taps * taps, panel).
struct WinogradWeights {
  int64_t channels, taps, panels;
  const real* sums;
  real* to;
};

/// g = grad + l2 value; value -= rate d with d = g, or with a momentum buffer b = momentum b + (1 -
/// dampening) g and d = b, or d = g + momentum b with Nesterov's momentum.
struct SGDStep {
  real l2, momentum, one_minus_dampening, rate;
  bool nesterov;
};

/// RMSprop (Tieleman & Hinton 2012): g = grad + l2 value; v = alpha v + (1 - alpha) g^2; d = g / (sqrt(v) +
/// eps), or with momentum b = momentum b + d and d = b; value -= rate d.
struct RMSpropStep {
  real l2, alpha, one_minus_alpha, eps, momentum, rate;
};

/// Where elements are written. With `stream`, whole cache lines are written by non-temporal stores, and the
/// thread must call end_streams() before another one reads them.
struct Destination {
  real* at;
  bool stream = false;
};

/// A function of one number, of `count` elements (see functions.inc). a and b are its parameters.
struct Function {
  enum class Kept { x, y, slope };
  const char* name;
  Kept kept;            // what the gradient is a formula of
  bool keep_denormals;  // in the gradient
  /// y may be x.
  void (*value)(int64_t count, const real* x, Destination y, real a, real b);
  /// dx may be dy.
  void (*gradient)(int64_t count, const real* dy, const real* kept, Destination dx, real a, real b);
  /// Of sloped functions, else null. y or slope may be x.
  void (*value_and_slope)(int64_t count, const real* x, Destination y, Destination slope, real a,
                          real b) = nullptr;
};

/// Contiguous elements, or one that stands for all of them.
struct Elements {
  const real* at;
  bool steps;
};

/// An operation on two numbers, of `count` elements (see binary.inc). y may be a or b.
struct Binary {
  const char* name;
  bool keep_denormals;
  void (*value)(int64_t count, Elements a, Elements b, Destination y);
};

/// A loss between x and a target t, element by element (see losses.inc). a is its parameter.
struct Loss {
  const char* name;
  void (*value)(int64_t count, const real* x, const real* t, real* y, real a);
  /// scale times the derivative by x, and by t.
  void (*by_x)(int64_t count, const real* x, const real* t, real* dx, real a, real scale);
  void (*by_target)(int64_t count, const real* x, const real* t, real* dt, real a, real scale);
};

struct Kernels {
  const char* isa;
  /// Columns per panel. Rows of `right` must be readable up to a multiple of it.
  int64_t panel;

#define BALLAST_KERNEL(result, name, parameters) result(*name) parameters;
#include <ballast/core/kernels/kernels.inc>
#undef BALLAST_KERNEL

#define BALLAST_FUNCTION(name, ...) Function name;
#define BALLAST_SLOPED_FUNCTION(name, ...) Function name;
#include <ballast/core/kernels/functions.inc>
#undef BALLAST_FUNCTION
#undef BALLAST_SLOPED_FUNCTION
#define BALLAST_BINARY(name, ...) Binary name;
#include <ballast/core/kernels/binary.inc>
#undef BALLAST_BINARY
#define BALLAST_LOSS(name, ...) Loss name;
#include <ballast/core/kernels/losses.inc>
#undef BALLAST_LOSS
};

/// The argmax of a window whose maximum a ReLU set to 0.
inline constexpr uint8_t no_argmax = 4;

/// Those for the processor's best instruction set, or for the one that the environment variable BALLAST_ISA
/// names: baseline, avx2 or avx512. Throws ValueError if the processor lacks that, or it is none of these.
const Kernels& kernels();

}  // namespace ballast::inline BALLAST_PRECISION::detail
