// Winograd's minimal filtering F(4 x 4, 3 x 3) (Lavin & Gray 2016, sec. 4.3): 4 x 4 outputs from 6 x 6 inputs
// by 36 multiplications for each pair of channels instead of 144. Channels are in the lanes: planes come as
// panels (pixel, channel) like the operands of a product.
#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/vector.h>

namespace ballast::inline BALLAST_PRECISION {
namespace BALLAST_ISA {
namespace {

constexpr int64_t panel = 2 * lanes;
constexpr int in = 6, out = 4;  // of a tile's side

// Each of the three transforms is a matrix applied to the columns of a square, then to its rows.

// B^T d
inline void input_line(const Vector (&d)[in], Vector (&t)[in]) {
  const Vector even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1], c = d[4] - d[2], e = 2 * (d[3] - d[1]);
  t[0] = 4 * d[0] - 5 * d[2] + d[4];
  t[1] = even + odd;
  t[2] = even - odd;
  t[3] = c + e;
  t[4] = c - e;
  t[5] = 4 * d[1] - 5 * d[3] + d[5];
}

// A^T m
inline void output_line(const Vector (&m)[in], Vector (&y)[out]) {
  const Vector s = m[1] + m[2], d = m[1] - m[2], s2 = m[3] + m[4], d2 = m[3] - m[4];
  y[0] = m[0] + s + s2;
  y[1] = d + 2 * d2;
  y[2] = s + 4 * s2;
  y[3] = d + 8 * d2 + m[5];
}

// G g
inline void filter_line(const Vector (&g)[3], Vector (&u)[in]) {
  const Vector sum = (g[0] + g[2]) * real(-1.0 / 6), wide = g[0] * real(1.0 / 24) + g[2] * real(1.0 / 6);
  const Vector odd = g[1] * real(1.0 / 6), half = g[1] * real(1.0 / 12);
  u[0] = g[0] * real(0.25);
  u[1] = sum - odd;
  u[2] = sum + odd;
  u[3] = wide + half;
  u[4] = wide - half;
  u[5] = g[2];
}

// A dy, the transpose of output_line
inline void gradient_line(const Vector (&d)[out], Vector (&e)[in]) {
  const Vector even = d[0] + d[2], odd = d[1] + d[3], even2 = d[0] + 4 * d[2], odd2 = 2 * d[1] + 8 * d[3];
  e[0] = d[0];
  e[1] = even + odd;
  e[2] = even - odd;
  e[3] = even2 + odd2;
  e[4] = even2 - odd2;
  e[5] = d[3];
}

// G^T u, the transpose of filter_line
inline void weight_line(const Vector (&u)[in], Vector (&g)[3]) {
  const Vector near = (u[1] + u[2]) * real(1.0 / 6), far = u[3] + u[4];
  g[0] = u[0] * real(0.25) - near + far * real(1.0 / 24);
  g[1] = (u[2] - u[1]) * real(1.0 / 6) + (u[3] - u[4]) * real(1.0 / 12);
  g[2] = far * real(1.0 / 6) - near + u[5];
}

}  // namespace

void winograd_filters(const WinogradFilters& f, int64_t p) {
  const int64_t size = f.panels * f.channels * panel;  // of one frequency
  for (int64_t c = 0; c < f.channels; ++c) {
    for (int64_t half = 0; half < panel; half += lanes) {
      Vector g[3][3], columns[3][in];
      for (int i = 0; i < 9; ++i) {
        Vector taps = {};
        for (int64_t lane = 0; lane < lanes; ++lane) {
          const int64_t o = p * panel + half + lane;
          if (o < f.filters) taps[lane] = f.weight[(o * f.channels + c) * 9 + i];
        }
        g[i % 3][i / 3] = taps;
      }
      for (int column = 0; column < 3; ++column) filter_line(g[column], columns[column]);
      for (int row = 0; row < in; ++row) {
        const Vector line[3] = {columns[0][row], columns[1][row], columns[2][row]};
        Vector u[in];
        filter_line(line, u);
        for (int column = 0; column < in; ++column)
          store(f.to + (row * in + column) * size + (p * f.channels + c) * panel + half, u[column]);
      }
    }
  }
}

namespace {

// The square of Size x Size pixels at x -> 36 frequencies.
template <int Size, class Line>
[[gnu::always_inline]] inline void to_frequencies(const real* x, int64_t width, int64_t frequency_step,
                                                  real* to, Line line) {
  for (int64_t half = 0; half < panel; half += lanes) {
    Vector columns[Size][in];
    for (int column = 0; column < Size; ++column) {
      Vector d[Size];
      for (int row = 0; row < Size; ++row) d[row] = load(x + (row * width + column) * panel + half);
      line(d, columns[column]);
    }
    real* at = to + half;
    for (int row = 0; row < in; ++row) {
      Vector across[Size], v[in];
      for (int column = 0; column < Size; ++column) across[column] = columns[column][row];
      line(across, v);
      for (int column = 0; column < in; ++column, at += frequency_step) store(at, v[column]);
    }
  }
}

}  // namespace

void winograd_input(const real* x, int64_t width, int64_t frequency_step, real* to) {
  to_frequencies<in>(x, width, frequency_step, to, input_line);
}

void winograd_gradient(const real* dy, int64_t width, int64_t frequency_step, real* to) {
  to_frequencies<out>(dy, width, frequency_step, to, gradient_line);
}

void winograd_output(const WinogradTile& t, const real* from, real* y) {
  const int64_t rows = least(out, t.height - t.h), width = least(out, t.width - t.w);
  for (int64_t half = 0; half < panel; half += lanes) {
    Vector columns[in][out];
    for (int column = 0; column < in; ++column) {
      Vector m[in];
      for (int row = 0; row < in; ++row) m[row] = load(from + (row * in + column) * t.frequency_step + half);
      output_line(m, columns[column]);
    }
    for (int row = 0; row < rows; ++row) {
      Vector line[in], outputs[out];
      for (int column = 0; column < in; ++column) line[column] = columns[column][row];
      output_line(line, outputs);
      real* to = y + ((t.h + row) * t.width + t.w) * panel + half;
      for (int column = 0; column < width; ++column) store(to + column * panel, outputs[column]);
    }
  }
}

void winograd_weights(const WinogradWeights& w) {
  const int64_t filters = w.panels * panel, size = w.channels * filters;
  for (int64_t c = 0; c < w.channels; ++c) {
    for (int64_t o = 0; o < filters; o += lanes) {
      Vector columns[in][3];
      for (int column = 0; column < in; ++column) {
        Vector u[in];
        for (int row = 0; row < in; ++row)
          u[row] = load(w.sums + (row * in + column) * size + c * filters + o);
        weight_line(u, columns[column]);
      }
      real* to = w.to + (o / panel * w.channels + c) * 9 * panel + o % panel;
      for (int row = 0; row < 3; ++row) {
        Vector line[in], taps[3];
        for (int column = 0; column < in; ++column) line[column] = columns[column][row];
        weight_line(line, taps);
        for (int column = 0; column < 3; ++column) store(to + (row * 3 + column) * panel, taps[column]);
      }
    }
  }
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION
