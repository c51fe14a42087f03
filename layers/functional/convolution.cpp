#include <ballast/layers/functional/detail/convolution.h>

#include <algorithm>

#include <ballast/core/detail/accumulate.h>
#include <ballast/core/detail/gemm.h>
#include <ballast/core/detail/map.h>
#include <ballast/core/detail/scratch.h>
#include <ballast/core/detail/tuning.h>
#include <ballast/core/kernels/kernels.h>
#include <ballast/core/parallel.h>
#include <ballast/layers/functional/detail/depthwise.h>
#include <ballast/layers/functional/detail/dilated.h>
#include <ballast/layers/functional/detail/unfold.h>
#include <ballast/layers/functional/detail/winograd.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;
namespace {

// How many output rows to unfold at a time: as many as stay in L2, but not so few that most inputs would be
// unfolded for two blocks. The images of a small batch are partitioned further, into tasks.
int64_t block_rows(const Convolution& s) {
  const int64_t fit = std::clamp<int64_t>(tuning::unfolded_elements / (s.channels * s.w.taps * s.w.out),
                                          2 * s.h.taps, s.h.out + 2 * s.h.taps);
  const int64_t work = s.outputs * s.depth * s.o,
                parts = std::clamp<int64_t>(work / tuning::image_task_work, 1,
                                            tuning::most_tasks / std::max<int64_t>(s.n, 1) + 1);
  return std::clamp<int64_t>(std::min(fit - s.h.taps, divide_up(s.h.out, parts)), 1, s.h.out);
}

// Some output rows of one image in one group.
struct Block {
  const Convolution& s;
  int64_t n, group, row, rows;

  int64_t size() const { return rows * s.w.out; }
  // Offsets of the group's part of x, y and weight.
  int64_t in_x() const { return (n * s.c + group * s.channels) * s.inputs; }
  int64_t in_y() const { return (n * s.o + group * s.filters) * s.outputs + row * s.w.out; }
  int64_t in_weight() const { return group * s.filters * s.depth; }
};

// Calls body(block) for the blocks begin, ..., end-1 of all images.
template <class Body>
void for_each_block(const Convolution& s, int64_t begin, int64_t end, Body body) {
  const int64_t step = block_rows(s), of_image = divide_up(s.h.out, step);
  for (int64_t i = begin; i < end; ++i) {
    const int64_t row = i % of_image * step;
    for (int64_t group = 0; group < s.groups; ++group)
      body(Block{s, i / of_image, group, row, std::min(step, s.h.out - row)});
  }
}

int64_t block_count(const Convolution& s) {
  const int64_t step = block_rows(s);
  return s.n * divide_up(s.h.out, step);
}

// The unfolding of a convolution's blocks, and the offset of each tap's row in it.
struct Taps {
  Unfolding unfolding;
  Scratch<int64_t> offsets;
  int64_t size;  // elements to unfold into

