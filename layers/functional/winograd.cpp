#include <ballast/layers/functional/detail/winograd.h>

#include <algorithm>
#include <array>
#include <numeric>

#include <ballast/core/detail/map.h>
#include <ballast/core/detail/tuning.h>
#include <ballast/core/parallel.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

constexpr int64_t points = 6, frequencies = points * points;

// Edge tiles of 3 x 3 taps with at most two rows (or columns) of outputs use F(2, 3) for these, which needs
// four points: all but 2 and -2.
constexpr int64_t few_outputs = 2, few_points = 4;
constexpr bool is_two(int64_t point) { return point == 3 || point == 4; }

// Planes are padded to a multiple of so many outputs along a side.
constexpr int64_t multiple = 2;

// Images as panels: (image, panel of channels, pixel of the padded plane, channel of the panel).
struct Planes {
  int64_t channels;
  PaddedPlane plane;
  int64_t panel = kernels().panel;
  int64_t panels = divide_up(channels, panel);
  int64_t padded = panels * panel;  // channels
  int64_t pixels = plane.height * plane.width;
  int64_t panel_size = plane.padded_height * plane.padded_width * panel;

  int64_t size(int64_t images) const { return images * panels * panel_size; }
  void pack(const real* from, int64_t images, real* to) const {
    for (int64_t i = 0; i < images; ++i)
      kernels().pack_planes(plane, channels, from + i * channels * pixels, to + size(i));
  }
  // For planes without padding.
  void unpack(const real* from, int64_t images, Output to) const {
    for (int64_t i = 0; i < images; ++i, to.c += channels * pixels)
      kernels().unpack(channels, pixels, from + size(i), to);
  }
  // The offset of a panel, and in it of a pixel of the padded plane.
  int64_t at(int64_t image, int64_t p) const { return (image * panels + p) * panel_size; }
  int64_t pixel(int64_t row, int64_t column) const { return (row * plane.padded_width + column) * panel; }
};

}  // namespace

// Tiles of one or more images, or of a part of one, that are processed together: the frequencies of all
// inputs, and of one panel of outputs at a time. A cache line between frequencies keeps them from mapping to
// the same cache sets.
struct Winograd::Batch {
  Planes inputs, outputs;
  int64_t tiles, image_tiles;
  int64_t sums = 0;  // elements, if frequencies are summed up over tiles
  int64_t images = std::max<int64_t>(1, tiles / image_tiles);
  int64_t in_step = tiles * inputs.padded + inputs.panel;
  int64_t out_step = tiles * outputs.panel + outputs.panel;
  int64_t size = inputs.size(1) + outputs.size(images) + frequencies * (in_step + out_step) + sums;
};

// The memory of a batch: panels of one image of x, those of y or its gradient, the frequencies of both, and
// sums of their products.
struct Winograd::Memory {
  Scratch<real> all;
  real *x, *y, *in, *out, *sums;

  explicit Memory(const Batch& b)
      : all(b.size),
        x(all.data()),
        y(x + b.inputs.size(1)),
        in(y + b.outputs.size(b.images)),
        out(in + frequencies * b.in_step),
        sums(out + frequencies * b.out_step) {}
};

bool Winograd::pays() const {
  const auto fits = [](const WindowAxis& a) {
    return (a.taps == 3 || a.taps == 5) && a.stride == 1 && a.dilation == 1;
  };
  return fits(h) && fits(w) && h.taps == w.taps && std::min(c, o) >= tuning::winograd_channels &&
         n * image_tiles() >= tuning::winograd_tiles && 2 * image_points() < weights() * h.out * w.out;
}

// The points of all tiles along a side of `outputs` outputs.
int64_t Winograd::points_of(int64_t outputs) const {
  const int64_t rest = outputs % side();
  return outputs / side() * points + (rest == 0 ? 0 : is_few(rest) ? few_points : points);
}

bool Winograd::is_few(int64_t outputs) const {
  return h.taps == 3 && outputs <= few_outputs;
  //~ return outputs <= few_outputs;
}

int64_t Winograd::side() const { return points + 1 - h.taps; }

int64_t Winograd::weights() const { return h.taps * h.taps; }

int64_t Winograd::image_tiles() const { return divide_up(h.out, side()) * divide_up(w.out, side()); }

// `count` tiles from number `first` on, sorted so that those that have a given frequency are contiguous:
// tiles clipped at the right edge, full tiles, tiles clipped at the bottom, and at both.
class Winograd::Tiles {
 public:
  struct Place {
    int64_t number;              // in the sorted order
    int64_t image, row, column;  // of the first output
    int64_t rows, columns;       // outputs
    WinogradTile within(const Planes& planes, int64_t taps, int64_t frequency_step) const {
      return {rows, columns, taps, planes.plane.padded_width, frequency_step};
    }
  };
  struct Range {
    int64_t begin, count;
  };

