#include <utility>

#include <ballast/core/detail/stream.h>
#include <ballast/layers/functional/norm/detail/normalization.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

struct BackwardPass {
  const Normalization& n;
  const Layout& layout;
  const real *x, *dy;
  Pooled pooled;
  real* dx;
  double *dweight, *dbias;

  void by_columns() const {
    for_column_blocks(layout, [this](int64_t begin, int64_t end) { column_gradient(begin, end); });
  }
  void over_batch() const;
  void by_set() const;

  void column_gradient(int64_t begin, int64_t end) const;
  void prepare(RunBlock& block) const;
  const real* gradient_of_norm(int64_t segment, const PoolMemory& memory) const;
  void sums(int64_t begin, int64_t end, const PoolMemory& memory, Sums* sums, real* dweights) const;
  template <class SumsOf>
  void gradient(int64_t begin, int64_t end, const PoolMemory& memory, SumsOf sums_of) const;
  void add_up_chunks(const Scratch<double>& partial, int64_t chunks) const;
};

// The kernels undo the ReLU, unless the norm was pooled: then the argmax tells what the ReLU set to 0.
void BackwardPass::prepare(RunBlock& block) const {
  block.runs.relu = n.then.relu() && !n.then.max_pool;
  block.runs.stream = dx && dx != x && leaves_caches(layout.segments * layout.length);
  if (n.then.max_pool) block.runs.dy_ahead = 0;  // `plane` is in cache
}

// The gradient of the norm's result: dy, or, if the result was pooled, dy scattered to `plane`.
const real* BackwardPass::gradient_of_norm(int64_t segment, const PoolMemory& memory) const {
  if (!n.then.max_pool) return dy + segment * layout.length;
  const int64_t from = segment * n.pooled_length();
  const Pooled of_plane = pooled.from(from);
  real* plane = memory.plane();
  if (n.width % 2 || n.height % 2) std::fill_n(plane, layout.length, real{0});
  if (n.then.falls_and_rises()) {
    memory.activated().backward(n.pooling(), dy + from, of_plane.argmax, of_plane.kept, plane);
  } else {
    kernels().max_pool_gradient(n.pooling(), dy + from, of_plane.argmax, plane);
  }
  return plane;
}

// Sums of g and g xhat of segments begin, ..., end-1. With one weight per element, sums of w g and w g xhat;
// g xhat and g are added to the gradients of weights and biases, the second half of `dweights`.
void BackwardPass::sums(int64_t begin, int64_t end, const PoolMemory& memory, Sums* sums,
                        real* dweights) const {
  for_run_blocks(n, begin, end, [&](int64_t first, int64_t last) {
    RunBlock block(n, first, last);
    prepare(block);
    real *to = nullptr, *to_biases = nullptr;
    if (layout.elementwise) to = dweights + layout.parameter_of(first), to_biases = to + layout.parameters;
    kernels().gradient_sums(block.runs, x + first * layout.length, gradient_of_norm(first, memory),
                            sums + (first - begin), to, to_biases);
  });
}

// dx of segments begin, ..., end-1; sums_of(i) are those of w g and w g xhat over the set of segment i.
template <class SumsOf>
void BackwardPass::gradient(int64_t begin, int64_t end, const PoolMemory& memory, SumsOf sums_of) const {
  if (dx == nullptr) return;
  const double share = n.constant_statistics ? 0 : 1 / static_cast<double>(layout.values_per_set());
  //~ const double share = n.constant_statistics ? 0 : 1;
  for_run_blocks(n, begin, end, [&](int64_t first, int64_t last) {
    RunBlock block(n, first, last);
    prepare(block);
    real mean_wg[RunBlock::size], mean_wgx[RunBlock::size];
    for (int64_t i = first; i < last; ++i) {
      const Sums sums = sums_of(i);
      mean_wg[i - first] = layout.centred && share > 0 ? static_cast<real>(share * sums.a) : 0;
      //~ mean_wg[i - first] = 0;
      mean_wgx[i - first] = share > 0 ? static_cast<real>(share * sums.b) : 0;
      //~ mean_wgx[i - first] = 0;
    }
    const int64_t start = first * layout.length;
    kernels().gradient(block.runs, x + start, gradient_of_norm(first, memory), mean_wg, mean_wgx, dx + start);
  });
}