  explicit Taps(const Convolution& s)
      : unfolding(s.channels, s.h, s.w, block_rows(s)),
        offsets(s.depth),
        size(unfolding.size() + kernels().panel) {
    for (int64_t tap = 0; tap < s.depth; ++tap) offsets[tap] = unfolding.offset(tap);
  }
};

// Forward and the three gradients
// ---------------------------------------------------------------------------------------------------------

Winograd winograd(const Convolution& s) { return {s.n, s.c, s.o, s.h, s.w}; }

// y = beta y + conv(x) + bias, then a ReLU if `relu`, by matrix products with unfolded inputs.
void unfolded_convolve(const Convolution& s, const real* x, const real* weight, const real* bias, real beta,
                       bool relu, real* y) {
  const Taps taps(s);
  const int64_t blocks = block_count(s), grain = grain_for(blocks, 1, tuning::most_tasks);
  reserve_scratch<real>(taps.size, divide_up(blocks, grain));
  parallel_for(blocks, grain, [&](int64_t begin, int64_t end) {
    const Scratch<real> unfolded(taps.size);
    for_each_block(s, begin, end, [&](const Block& b) {
      taps.unfolding.fill(x + b.in_x(), b.row, b.rows, unfolded.data());
      kernels().multiply_scattered_rows({.rows = s.filters,
                                         .columns = b.size(),
                                         .depth = s.depth,
                                         .left = weight + b.in_weight(),
                                         .left_row = s.depth,
                                         .left_step = 1,
                                         .right = unfolded.data()},
                                        taps.offsets.data(),
                                        {.c = y + b.in_y(),
                                         .row_step = s.outputs,
                                         .beta = beta,
                                         .row_bias = bias ? bias + b.group * s.filters : nullptr,
                                         .relu = relu});
    });
  });
}

bool by_winograd(const Convolution& s) { return s.groups == 1 && winograd(s).pays(); }

// Whether a convolution with dilation takes an eighth less time as one of its phases by Winograd's algorithm,
// with the transforms and the copies. Large dilations make many small phases that are mostly padding.
bool by_phases(const Convolution& s) {
  if (s.h.dilation * s.w.dilation == 1 || s.h.stride * s.w.stride > 1) return false;
  const Convolution phases = Dilated(s).phases;
  if (!by_winograd(phases)) return false;
  const int64_t direct = s.n * s.outputs * s.h.taps * s.w.taps * s.c * s.o;
  const int64_t transforms = tuning::winograd_transform_work * (s.c + s.o);
  const int64_t products = phases.n * winograd(phases).image_points() * (s.c * s.o + transforms);
  const int64_t copies = tuning::phase_copy_work * (phases.x().count() + phases.y().count());
  return products + copies < direct / 8 * 7;
}

// The sizes of the convolution, with stride 1, that computes the input gradient from dy.
Convolution reversed(const Convolution& s) {
  const auto back = [](const WindowAxis& a) {
    return WindowAxis(a.out, a.taps, 1, a.dilation * (a.taps - 1) - a.padding, a.dilation);
  };
  return {.n = s.n, .c = s.o, .o = s.c, .groups = s.groups, .h = back(s.h), .w = back(s.w)};
}

bool can_reverse(const Convolution& s) {
  const auto can = [](const WindowAxis& a) {
    return a.stride == 1 && a.padding <= a.dilation * (a.taps - 1);
  };
  return can(s.h) && can(s.w);
}

// Its weights, filters rotated by 180 degrees, group by group: (o, c, kh, kw) -> (c, o, KH-1-kh, KW-1-kw).
void reverse_weight(const Convolution& s, const real* weight, real* to) {
  const int64_t taps = s.h.taps * s.w.taps;
  parallel_for(s.c, row_grain(s.filters * taps), [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      for (int64_t filter = 0; filter < s.filters; ++filter) {
        const int64_t o = c / s.channels * s.filters + filter;
        const real* from = weight + (o * s.channels + c % s.channels) * taps;
        std::reverse_copy(from, from + taps, to + (c * s.filters + filter) * taps);
        //~ std::copy(from, from + taps, to + (c * s.filters + filter) * taps);
      }
    }
  });
}

// The adjoint of unfolding: adds the gradient of unfolded inputs, a row of `columns` per tap, to the inputs'.
void fold(const Block& b, const real* columns, real* x) {
  const WindowAxis &h = b.s.h, &w = b.s.w;
  for (int64_t tap = 0; tap < b.s.depth; ++tap, columns += b.size()) {
    const int64_t kw = tap % w.taps, kh = tap / w.taps % h.taps, c = tap / w.taps / h.taps;
    const auto rows = h.outputs(kh), outputs = w.outputs(kw);
    for (int64_t row = std::max(rows.begin, b.row); row < std::min(rows.end, b.row + b.rows); ++row) {
      const real* from = columns + (row - b.row) * w.out;
      real* to = x + (c * h.in + h.input(row, kh)) * w.in + w.input(0, kw);
      for (int64_t ow = outputs.begin; ow < outputs.end; ++ow) to[ow * w.stride] += from[ow];
      //~ for (int64_t ow = outputs.begin; ow < outputs.end; ++ow) to[ow * w.stride] = from[ow];
    }
  }
}

