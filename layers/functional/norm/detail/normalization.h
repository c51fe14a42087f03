#pragma once

#include <algorithm>
#include <cmath>

#include <ballast/core/detail/map.h>
#include <ballast/core/detail/scratch.h>
#include <ballast/core/kernels/kernels.h>
#include <ballast/layers/functional/detail/pool_activated.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// What a norm takes mean and variance over. x is split into `segments` contiguous segments of `length`
/// elements: the planes of (N, C, ...), or the rows of a layer norm. A set of segments shares mean and
/// variance: consecutive segments, or with `over_batch` (batch norm) segment c of every sample.
struct Layout {
  int64_t segments, length;
  int64_t sets;
  int64_t parameters;  // weights, and as many biases: one per channel, or per element of a set
  bool over_batch = false;
  bool elementwise = false;  // one weight and bias per element of a set
  bool centred = true;       // else the mean counts as 0: RMS norm

  int64_t segments_per_set = sets > 0 ? segments / sets : 0;
  int64_t values_per_set() const { return segments_per_set * length; }
  int64_t set_of(int64_t segment) const { return over_batch ? segment % sets : segment / segments_per_set; }
  /// The parameter of a segment's first element.
  int64_t parameter_of(int64_t segment) const {
    return elementwise ? segment % segments_per_set * length : segment % parameters;
  }
  /// Sets whose x and dy fit into L1 together, at least one.
  static constexpr int64_t most_per_block = 32;
  int64_t sets_per_block() const {
    constexpr int64_t elements = (int64_t{1} << 14) / sizeof(real);
    return std::clamp<int64_t>(elements / std::max<int64_t>(values_per_set(), 1), 1, most_per_block);
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
  Scratch<real> rstd{layout.sets};                           // 1 / sqrt(variance + eps)

  /// Compute rstd of sets begin, ..., end-1 from their variance.
  void invert_deviations(int64_t begin, int64_t end);

  PoolPlane pooling() const { return {height / 2, width / 2, width}; }
  int64_t pooled_length() const { return (height / 2) * (width / 2); }
  /// Elements of memory for a segment between norm and pooling.
  int64_t plane_length() const { return then.max_pool ? layout.length : 0; }
};

/// A thread's memory for pooling the planes of a norm.
class PoolMemory {
 public:
  explicit PoolMemory(const Normalization& n)
      : memory_(size(n)),
        activated_(n.then.activation, n.pooled_length(), memory_.data() + n.plane_length()) {}
  /// Before a loop of `chunks` chunks that each make one, see reserve_scratch.
  static void reserve(const Normalization& n, int64_t chunks) { reserve_scratch<real>(size(n), chunks); }

  real* plane() const { return memory_.data(); }
  const PoolActivated& activated() const { return activated_; }

 private:
  static int64_t size(const Normalization& n) {
    const bool pools_activated = n.then.max_pool && n.then.falls_and_rises();
    return n.plane_length() + (pools_activated ? PoolActivated::memory(n.pooled_length()) : 0);
  }
  Scratch<real> memory_;
  PoolActivated activated_;
};

/// What pooling leaves for its gradient, one element per window each: see PoolActivated. Without a gradient
/// both are null; `kept` is also null where no activation that falls and rises was pooled.
struct Pooled {
  uint8_t* argmax = nullptr;
  real* kept = nullptr;
  /// That of the windows from `start` on.
  Pooled from(int64_t start) const {
    return {argmax ? argmax + start : nullptr, kept ? kept + start : nullptr};
  }
};

/// The weights, biases and statistics of a block of columns, as kernels take them.
struct ColumnBlock {
  static constexpr int64_t size = 64;  // columns per call of a kernel, at most
  ColumnBlock(const Normalization& n, int64_t begin, int64_t end);
  real high[size], low[size], rstd[size], weight[size], bias[size];
  Columns columns;
};

/// Those of segments begin, ..., end-1.
struct RunBlock {
  static constexpr int64_t size = 64;  // segments per call of a kernel, at most
  RunBlock(const Normalization& n, int64_t begin, int64_t end);
  real high[size], low[size], rstd[size], weight[size], bias[size];
  Runs runs;
};

/// Calls body(begin, end) for blocks of sets that stay in L1 from one kernel to the next. A call of a kernel
/// for each set would take longer than the work on a short one.
template <class Body>
void for_set_blocks(const Layout& layout, int64_t begin, int64_t end, Body body) {
  const int64_t sets = layout.sets_per_block();
  for (int64_t first = begin; first < end; first += sets) body(first, std::min(first + sets, end));
}

/// Calls body(begin, end) for parts of the segments begin, ..., end-1 that kernels take in one call: a single
/// segment where it is pooled next.
template <class Body>
void for_run_blocks(const Normalization& n, int64_t begin, int64_t end, Body body) {
  const int64_t size = n.then.max_pool ? 1 : RunBlock::size;
  for (int64_t first = begin; first < end; first += size) body(first, std::min(first + size, end));
}

/// Compute mean and variance of sets begin, ..., end-1, of all sets over the batch, or of columns.
void set_statistics(Normalization& n, const real* x, int64_t begin, int64_t end);
void batch_statistics(Normalization& n, const real* x);
void column_statistics(Normalization& n, const real* x, int64_t begin, int64_t end);

/// y = norm(x), and what the pooling leaves. `normalize` computes mean and variance of x;
/// `normalize_by_known` takes those in n.
void normalize(Normalization& n, const real* x, real* y, const Pooled& pooled);
void normalize_by_known(const Normalization& n, const real* x, real* y, const Pooled& pooled);

/// dx = rstd (w g - mean(w g) - xhat mean(w g xhat)), without the first mean if the norm isn't centred,
/// without both if the statistics are constants; dweight = sum g xhat, dbias = sum g, where g is dy passed
/// back through what follows the norm. dx may be null, or x.
void normalize_backward(const Normalization& n, const real* x, const real* dy, const Pooled& pooled, real* dx,
                        double* dweight, double* dbias);

/// Calls body(begin, end) for blocks of columns, enough of them per chunk to be worth a thread.
template <class Body>
void for_column_blocks(const Layout& layout, Body body) {
  constexpr int64_t least = 16;  // whole cache lines
  const int64_t rows = std::max<int64_t>(layout.segments_per_set, 1);
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