  Tiles(const Winograd& w, int64_t first, int64_t count)
      : winograd_(w),
        first_(first),
        count_(count),
        side_(w.side()),
        of_row_(divide_up(w.w.out, side_)),
        of_image_(w.image_tiles()) {
    std::array<int64_t, kinds> sizes = {};
    for (int64_t t = first; t < first + count; ++t) ++sizes[kind(place(t))];
    std::exclusive_scan(sizes.begin(), sizes.end(), begin_.begin(), int64_t{0});
  }

  // Calls body(place) for all tiles in their original order, image by image.
  template <class Body>
  void for_each(Body body) const {
    std::array<int64_t, kinds> next = begin_;
    for (int64_t t = first_; t < first_ + count_; ++t) {
      Place at = place(t);
      at.number = next[kind(at)]++;
      body(at);
    }
  }

  // The tiles that have a frequency.
  Range having(int64_t frequency) const {
    const bool rows = is_two(frequency / points), columns = is_two(frequency % points);
    const int64_t begin = columns ? begin_[whole] : 0;
    const int64_t end = rows ? begin_[low] : columns ? begin_[both] : count_;
    //~ const int64_t end = rows || columns ? begin_[low] : columns ? begin_[both] : count_;
    return {begin, end - begin};
  }

 private:
  enum Kind : size_t { narrow, whole, low, both, kinds };

  Kind kind(const Place& p) const {
    const bool few_columns = winograd_.is_few(p.columns);
    if (winograd_.is_few(p.rows)) return few_columns ? both : low;
    return few_columns ? narrow : whole;
  }
  Place place(int64_t t) const {
    const int64_t image = t / of_image_, in_image = t % of_image_;
    const int64_t row = in_image / of_row_ * side_, column = in_image % of_row_ * side_;
    //~ const int64_t row = in_image / of_row_ * few_outputs, column = in_image % of_row_ * side_;
    return {.number = 0,
            .image = image,
            .row = row,
            .column = column,
            .rows = std::min(side_, winograd_.h.out - row),
            .columns = std::min(side_, winograd_.w.out - column)};
  }

  const Winograd& winograd_;
  int64_t first_, count_;
  int64_t side_, of_row_, of_image_;  // outputs along a side of a tile, tiles
  std::array<int64_t, kinds> begin_ = {};
};

// The inputs with zero padding, extended to all that the tiles read.
PaddedPlane Winograd::padded_inputs() const {
  const int64_t overlap = h.taps - 1;
  return {h.in,
          w.in,
          h.padding,
          w.padding,
          round_up(h.out, multiple) + overlap,
          round_up(w.out, multiple) + overlap};
}

// Transforms the tiles' inputs, of images from x on. Tiles come image by image: each image is packed once.
void Winograd::transform_inputs(const Batch& batch, const Memory& memory, const real* x,
                                const Tiles& tiles) const {
  const Planes& inputs = batch.inputs;
  tiles.for_each([&](const Tiles::Place& at) {
    if (at.row == 0 && at.column == 0) inputs.pack(x + at.image * c * inputs.pixels, 1, memory.x);
    for (int64_t p = 0; p < inputs.panels; ++p)
      kernels().winograd_input(at.within(inputs, h.taps, batch.in_step),
                               memory.x + inputs.at(0, p) + inputs.pixel(at.row, at.column),
                               memory.in + at.number * inputs.padded + p * inputs.panel);
  });
}

Winograd::Batch Winograd::forward_batch() const {
  const Planes inputs = {c, padded_inputs()}, outputs = {o, {h.out, w.out, 0, 0, h.out, w.out}};
  const int64_t tiles = std::clamp<int64_t>(tuning::winograd_batch / (inputs.padded + inputs.panel),
                                            tuning::winograd_least_tiles, tuning::winograd_most_tiles);
  return {inputs, outputs, tiles, image_tiles()};
}

// Elements per frequency of the filters, with a cache line between frequencies as in a Batch.
int64_t Winograd::filter_step() const {
  const int64_t panel = kernels().panel;
  return round_up(o, panel) * c + panel;
}

