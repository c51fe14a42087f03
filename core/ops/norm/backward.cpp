#include <utility>

#include <ballast/core/ops/norm/detail/normalization.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

class BackwardPass {
 public:
  BackwardPass(const Normalization& n, const real* x, const real* dy, const uint8_t* winners, real* dx,
               double* dweight, double* dbias)
      : n_(n),
        layout_(n.layout),
        x_(x),
        dy_(dy),
        winners_(winners),
        dx_(dx),
        dweight_(dweight),
        dbias_(dbias) {}

  void by_columns() const {
    for_column_blocks(layout_, [this](int64_t begin, int64_t end) { column_gradient(begin, end); });
  }
  void over_batch() const;
  void by_set() const;

 private:
  void column_gradient(int64_t begin, int64_t end) const;
  Run run(int64_t segment) const;
  const real* gradient_of_norm(int64_t segment, real* plane) const;
  Sums sums(int64_t segment, real* plane, real* dweights) const;
  void gradient(int64_t segment, double sum_wg, double sum_wgx, real* plane) const;
  void add_up_chunks(const Scratch<double>& partial, int64_t chunks) const;

  const Normalization& n_;
  const Layout& layout_;
  const real *x_, *dy_;
  const uint8_t* winners_;
  real* dx_;
  double *dweight_, *dbias_;
};

// The ReLU is undone with the norm, or before it: a pooling's winners say what it cut off.
Run BackwardPass::run(int64_t segment) const {
  Run run = n_.run(segment);
  run.relu = n_.then.relu && !n_.then.max_pool;
  run.stream = dx_ && dx_ != x_ && leaves_caches(layout_.segments * layout_.length);
  if (n_.then.max_pool) run.dy_ahead = 0;  // `plane` is in cache
  return run;
}

// What reaches the norm's result: dy, or spread over `plane` where that was pooled.
const real* BackwardPass::gradient_of_norm(int64_t segment, real* plane) const {
  if (!n_.then.max_pool) return dy_ + segment * layout_.length;
  const int64_t from = segment * n_.pooled_length();
  if (n_.width % 2 || n_.height % 2) std::fill_n(plane, layout_.length, real{0});
  kernels().max_pool_gradient(n_.pooling(), dy_ + from, winners_ + from, plane);
  return plane;
}

// Sums of g and g xhat. Elementwise, the sums are those of w g and w g xhat, and the gradients of weights and
// biases, which lie side by side, grow.
Sums BackwardPass::sums(int64_t segment, real* plane, real* dweights) const {
  const Run run = this->run(segment);
  const real* x = x_ + segment * layout_.length;
  if (n_.then.max_pool && !layout_.elementwise) {
    const int64_t from = segment * n_.pooled_length();
    return kernels().pooled_gradient_sums(run, n_.pooling(), x, dy_ + from, winners_ + from);
  }
  const real* g = gradient_of_norm(segment, plane);
  if (!layout_.elementwise) return kernels().gradient_sums(run, x, g, nullptr, nullptr);
  dweights += layout_.parameter_of(segment);
  return kernels().gradient_sums(run, x, g, dweights, dweights + layout_.parameters);
}

void BackwardPass::gradient(int64_t segment, double sum_wg, double sum_wgx, real* plane) const {
  if (dx_ == nullptr) return;
  const double share = n_.constant_statistics ? 0 : 1 / static_cast<double>(layout_.values_per_set());
  const real mean_wg = layout_.centred && share > 0 ? static_cast<real>(share * sum_wg) : 0;
  const real mean_wgx = share > 0 ? static_cast<real>(share * sum_wgx) : 0;
  const int64_t start = segment * layout_.length;
  kernels().gradient(run(segment), x_ + start, gradient_of_norm(segment, plane), mean_wg, mean_wgx,
                     dx_ + start);
}

void BackwardPass::column_gradient(int64_t begin, int64_t end) const {
  const ColumnBlock block(n_, begin, end);
  double *dweight = dweight_ + begin, *dbias = dbias_ + begin;
  std::fill_n(dweight, end - begin, 0.0);
  std::fill_n(dbias, end - begin, 0.0);
  kernels().column_gradient_sums(block.columns, x_ + begin, dy_ + begin, dbias, dweight);
  if (dx_ == nullptr) return;
  real mean_wg[ColumnBlock::size] = {}, mean_wgx[ColumnBlock::size] = {};
  for (int64_t i = 0; i < end - begin && !n_.constant_statistics; ++i) {
    const double share = double{block.weight[i]} / static_cast<double>(layout_.values_per_set());
    mean_wg[i] = static_cast<real>(share * dbias[i]), mean_wgx[i] = static_cast<real>(share * dweight[i]);
  }
  kernels().column_gradient(block.columns, x_ + begin, dy_ + begin, mean_wg, mean_wgx, dx_ + begin);
}

