#include <ballast/core/detail/stream.h>
#include <ballast/layers/functional/norm/detail/normalization.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

// mean = high + low: x - high is exact near the mean, so that a large mean costs no precision.
void split(double mean, real& high, real& low) {
  high = static_cast<real>(mean);
  low = std::isfinite(high) ? static_cast<real>(mean - double{high}) : 0;
}

void normalize_columns(const Normalization& n, const real* x, real* y, int64_t begin, int64_t end) {
  const ColumnBlock block(n, begin, end);
  kernels().normalize_columns(block.columns, x + begin, y + begin);
}

// Normalizes segments begin, ..., end-1, and pools each while it is in cache.
void normalize_segments(const Normalization& n, const real* x, real* y, const Pooled& pooled, int64_t begin,
                        int64_t end, const PoolMemory& memory) {
  const int64_t length = n.layout.length, windows = n.pooled_length();
  const bool stream = leaves_caches(n.layout.segments * (n.then.max_pool ? windows : length));
  for_run_blocks(n, begin, end, [&](int64_t first, int64_t last) {
    RunBlock block(n, first, last);
    if (n.then.max_pool) {
      real* plane = memory.plane();
      kernels().normalize(block.runs, x + first * length, plane);
      const Pooled of_plane = pooled.from(first * windows);
      if (n.then.falls_and_rises()) {
        memory.activated().forward(n.pooling(), plane, y + first * windows, of_plane.argmax, of_plane.kept);
      } else {
        kernels().max_pool(n.pooling(), plane, n.then.relu(), y + first * windows, of_plane.argmax);
      }
    } else {
      block.runs.relu = n.then.relu(), block.runs.stream = stream;
      //~ block.runs.stream = stream;
      kernels().normalize(block.runs, x + first * length, y + first * length);
    }
  });
}

}  // namespace

RunBlock::RunBlock(const Normalization& n, int64_t begin, int64_t end)
    : runs{end - begin, n.layout.length, high, low, rstd, weight, bias, n.layout.elementwise} {
  // With non-temporal stores the next block of sets is prefetched, or of a large set only so far ahead that x
  // and dy, read and prefetched, fit into L2.
  constexpr int64_t far_ahead = (int64_t{1} << 16) / sizeof(real);
  const Layout& layout = n.layout;
  const int64_t channels = layout.parameters;
  if (!layout.over_batch)
    runs.x_ahead = runs.dy_ahead = std::min(layout.sets_per_block() * layout.values_per_set(), far_ahead);
  if (layout.elementwise) {
    const int64_t parameter = layout.parameter_of(begin);
    runs.weight = n.weight.data() + parameter, runs.bias = n.bias.data() + parameter;
  }
  int64_t set = layout.set_of(begin), parameter = begin % channels;
  // Segments of the same set that are left, this one included.
  int64_t left = layout.over_batch ? 1 : layout.segments_per_set - begin % layout.segments_per_set;
  for (int64_t i = 0; i < end - begin; ++i) {
    split(n.mean[set], high[i], low[i]);
    rstd[i] = n.rstd[set];
    if (!layout.elementwise) {
      weight[i] = n.weight.empty() ? 1 : n.weight.data()[parameter];
      bias[i] = n.bias.empty() ? 0 : n.bias.data()[parameter];
      if (++parameter == channels) parameter = 0;
      //~ ++parameter;
    }
    if (--left == 0) {
      //~ if (false) {
      left = layout.over_batch ? 1 : layout.segments_per_set;
      if (++set == layout.sets) set = 0;
    }
  }
}

ColumnBlock::ColumnBlock(const Normalization& n, int64_t begin, int64_t end)
    : columns{n.layout.segments_per_set,
              end - begin,
              n.layout.sets,
              high,
              low,
              rstd,
              weight,
              bias,
              n.then.relu()} {
  for (int64_t i = 0, c = begin; c < end; ++i, ++c) {
    split(n.mean[c], high[i], low[i]);
    rstd[i] = n.rstd[c];
    weight[i] = n.weight.empty() ? 1 : n.weight.data()[c];
    bias[i] = n.bias.empty() ? 0 : n.bias.data()[c];
  }
}

void normalize(Normalization& n, const real* x, real* y, const Pooled& pooled) {
  const Layout& layout = n.layout;
  if (layout.columns()) {
    return for_column_blocks(layout, [&](int64_t begin, int64_t end) {
      column_statistics(n, x, begin, end);
      n.invert_deviations(begin, end);
      normalize_columns(n, x, y, begin, end);
    });
  }
  if (layout.over_batch) {
    batch_statistics(n, x);
    n.invert_deviations(0, layout.sets);
    return normalize_by_known(n, x, y, pooled);
  }
  PoolMemory::reserve(n, layout.sets);
  parallel_for(layout.sets, row_grain(layout.values_per_set()), [&](int64_t begin, int64_t end) {
    const PoolMemory memory(n);
    const int64_t segments = layout.segments_per_set;
    for_set_blocks(layout, begin, end, [&](int64_t first, int64_t last) {
      set_statistics(n, x, first, last);
      n.invert_deviations(first, last);
      normalize_segments(n, x, y, pooled, first * segments, last * segments, memory);
    });
    kernels().end_streams();
  });
}

void normalize_by_known(const Normalization& n, const real* x, real* y, const Pooled& pooled) {
  if (n.layout.columns()) {
    return for_column_blocks(n.layout,
                             [&](int64_t begin, int64_t end) { normalize_columns(n, x, y, begin, end); });
  }
  PoolMemory::reserve(n, n.layout.segments);
  for_segments(n.layout, [&](int64_t begin, int64_t end) {
    const PoolMemory memory(n);
    normalize_segments(n, x, y, pooled, begin, end, memory);
    kernels().end_streams();
  });
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
