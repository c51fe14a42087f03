#include <ballast/core/ops/winograd.h>

#include <ballast/core/ops/map.h>
#include <ballast/core/parallel.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

constexpr int64_t frequencies = 36;
constexpr int64_t side = 4, overlap = 2;  // of a tile: it sees (side + overlap)^2 inputs

// Images of some channels as panels (image, panel of channels, pixel of the frame, channel of the panel).
struct Planes {
  int64_t channels;
  Frame frame;
  int64_t panel = kernels().panel;
  int64_t panels = divide_up(channels, panel);
  int64_t padded = panels * panel;  // channels
  int64_t pixels = frame.height * frame.width;
  int64_t panel_size = frame.frame_height * frame.frame_width * panel;

  int64_t size(int64_t images) const { return images * panels * panel_size; }
  void pack(const real* from, int64_t images, real* to) const {
    for (int64_t i = 0; i < images; ++i)
      kernels().pack_planes(frame, channels, from + i * channels * pixels, to + size(i));
  }
  // Without a frame
  void unpack(const real* from, int64_t images, Output to) const {
    for (int64_t i = 0; i < images; ++i, to.c += channels * pixels)
      kernels().unpack(channels, pixels, from + size(i), to);
  }
  // Where a panel begins, and in it a pixel of the frame.
  int64_t at(int64_t image, int64_t p) const { return (image * panels + p) * panel_size; }
  int64_t pixel(int64_t row, int64_t column) const { return (row * frame.frame_width + column) * panel; }
};

}  // namespace

// Tiles of whole or cut images that are worked on together: as frequencies of all inputs, and of one panel of
// outputs at a time. A cache line between the frequencies keeps them from falling on the same sets of the
// cache.
struct Winograd::Batch {
  Planes inputs, outputs;
  int64_t tiles, image_tiles;
  int64_t sums = 0;  // elements, where frequencies are summed up
  int64_t images = std::max<int64_t>(1, tiles / image_tiles);
  int64_t in_step = tiles * inputs.padded + inputs.panel;
  int64_t out_step = tiles * outputs.panel + outputs.panel;
  int64_t size = inputs.size(1) + outputs.size(images) + frequencies * (in_step + out_step) + sums;
};

// What a batch needs: the panels of one image of x, those of y or its gradient, both as frequencies, and sums
// of their products.
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
  const auto fits = [](const WindowAxis& a) { return a.taps == 3 && a.stride == 1 && a.dilation == 1; };
  constexpr int64_t least_channels = 16, least_tiles = 64;
  return fits(h) && fits(w) && std::min(c, o) >= least_channels && n * image_tiles() >= least_tiles &&
         2 * frequencies * image_tiles() < 9 * h.out * w.out;
}

int64_t Winograd::image_tiles() const { return divide_up(h.out, side) * divide_up(w.out, side); }

// Calls body(t, image, row, column) for `count` tiles from number `first` on: which it is of these, and where
// its outputs begin.
template <class Body>
void Winograd::for_tiles(int64_t first, int64_t count, Body body) const {
  const int64_t tile_columns = divide_up(w.out, side);
  for (int64_t t = 0; t < count; ++t) {
    const int64_t image = (first + t) / image_tiles(), tile = (first + t) % image_tiles();
    body(t, image, tile / tile_columns * side, tile % tile_columns * side);
  }
}

// Images within their padding, and whole tiles.
Frame Winograd::padded_inputs() const {
  return {h.in,
          w.in,
          h.padding,
          w.padding,
          divide_up(h.out, side) * side + overlap,
          divide_up(w.out, side) * side + overlap};
}

// Of the images from x on. Tiles are taken in order, so that each image is packed once.
void Winograd::transform_inputs(const Batch& batch, const Memory& memory, const real* x, int64_t first,
                                int64_t count) const {
  const Planes& inputs = batch.inputs;
  for_tiles(first, count, [&](int64_t t, int64_t image, int64_t row, int64_t column) {
    if (row == 0 && column == 0) inputs.pack(x + image * c * inputs.pixels, 1, memory.x);
    for (int64_t p = 0; p < inputs.panels; ++p)
      kernels().winograd_input(memory.x + inputs.at(0, p) + inputs.pixel(row, column),
                               inputs.frame.frame_width, batch.in_step,
                               memory.in + t * inputs.padded + p * inputs.panel);
  });
}