void BackwardPass::over_batch() const {
  const Scratch<Sums> parts(layout_.segments);
  for_segments(layout_, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) parts[i] = sums(i, nullptr, nullptr);
  });
  add_up_segments(parts, layout_.segments, layout_.parameters, dbias_, dweight_);
  if (dx_ == nullptr) return;
  reserve_scratch<real>(n_.plane_length(), layout_.segments);
  for_segments(layout_, [&](int64_t begin, int64_t end) {
    const Scratch<real> plane(n_.plane_length());
    for (int64_t i = begin; i < end; ++i) {
      const int64_t channel = i % layout_.sets;
      const double w = n_.weight.empty() ? 1 : double{n_.weight.data()[channel]};
      gradient(i, w * dbias_[channel], w * dweight_[channel], plane.data());
    }
    kernels().end_streams();
  });
}

void BackwardPass::by_set() const {
  const int64_t segments = layout_.segments_per_set();
  const int64_t grain = grain_for(layout_.sets, row_grain(layout_.values_per_set()), 16);
  const int64_t chunks = divide_up(layout_.sets, grain);
  // Elementwise gradients of weights and biases are added in their precision over so many sets, in double
  // over these.
  constexpr int64_t block = 128;
  const int64_t table = layout_.elementwise ? 2 * layout_.parameters : 0;
  const Scratch<double> partial(chunks * table);
  const Scratch<Sums> parts(layout_.elementwise ? 0 : layout_.segments);
  reserve_scratch<real>(n_.plane_length(), chunks);
  reserve_scratch<real>(table, chunks);
  parallel_for(layout_.sets, grain, [&](int64_t begin, int64_t end) {
    const Scratch<real> plane(n_.plane_length()), of_block(table);
    std::fill_n(of_block.data(), table, real{0});
    double* of_chunk = partial.data() + begin / grain * table;
    std::fill_n(of_chunk, table, 0.0);
    for (int64_t set = begin; set < end; ++set) {
      const int64_t first = set * segments, last = first + segments;
      Sums total;  // of w g and w g xhat
      for (int64_t i = first; i < last; ++i) {
        const Sums part = sums(i, plane.data(), of_block.data());
        const double w =
            layout_.elementwise || n_.weight.empty() ? 1 : double{n_.weight.data()[layout_.parameter_of(i)]};
        total.a += w * part.a, total.b += w * part.b;
        if (!layout_.elementwise) parts[i] = part;
      }
      if ((set - begin) % block == block - 1 || set + 1 == end) {
        for (int64_t i = 0; i < table; ++i) of_chunk[i] += std::exchange(of_block[i], real{0});
      }
      for (int64_t i = first; i < last; ++i) gradient(i, total.a, total.b, plane.data());
    }
    kernels().end_streams();
  });
  if (layout_.elementwise) {
    add_up_chunks(partial, chunks);
  } else {
    add_up_segments(parts, layout_.segments, layout_.parameters, dbias_, dweight_);
  }
}

void BackwardPass::add_up_chunks(const Scratch<double>& partial, int64_t chunks) const {
  const int64_t parameters = layout_.parameters;
  parallel_for(parameters, row_grain(2 * chunks), [&, this](int64_t begin, int64_t end) {
    std::fill(dweight_ + begin, dweight_ + end, 0.0);
    std::fill(dbias_ + begin, dbias_ + end, 0.0);
    const double* from = partial.data();
    for (int64_t chunk = 0; chunk < chunks; ++chunk, from += 2 * parameters) {
      for (int64_t i = begin; i < end; ++i) dweight_[i] += from[i], dbias_[i] += from[parameters + i];
    }
  });
}

}  // namespace

void normalize_backward(const Normalization& n, const real* x, const real* dy, const uint8_t* winners,
                        real* dx, double* dweight, double* dbias) {
  const BackwardPass pass(n, x, dy, winners, dx, dweight, dbias);
  if (n.layout.columns()) return pass.by_columns();
  return n.layout.over_batch ? pass.over_batch() : pass.by_set();
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