// dx = beta dx + fold(W^T dy), image by image
void fold_gradient(const Convolution& s, const real* weight, const real* dy, real beta, real* dx) {
  const int64_t size = s.depth * block_rows(s) * s.w.out,
                of_image = block_count(s) / std::max<int64_t>(s.n, 1);
  reserve_scratch<real>(size, s.n);
  parallel_for(s.n, 1, [&](int64_t n, int64_t) {
    const Scratch<real> columns(size);
    if (beta == 0) std::fill_n(dx + n * s.c * s.inputs, s.c * s.inputs, real{0});
    for_each_block(s, n * of_image, (n + 1) * of_image, [&](const Block& b) {
      gemm(s.depth, b.size(), s.filters, {weight + b.in_weight(), s.depth, true}, {dy + b.in_y(), s.outputs},
           0, columns.data(), b.size());
      fold(b, columns.data(), dx + b.in_x());
    });
  });
}

// unfold(x) dy^T, summed over chunks of blocks.
WeightSums unfolded_weight_gradient(const Convolution& s, const real* x, const real* dy) {
  const Taps taps(s);
  const Kernels& kernel = kernels();
  const int64_t blocks = block_count(s), grain = grain_for(blocks, 1, tuning::most_partial_sums),
                parts = divide_up(blocks, grain);
  const int64_t panels = divide_up(s.filters, kernel.panel), table = s.depth * kernel.panel;
  // A panel of few filters would be padding mostly: each filter's gradient is multiplied by itself.
  const bool few_filters = panels == 1 && s.filters <= tuning::few_filters;
  const int64_t size = s.groups * panels * table,
                packed_size = few_filters ? 0 : panels * block_rows(s) * s.w.out * kernel.panel;
  const WeightSums sums = {parts, Scratch<real>(parts * size)};
  reserve_scratch<real>(taps.size, parts);
  reserve_scratch<real>(packed_size, parts);
  parallel_for(blocks, grain, [&](int64_t begin, int64_t end) {
    const Scratch<real> unfolded(taps.size), packed(packed_size);
    real* part = sums.tables.data() + begin / grain * size;
    std::fill_n(part, size, real{0});
    for_each_block(s, begin, end, [&](const Block& b) {
      taps.unfolding.fill(x + b.in_x(), b.row, b.rows, unfolded.data());
      real* to = part + b.group * panels * table;
      if (few_filters) {
        for (int64_t filter = 0; filter < s.filters; ++filter)
          kernel.add_scattered_product({.rows = s.depth,
                                        .columns = 1,
                                        .depth = b.size(),
                                        .left = unfolded.data(),
                                        .left_row = 0,
                                        .left_step = 1,
                                        .right = dy + b.in_y() + filter * s.outputs},
                                       taps.offsets.data(), {.c = to + filter, .row_step = kernel.panel});
        return;
      }
      kernel.pack(s.filters, b.size(), dy + b.in_y(), s.outputs, 1, packed.data());
      for (int64_t p = 0; p < panels; ++p) {
        kernel.multiply_scattered({.rows = s.depth,
                                   .columns = kernel.panel,
                                   .depth = b.size(),
                                   .left = unfolded.data(),
                                   .left_row = 0,
                                   .left_step = 1,
                                   .right = packed.data() + p * b.size() * kernel.panel},
                                  taps.offsets.data(),
                                  {.c = to + p * table, .row_step = kernel.panel, .beta = 1});
        //~ {.c = to + p * table, .row_step = kernel.panel, .beta = 0});
      }
    });
  });
  return sums;
}

}  // namespace