void BackwardPass::column_gradient(int64_t begin, int64_t end) const {
  const ColumnBlock block(n, begin, end);
  std::fill(dweight + begin, dweight + end, 0.0);
  std::fill(dbias + begin, dbias + end, 0.0);
  kernels().column_gradient_sums(block.columns, x + begin, dy + begin, dbias + begin, dweight + begin);
  if (dx == nullptr) return;
  real mean_wg[ColumnBlock::size] = {}, mean_wgx[ColumnBlock::size] = {};
  for (int64_t i = 0; i < end - begin && !n.constant_statistics; ++i) {
    const double share = double{block.weight[i]} / static_cast<double>(layout.values_per_set());
    mean_wg[i] = static_cast<real>(share * dbias[begin + i]);
    mean_wgx[i] = static_cast<real>(share * dweight[begin + i]);
  }
  kernels().column_gradient(block.columns, x + begin, dy + begin, mean_wg, mean_wgx, dx + begin);
}

void BackwardPass::over_batch() const {
  const Scratch<Sums> parts(layout.segments);
  PoolMemory::reserve(n, layout.segments);
  for_segments(layout, [&](int64_t begin, int64_t end) {
    sums(begin, end, PoolMemory(n), parts.data() + begin, nullptr);
  });
  add_up_segments(parts, layout.segments, layout.parameters, dbias, dweight);
  if (dx == nullptr) return;
  for_segments(layout, [&](int64_t begin, int64_t end) {
    gradient(begin, end, PoolMemory(n), [this](int64_t i) {
      const int64_t channel = i % layout.sets;
      const double w = n.weight.empty() ? 1 : double{n.weight.data()[channel]};
      return Sums{w * dbias[channel], w * dweight[channel]};
    });
    kernels().end_streams();
  });
}

void BackwardPass::by_set() const {
  const int64_t segments = layout.segments_per_set;
  const int64_t grain = grain_for(layout.sets, row_grain(layout.values_per_set()), 16);
  const int64_t chunks = divide_up(layout.sets, grain);
  // Gradients of elementwise weights and biases are summed in `real` within blocks, in double across them.
  constexpr int64_t block = 128;  // sets
  const int64_t table = layout.elementwise ? 2 * layout.parameters : 0;
  const Scratch<double> partial(chunks * table);
  const Scratch<Sums> parts(layout.segments);
  PoolMemory::reserve(n, chunks);
  reserve_scratch<real>(table, chunks);
  parallel_for(layout.sets, grain, [&](int64_t begin, int64_t end) {
    const PoolMemory memory(n);
    const Scratch<real> of_block(table);
    std::fill_n(of_block.data(), table, real{0});
    double* of_chunk = partial.data() + begin / grain * table;
    std::fill_n(of_chunk, table, 0.0);
    int64_t added = 0;  // sets whose gradients are in of_block
    for_set_blocks(layout, begin, end, [&](int64_t first, int64_t last) {
      sums(first * segments, last * segments, memory, parts.data() + first * segments, of_block.data());
      added += last - first;
      if (added >= block || last == end) {
        for (int64_t i = 0; i < table; ++i) of_chunk[i] += std::exchange(of_block[i], real{0});
        added = 0;
      }
      Sums totals[Layout::most_per_block];  // of w g and w g xhat, of each set
      for (int64_t set = first, i = first * segments; set < last; ++set) {
        Sums& total = totals[set - first] = {0, 0};
        for (; i < (set + 1) * segments; ++i) {
          const double w =
              layout.elementwise || n.weight.empty() ? 1 : double{n.weight.data()[i % layout.parameters]};
          total.a += w * parts[i].a, total.b += w * parts[i].b;
          //~ total.a += parts[i].a, total.b += parts[i].b;
        }
      }
      gradient(first * segments, last * segments, memory,
               [&](int64_t i) { return totals[i / segments - first]; });
    });
    kernels().end_streams();
  });
  if (layout.elementwise) {
    add_up_chunks(partial, chunks);
  } else {
    add_up_segments(parts, layout.segments, layout.parameters, dbias, dweight);
  }
}

void BackwardPass::add_up_chunks(const Scratch<double>& partial, int64_t chunks) const {
  const int64_t parameters = layout.parameters;
  parallel_for(parameters, row_grain(2 * chunks), [&, this](int64_t begin, int64_t end) {
    std::fill(dweight + begin, dweight + end, 0.0);
    std::fill(dbias + begin, dbias + end, 0.0);
    const double* from = partial.data();
    for (int64_t chunk = 0; chunk < chunks; ++chunk, from += 2 * parameters) {
      for (int64_t i = begin; i < end; ++i) dweight[i] += from[i], dbias[i] += from[parameters + i];
    }
  });
}

}  // namespace

void normalize_backward(const Normalization& n, const real* x, const real* dy, const Pooled& pooled, real* dx,
                        double* dweight, double* dbias) {
  const BackwardPass pass = {n, n.layout, x, dy, pooled, dx, dweight, dbias};
  if (n.layout.columns()) return pass.by_columns();
  return n.layout.over_batch ? pass.over_batch() : pass.by_set();
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