void Winograd::convolve(const real* x, const real* weight, const real* bias, real beta, bool relu,
                        real* y) const {
  const Kernels& kernel = kernels();
  const int64_t few = round_up(tuning::image_channels, kernel.panel);
  if (n == 1 && o > few) {
    // A single image is partitioned by filters; each part transforms the inputs again.
    const Winograd part = {1, c, few, h, w};
    reserve_scratch<real>(frequencies * part.filter_step(), divide_up(o, few));
    reserve_scratch<real>(part.forward_batch().size, divide_up(o, few));
    parallel_for(o, few, [&](int64_t begin, int64_t end) {
      Winograd{1, c, end - begin, h, w}.convolve(x, weight + begin * c * weights(),
                                                 bias ? bias + begin : nullptr, beta, relu,
                                                 y + begin * h.out * w.out);
      //~ y);
    });
    return;
  }
  const Batch batch = forward_batch();
  const Planes &inputs = batch.inputs, &outputs = batch.outputs;
  const int64_t tiles = batch.tiles;
  const Scratch<real> filters(frequencies * filter_step());
  parallel_for(outputs.panels, 1, [&](int64_t p, int64_t) {
    kernel.winograd_filters({.filters = o,
                             .channels = c,
                             .taps = h.taps,
                             .frequency_step = filter_step(),
                             .weight = weight,
                             .to = filters.data()},
                            p);
  });
  reserve_scratch<real>(batch.size, divide_up(n, batch.images));

  parallel_for(n, batch.images, [&](int64_t begin, int64_t end) {
    const Memory memory(batch);
    const int64_t all = (end - begin) * image_tiles();
    for (int64_t first = 0; first < all; first += tiles) {
      const Tiles some(*this, first, std::min(tiles, all - first));
      transform_inputs(batch, memory, x + begin * c * inputs.pixels, some);
      for (int64_t p = 0; p < outputs.panels; ++p) {
        for (int64_t f = 0; f < frequencies; ++f) {
          const Tiles::Range range = some.having(f);
          kernel.multiply_panels(
              {.rows = range.count,
               .columns = kernel.panel,
               .depth = c,
               .left = memory.in + f * batch.in_step + range.begin * inputs.padded,
               .left_row = inputs.padded,
               .left_step = 1,
               .right = filters.data() + f * filter_step() + p * c * kernel.panel},
              {.c = memory.out + f * batch.out_step + range.begin * kernel.panel, .row_step = kernel.panel});
        }
        some.for_each([&](const Tiles::Place& at) {
          kernel.winograd_output(at.within(outputs, h.taps, batch.out_step),
                                 memory.out + at.number * kernel.panel,
                                 memory.y + outputs.at(at.image, p) + outputs.pixel(at.row, at.column));
        });
      }
    }
    outputs.unpack(memory.y, end - begin,
                   {.c = y + begin * o * outputs.pixels,
                    .row_step = outputs.pixels,
                    .beta = beta,
                    .row_bias = bias,
                    .relu = relu});
  });
}

// Each chunk of images sums up its tiles in a table (frequencies, c, o) of its own.
WeightSums Winograd::weight_gradient(const real* x, const real* dy) const {
  const Kernels& kernel = kernels();
  const PaddedPlane whole_tiles = {h.out, w.out, 0, 0, round_up(h.out, multiple), round_up(w.out, multiple)};
  const Planes inputs = {c, padded_inputs()}, outputs = {o, whole_tiles};
  const int64_t table = c * outputs.padded;  // of one frequency
  const int64_t grain = grain_for(
      n, divide_up(tuning::winograd_tiles_per_sum, image_tiles()),
      std::clamp<int64_t>(tuning::winograd_sums / (weights() * table), 2, tuning::most_partial_sums));
  const int64_t enough = std::clamp<int64_t>(3 * outputs.padded / 2, tuning::winograd_least_gradient_tiles,
                                             tuning::winograd_most_gradient_tiles),
                tiles = std::min(enough, grain * image_tiles());
  const Batch batch = {inputs, outputs, tiles, image_tiles(), frequencies * table};

  const WeightSums result = {divide_up(n, grain), Scratch<real>(divide_up(n, grain) * weights() * table)};
  reserve_scratch<real>(batch.size, result.parts);
  parallel_for(n, grain, [&](int64_t begin, int64_t end) {
    const Memory memory(batch);
    for (int64_t image = begin; image < end; image += batch.images) {
      const int64_t together = std::min(batch.images, end - image), all = together * image_tiles();
      outputs.pack(dy + image * o * outputs.pixels, together, memory.y);
      for (int64_t first = 0; first < all; first += tiles) {
        const Tiles some(*this, first, std::min(tiles, all - first));
        const bool is_first = image == begin && first == 0;
        transform_inputs(batch, memory, x + image * c * inputs.pixels, some);
        for (int64_t p = 0; p < outputs.panels; ++p) {
          some.for_each([&](const Tiles::Place& at) {
            kernel.winograd_gradient(at.within(outputs, h.taps, batch.out_step),
                                     memory.y + outputs.at(at.image, p) + outputs.pixel(at.row, at.column),
                                     memory.out + at.number * kernel.panel);
          });
          for (int64_t f = 0; f < frequencies; ++f) {
            const Tiles::Range range = some.having(f);
            kernel.multiply_panels({.rows = c,
                                    .columns = kernel.panel,
                                    .depth = range.count,
                                    .left = memory.in + f * batch.in_step + range.begin * inputs.padded,
                                    .left_row = 1,
                                    .left_step = inputs.padded,
                                    .right = memory.out + f * batch.out_step + range.begin * kernel.panel},
                                   {.c = memory.sums + f * table + p * kernel.panel,
                                    .row_step = outputs.padded,
                                    .beta = is_first ? real{0} : real{1}});
          }
        }
      }
    }
    kernel.winograd_weights({.channels = c,
                             .taps = h.taps,
                             .panels = outputs.panels,
                             .sums = memory.sums,
                             .to = result.tables.data() + begin / grain * weights() * table});
  });
  return result;
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
