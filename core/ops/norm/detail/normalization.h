#pragma once

#include <algorithm>
#include <cmath>

#include <ballast/core/detail/map.h>
#include <ballast/core/detail/scratch.h>
#include <ballast/core/kernels/kernels.h>
#include <ballast/core/ops/then.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// What a norm takes mean and variance over. x is read as `segments` segments of `length` neighbours that
/// share mean and variance: the planes of (N, C, ...), or the rows of a layer norm. A set of segments is
/// normalized together: neighbouring ones, or with `over_batch` (batch norm) one of each sample.
struct Layout {
  int64_t segments, length;
  int64_t sets;
  int64_t parameters;  // weights, and as many biases: one per channel, or per element of a set
  bool over_batch = false;
  bool elementwise = false;  // each element of a set has a weight and a bias of its own
  bool centred = true;       // else the mean counts as 0: RMS norm

  int64_t segments_per_set() const { return sets > 0 ? segments / sets : 0; }
  int64_t values_per_set() const { return segments_per_set() * length; }
  int64_t set_of(int64_t segment) const { return over_batch ? segment % sets : segment / segments_per_set(); }
  /// Of a segment's first element.
  int64_t parameter_of(int64_t segment) const {
    return elementwise ? segment % segments_per_set() * length : segment % parameters;
  }
  /// A batch of vectors, (N, C): each set is a column of a matrix.
  bool columns() const { return over_batch && length == 1; }
};

/// A norm of one tensor: y = (x - mean) / sqrt(variance + eps) weight + bias, and what follows it.
struct Normalization {
  Layout layout;
  double eps;
  Tensor weight, bias;  // (parameters); empty: 1 and 0
  Then then;
  int64_t height, width;  // of a segment that is pooled
  bool constant_statistics = false;
  Scratch<double> mean{layout.sets}, variance{layout.sets};  // of each set; the variance is the biased one

  /// What kernels take for one segment.
  Run run(int64_t segment) const;

  PoolPlane pooling() const { return {height / 2, width / 2, width}; }
  int64_t pooled_length() const { return (height / 2) * (width / 2); }
  /// Memory for a segment between norm and pooling.
  int64_t plane_length() const { return then.max_pool ? layout.length : 0; }
};

/// The weights and biases of each of a block of columns, and its statistics, as kernels take them.
struct ColumnBlock {
  static constexpr int64_t size = 64;  // columns that one thread works on at once
  ColumnBlock(const Normalization& n, int64_t begin, int64_t end);
  real high[size], low[size], rstd[size], weight[size], bias[size];
  Columns columns;
};

/// Fills in mean and variance: of a set of neighbouring segments; of all sets over the batch; of columns
/// begin, ..., end-1.
void set_statistics(Normalization& n, const real* x, int64_t set);
void batch_statistics(Normalization& n, const real* x);
void column_statistics(Normalization& n, const real* x, int64_t begin, int64_t end);

/// y = norm(x), and what won in the pooling, which may be null. Mean and variance are taken of x, or known.
void normalize(Normalization& n, const real* x, real* y, uint8_t* winners);
void normalize_by_known(const Normalization& n, const real* x, real* y, uint8_t* winners);

/// dx = rstd (w g - mean(w g) - xhat mean(w g xhat)), without the first mean where not centred, and without
/// both where the statistics are constants; dweight = sum g xhat, dbias = sum g, where g is the part of dy
/// that passes what follows the norm. dx may be null, or x.
void normalize_backward(const Normalization& n, const real* x, const real* dy, const uint8_t* winners,
                        real* dx, double* dweight, double* dbias);

/// Whether a result of `count` elements is so large that its beginning leaves the caches before anybody reads
/// it. Non-temporal stores needn't read it first, and evict nothing else.
inline bool leaves_caches(int64_t count) {
  constexpr int64_t most = int64_t{12} << 20;  // bytes
  return count * int64_t{sizeof(real)} > most;
}

/// Calls body(begin, end) for blocks of columns, some of which are worth a thread's while.
template <class Body>
void for_column_blocks(const Layout& layout, Body body) {
  constexpr int64_t least = 16;  // whole cache lines
  const int64_t rows = std::max<int64_t>(layout.segments_per_set(), 1);
  parallel_for(layout.sets, std::max(elementwise_grain / 2 / rows, least), [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; c += ColumnBlock::size) body(c, std::min(c + ColumnBlock::size, end));
  });
}

/// Calls body(begin, end) for chunks of segments, in the order of memory.
template <class Body>
void for_segments(const Layout& layout, Body body) {
  constexpr int64_t worthwhile = 4096;  // elements of a single image
  int64_t least = row_grain(layout.length);
  if (layout.over_batch && layout.segments == layout.sets)
    least = std::min(least, round_up(worthwhile / (layout.length + 1) + 1, image_channels));
  parallel_for(layout.segments, grain_for(layout.segments, least, 64), body);
}

/// a[i] and b[i] are the sums over the segments of channel i of `channels`.
void add_up_segments(const Scratch<Sums>& parts, int64_t segments, int64_t channels, double* a, double* b);

}  // namespace ballast::inline BALLAST_PRECISION::detail