void detail::convolve(const Convolution& s, const real* x, const real* weight, const real* bias, real beta,
                      bool relu, real* y) {
  if (is_depthwise(s)) return depthwise_convolve(s, x, weight, bias, beta, relu, y);
  if (by_winograd(s)) return winograd(s).convolve(x, weight, bias, beta, relu, y);
  if (by_phases(s)) {
    const Dilated dilated(s);
    const Convolution& phases = dilated.phases;
    const Scratch<real> of_x(phases.x().count()), of_y(phases.y().count());
    dilated.split_inputs(x, of_x.data());
    convolve(phases, of_x.data(), weight, bias, 0, relu, of_y.data());
    return dilated.join_outputs(of_y.data(), beta, y);
  }
  unfolded_convolve(s, x, weight, bias, beta, relu, y);
}

void detail::input_gradient(const Convolution& s, const real* weight, const real* dy, real beta, real* dx) {
  if (is_depthwise(s)) return depthwise_input_gradient(s, weight, dy, beta, dx);
  if (!can_reverse(s)) return fold_gradient(s, weight, dy, beta, dx);
  const Scratch<real> reverse(s.weight().count());
  reverse_weight(s, weight, reverse.data());
  convolve(reversed(s), dy, reverse.data(), nullptr, beta, false, dx);
}

// Partial sums are added up in order.
void detail::weight_gradient(const Convolution& s, const real* x, const real* dy, real beta, real* dw) {
  if (s.n == 0) {
    if (beta == 0) std::fill_n(dw, s.weight().count(), real{0});
    return;
  }
  if (is_depthwise(s)) return depthwise_weight_gradient(s, x, dy, beta, dw);
  if (by_phases(s)) {
    const Dilated dilated(s);
    const Convolution& phases = dilated.phases;
    const Scratch<real> of_x(phases.x().count()), of_dy(phases.y().count());
    dilated.split_inputs(x, of_x.data());
    dilated.split_outputs(dy, of_dy.data());
    return weight_gradient(phases, of_x.data(), of_dy.data(), beta, dw);
  }
  const WeightSums sums =
      by_winograd(s) ? winograd(s).weight_gradient(x, dy) : unfolded_weight_gradient(s, x, dy);
  const int64_t panel = kernels().panel, panels = divide_up(s.filters, panel), table = s.depth * panel;
  parallel_for(s.groups * panels, row_grain(sums.parts * table), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      real* sum = sums.tables.data() + i * table;
      for (int64_t part = 1; part < sums.parts; ++part)
        accumulate(sum, sum + part * s.groups * panels * table, table, 1);
      //~ accumulate(sum, sum + part * s.groups * panels * table, 0, 1);
      const int64_t group = i / panels, first = i % panels * panel;
      kernels().unpack(std::min(panel, s.filters - first), s.depth, sum,
                       {.c = dw + (group * s.filters + first) * s.depth, .row_step = s.depth, .beta = beta});
    }
  });
}

// By chunks of images, in the order of memory.
void detail::bias_gradient(const Convolution& s, const real* dy, real beta, real* db) {
  const int64_t grain = grain_for(s.n, elementwise_grain / (s.o * s.outputs) + 1, tuning::most_tasks);
  const int64_t chunks = divide_up(s.n, grain);
  const Scratch<double> sums(chunks * s.o);
  parallel_for(s.n, grain, [&](int64_t begin, int64_t end) {
    double* to = sums.data() + begin / grain * s.o;
    std::fill_n(to, s.o, 0.0);
    for (int64_t i = begin * s.o; i < end * s.o; ++i)
      to[i % s.o] += kernels().sum(dy + i * s.outputs, s.outputs);
  });
  for (int64_t o = 0; o < s.o; ++o) {
    double sum = 0;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) sum += sums[chunk * s.o + o];
    db[o] = static_cast<real>(sum) + (beta == 0 ? 0 : beta * db[o]);
    //~ db[o] = static_cast<real>(sum);
  }
}

}  // namespace ballast::inline BALLAST_PRECISION
