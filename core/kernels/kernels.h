#pragma once

#include <cstdint>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION {

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

/// g = grad + l2 value; m = beta1 m + rest1 g; v = beta2 v + rest2 g^2; value = shrink value - rate m /
/// (sqrt(v) root2 + eps).
struct AdamStep {
  real l2, beta1, rest1, beta2, rest2, shrink, rate, root2, eps;
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

/// g = grad + l2 value; with a buffer b = keep b + take g, and g = along g + behind b; value -= rate g.
struct SGDStep {
  real l2, keep, take, along, behind, rate;
};

struct Kernels {
  const char* isa;
  /// Rows of `right` are read in panels this wide: what it points at must be readable that far.
  int64_t panel;

  /// right: panels of `panel` columns, one behind the other, each (depth, panel).
  void (*multiply_panels)(const Product& p, const Output& out);
  /// Row k of right begins at right + k step; `columns` neighbours.
  void (*multiply_rows)(const Product& p, int64_t step, const Output& out);
  /// Row k of right begins at right + offsets[k]. left_step must be 1.
  void (*multiply_scattered_rows)(const Product& p, const int64_t* offsets, const Output& out);
  /// left: row r begins at left + offsets[r], its elements k are neighbours. right as in multiply_panels.
  void (*multiply_scattered)(const Product& p, const int64_t* offsets, const Output& out);
  /// One column: `right` is a vector of `depth` neighbours. left_step must be 1.
  void (*multiply_vector)(const Product& p, const Output& out);
  /// Element (column, k) of a matrix at from + column column_step + k k_step, where one of the steps is 1 ->
  /// panels for `right`, the last one filled up with zeros.
  void (*pack)(int64_t columns, int64_t depth, const real* from, int64_t column_step, int64_t k_step,
               real* to);

  /// Planes of `channels` channels -> panels of channels, each (frame_height, frame_width, panel).
  void (*pack_planes)(const Frame& f, int64_t channels, const real* from, real* to);
  /// The inverse of `pack`, with what `out` asks for on the way: panel column i becomes row i of c.
  void (*unpack)(int64_t columns, int64_t depth, const real* from, const Output& out);

  /// Panel number p.
  void (*winograd_filters)(const WinogradFilters& f, int64_t p);
  /// The tile's inputs in a panel (pixel, channel), two more in each direction than outputs -> frequencies.
  void (*winograd_input)(const WinogradTile& tile, const real* x, real* to);
  /// The gradient of the tile's outputs in a panel -> frequencies. Outputs that are missing of 4 or 2 are
  /// read as well, and must be 0.
  void (*winograd_gradient)(const WinogradTile& tile, const real* dy, real* to);
  void (*winograd_weights)(const WinogradWeights& w);
  /// Frequencies -> the tile's outputs in a panel.
  void (*winograd_output)(const WinogradTile& tile, const real* from, real* y);

  double (*sum)(const real* x, int64_t count);
  double (*dot)(const real* x, const real* y, int64_t count);

  /// Sums of x - shift, and of its squares.
  Sums (*deviations)(const real* x, int64_t count, double shift);
  /// To be called by a thread that wrote runs past the caches, before it tells others.
  void (*end_streams)();
  void (*normalize)(const Run& run, const real* x, real* y);
  /// With g = dy where y wasn't cut off at 0: sums of g and g xhat. Where each element has a weight of its
  /// own, those of weight g and weight g xhat, and dweights and dbiases grow by g xhat and g.
  Sums (*gradient_sums)(const Run& run, const real* x, const real* dy, real* dweights, real* dbiases);
  /// dx = (weight g - a - xhat b) rstd; dx may be x.
  void (*gradient)(const Run& run, const real* x, const real* dy, real a, real b, real* dx);

  /// sums = those of the columns of `rows` rows that lie `stride` apart.
  void (*column_sums)(int64_t rows, int64_t columns, int64_t stride, const real* x, double* sums);

  /// The norm's functions by columns; sums are added to a and b, those of the gradient without the weight.
  void (*column_deviations)(const Columns& c, const real* x, const double* shift, double* a, double* b);
  void (*normalize_columns)(const Columns& c, const real* x, real* y);
  void (*column_gradient_sums)(const Columns& c, const real* x, const real* dy, double* a, double* b);
  void (*column_gradient)(const Columns& c, const real* x, const real* dy, const real* a, const real* b,
                          real* dx);

  /// The largest of each 2 x 2 window of a plane, and which it was: 0, 1 above, 2, 3 below. Ties stay with
  /// the first, NaN wins. With relu, what isn't positive becomes 0 and its winner `no_winner`. winners may be
  /// null.
  void (*max_pool)(const PoolPlane& p, const real* x, bool relu, real* y, uint8_t* winners);
  /// dy goes to the winners; the others become 0.
  void (*max_pool_gradient)(const PoolPlane& p, const real* dy, const uint8_t* winners, real* dx);

  /// gradient_sums for a run that is a plane, from the gradient of what max_pool made of its norm.
  Sums (*pooled_gradient_sums)(const Run& run, const PoolPlane& p, const real* x, const real* dy,
                               const uint8_t* winners);

  /// y = 1 / (1 + exp(-x))
  void (*sigmoid)(int64_t count, const real* x, real* y);
  /// y = exp(x - shift), and the sum of that. y may be x.
  double (*exp_sum)(int64_t count, const real* x, real shift, real* y);
  /// buffer may be null.
  void (*sgd)(const SGDStep& s, int64_t count, real* value, const real* grad, real* buffer);
  void (*adam)(const AdamStep& s, int64_t count, real* value, const real* grad, real* m, real* v);
};

inline constexpr uint8_t no_winner = 4;

/// The best that this processor runs, or what the environment variable BALLAST_ISA names: baseline, avx2 or
/// avx512. Throws ValueError when it names another, or one that the processor lacks.
const Kernels& kernels();

}  // namespace ballast::inline BALLAST_PRECISION