void Winograd::convolve(const real* x, const real* weight, const real* bias, real beta, bool relu,
                        real* y) const {
  const Kernels& kernel = kernels();
  const Planes inputs = {c, padded_inputs()}, outputs = {o, {h.out, w.out, 0, 0, h.out, w.out}};
  // So few that the frequencies stay in a core's cache.
  const int64_t tiles = std::clamp<int64_t>(2560 / (inputs.padded + inputs.panel), 12, 48);
  const Batch batch = {inputs, outputs, tiles, image_tiles()};

  const Scratch<real> filters(frequencies * outputs.padded * c);
  parallel_for(outputs.panels, 1, [&](int64_t p, int64_t) {
    kernel.winograd_filters(
        {.filters = o, .channels = c, .panels = outputs.panels, .weight = weight, .to = filters.data()}, p);
  });
  reserve_scratch<real>(batch.size, divide_up(n, batch.images));

  parallel_for(n, batch.images, [&](int64_t begin, int64_t end) {
    const Memory memory(batch);
    const int64_t all = (end - begin) * image_tiles();
    for (int64_t first = 0; first < all; first += tiles) {
      const int64_t count = std::min(tiles, all - first);
      transform_inputs(batch, memory, x + begin * c * inputs.pixels, first, count);
      for (int64_t p = 0; p < outputs.panels; ++p) {
        for (int64_t f = 0; f < frequencies; ++f) {
          kernel.multiply_panels({.rows = count,
                                  .columns = kernel.panel,
                                  .depth = c,
                                  .left = memory.in + f * batch.in_step,
                                  .left_row = inputs.padded,
                                  .left_step = 1,
                                  .right = filters.data() + (f * outputs.panels + p) * c * kernel.panel},
                                 {.c = memory.out + f * batch.out_step, .row_step = kernel.panel});
        }
        for_tiles(first, count, [&](int64_t t, int64_t image, int64_t row, int64_t column) {
          const WinogradTile tile = {h.out, w.out, row, column, batch.out_step};
          kernel.winograd_output(tile, memory.out + t * kernel.panel, memory.y + outputs.at(image, p));
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

// The sums over tiles are kept for each frequency as (c, o), one such table for each of some chunks of
// images.
WeightSums Winograd::weight_gradient(const real* x, const real* dy) const {
  const Kernels& kernel = kernels();
  const Frame whole_tiles = {
      h.out, w.out, 0, 0, divide_up(h.out, side) * side, divide_up(w.out, side) * side};
  const Planes inputs = {c, padded_inputs()}, outputs = {o, whole_tiles};
  const int64_t table = c * outputs.padded;   // of one frequency
  constexpr int64_t room = int64_t{1} << 22;  // elements for all parts of the result together
  // A part takes so many tiles that going back from the frequencies counts for little,
  constexpr int64_t least = 32;
  const int64_t grain =
      grain_for(n, divide_up(least, image_tiles()), std::clamp<int64_t>(room / (9 * table), 2, 8));
  // and as many at a time as make adding to the sums count for little.
  const int64_t enough = std::clamp<int64_t>(3 * outputs.padded / 2, 96, 192),
                tiles = std::min(enough, grain * image_tiles());
  const Batch batch = {inputs, outputs, tiles, image_tiles(), frequencies * table};

  const WeightSums result = {divide_up(n, grain), Scratch<real>(divide_up(n, grain) * 9 * table)};
  reserve_scratch<real>(batch.size, result.parts);
  parallel_for(n, grain, [&](int64_t begin, int64_t end) {
    const Memory memory(batch);
    for (int64_t image = begin; image < end; image += batch.images) {
      const int64_t together = std::min(batch.images, end - image), all = together * image_tiles();
      outputs.pack(dy + image * o * outputs.pixels, together, memory.y);
      for (int64_t first = 0; first < all; first += tiles) {
        const int64_t count = std::min(tiles, all - first);
        const bool is_first = image == begin && first == 0;
        transform_inputs(batch, memory, x + image * c * inputs.pixels, first, count);
        for (int64_t p = 0; p < outputs.panels; ++p) {
          for_tiles(first, count, [&](int64_t t, int64_t i, int64_t row, int64_t column) {
            kernel.winograd_gradient(memory.y + outputs.at(i, p) + outputs.pixel(row, column),
                                     outputs.frame.frame_width, batch.out_step,
                                     memory.out + t * kernel.panel);
          });
          for (int64_t f = 0; f < frequencies; ++f) {
            kernel.multiply_panels({.rows = c,
                                    .columns = kernel.panel,
                                    .depth = count,
                                    .left = memory.in + f * batch.in_step,
                                    .left_row = 1,
                                    .left_step = inputs.padded,
                                    .right = memory.out + f * batch.out_step},
                                   {.c = memory.sums + f * table + p * kernel.panel,
                                    .row_step = outputs.padded,
                                    .beta = is_first ? real{0} : real{1}});
          }
        }
      }
    }
    kernel.winograd_weights({.channels = c,
                             .panels = outputs.panels,
                             .sums = memory.sums,
                             .to = result.tables.data() + begin / grain * 9 * table});
  });
  return result;
}

}  // namespace ballast::inline BALLAST_PRECISION
