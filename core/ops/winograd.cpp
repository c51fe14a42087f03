#include <ballast/core/ops/winograd.h>

#include <ballast/core/kernels/kernels.h>
#include <ballast/core/ops/scratch.h>
#include <ballast/core/parallel.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

constexpr int64_t frequencies = 36;

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

bool Winograd::pays() const {
  const auto fits = [](const WindowAxis& a) { return a.taps == 3 && a.stride == 1 && a.dilation == 1; };
  constexpr int64_t least_channels = 16, least_tiles = 64;
  return fits(h) && fits(w) && std::min(c, o) >= least_channels && n * image_tiles() >= least_tiles &&
         2 * frequencies * image_tiles() < 9 * h.out * w.out;
}

void Winograd::convolve(const real* x, const real* weight, const real* bias, real beta, bool relu,
                        real* y) const {
  const Kernels& kernel = kernels();
  const int64_t in_panels = divide_up(c, kernel.panel), out_panels = divide_up(o, kernel.panel);
  const int64_t in_channels = in_panels * kernel.panel, out_channels = out_panels * kernel.panel;
  const int64_t inputs = h.in * w.in, outputs = h.out * w.out;
  // Some tiles of some images at a time, so that all their frequencies stay in a core's cache. A cache line
  // keeps the frequencies from falling on the same sets of it.
  const int64_t tiles = std::clamp<int64_t>(2048 / std::max(c, o), 12, 48);
  const int64_t images = std::max<int64_t>(1, tiles / image_tiles());
  const int64_t in_step = tiles * in_channels + kernel.panel, out_step = tiles * out_channels + kernel.panel;
  const int64_t x_size = images * in_channels * inputs, y_size = images * out_channels * outputs;

  const Scratch<real> filters(frequencies * out_channels * c);
  kernel.winograd_filters(
      {.filters = o, .channels = c, .panels = out_panels, .weight = weight, .to = filters.data()});
  const int64_t scratch_size = x_size + y_size + frequencies * (in_step + out_step);
  reserve_scratch<real>(scratch_size, divide_up(n, images));

  parallel_for(n, images, [&](int64_t begin, int64_t end) {
    const Scratch<real> scratch(scratch_size);
    real *x_panels = scratch.data(), *y_panels = x_panels + x_size;
    real *in = y_panels + y_size, *out = in + frequencies * in_step;
    for (int64_t image = begin; image < end; ++image) {
      kernel.pack(c, inputs, x + image * c * inputs, inputs, 1,
                  x_panels + (image - begin) * in_channels * inputs);
    }
    const int64_t all = (end - begin) * image_tiles();
    // Calls body(t, image, h, w) for tile number t of a batch, which begins at output (h, w) of an image.
    const auto for_tiles = [&](int64_t first, int64_t count, auto body) {
      for (int64_t t = 0; t < count; ++t) {
        const int64_t image = (first + t) / image_tiles(), tile = (first + t) % image_tiles();
        body(t, image, tile / tile_columns() * 4, tile % tile_columns() * 4);
      }
    };
    for (int64_t first = 0; first < all; first += tiles) {
      const int64_t count = std::min(tiles, all - first);
      for_tiles(first, count, [&](int64_t t, int64_t image, int64_t row, int64_t column) {
        const WinogradTile tile = {h.in, w.in, row - h.padding, column - w.padding, in_step};
        for (int64_t p = 0; p < in_panels; ++p)
          kernel.winograd_input(tile, x_panels + (image * in_panels + p) * inputs * kernel.panel,
                                in + t * in_channels + p * kernel.panel);
      });
      for (int64_t f = 0; f < frequencies; ++f) {
        kernel.multiply_panels({.rows = count,
                                .columns = out_channels,
                                .depth = c,
                                .left = in + f * in_step,
                                .left_row = in_channels,
                                .left_step = 1,
                                .right = filters.data() + f * out_channels * c},
                               {.c = out + f * out_step, .row_step = out_channels});
      }
      for_tiles(first, count, [&](int64_t t, int64_t image, int64_t row, int64_t column) {
        const WinogradTile tile = {h.out, w.out, row, column, out_step};
        for (int64_t p = 0; p < out_panels; ++p)
          kernel.winograd_output(tile, out + t * out_channels + p * kernel.panel,
                                 y_panels + (image * out_panels + p) * outputs * kernel.panel);
      });
    }
    for (int64_t image = begin; image < end; ++image) {
      kernel.unpack(
          o, outputs, y_panels + (image - begin) * out_channels * outputs,
          {.c = y + image * o * outputs, .row_step = outputs, .beta = beta, .row_bias = bias, .relu = relu});
    }
  });
}

}  // namespace ballast::inline BALLAST_PRECISION
