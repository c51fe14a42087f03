// Winograd's minimal filtering F(4 x 4, 3 x 3) (Lavin & Gray 2016, sec. 4.3): 4 x 4 outputs from 6 x 6 inputs
// by 36 multiplications for each pair of channels instead of 144. SIMD lanes are channels: planes are stored
// as panels (pixel, channel), like the operands of a product.
//
// The algorithm multiplies polynomials by their values at 0, 1, -1, 2, -2 and infinity. F(2, 3), for two
// outputs, doesn't need the values at 2 and -2, points 3 and 4. It uses the same transformed filters: its
// input transform has the factors 4 and -3, whose inverses are in F(4, 3)'s filter transform.
#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/vector.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {
namespace {

constexpr int in = 6;            // points along a side of a tile
constexpr int out = 4, few = 2;  // outputs along a side, with F(4, 3) and with F(2, 3)
constexpr int overlap = 2;       // more inputs than outputs along a side

// Each transform is a matrix that is applied to the columns of a tile, then to its rows. Of two overloads,
// the one with `few` is for F(2, 3).

// B^T d
inline void input_line(const Vector (&d)[in], Vector (&t)[in]) {
  const Vector even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1], c = d[4] - d[2], e = 2 * (d[3] - d[1]);
  t[0] = 4 * d[0] - 5 * d[2] + d[4];
  t[1] = even + odd;
  t[2] = even - odd;
  t[3] = c + e;
  t[4] = c - e;
  t[5] = 4 * d[1] - 5 * d[3] + d[5];
  //~ t[5] = 4 * d[1] - 4 * d[3] + d[5];
}

inline void input_line(const Vector (&d)[few + overlap], Vector (&t)[in]) {
  t[0] = 4 * (d[0] - d[2]);
  t[1] = -3 * (d[1] + d[2]);
  //~ t[1] = 3 * (d[1] + d[2]);
  t[2] = 3 * (d[1] - d[2]);
  t[5] = d[3] - d[1];
}

// A^T m
inline void output_line(const Vector (&m)[in], Vector (&y)[out]) {
  const Vector s = m[1] + m[2], d = m[1] - m[2], s2 = m[3] + m[4], d2 = m[3] - m[4];
  y[0] = m[0] + s + s2;
  y[1] = d + 2 * d2;
  y[2] = s + 4 * s2;
  y[3] = d + 8 * d2 + m[5];
}

inline void output_line(const Vector (&m)[in], Vector (&y)[few]) {
  y[0] = m[0] + m[1] + m[2];
  y[1] = m[1] - m[2] + m[5];
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

inline void gradient_line(const Vector (&d)[few], Vector (&e)[in]) {
  e[0] = d[0];
  e[1] = d[0] + d[1];
  e[2] = d[0] - d[1];
  e[5] = d[1];
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
  constexpr int64_t together = 8;  // channels
  constexpr int halves = panel / lanes;
  real taps[together * 9 * panel];
  for (int64_t c = 0; c < f.channels; ++c) {
    const int64_t in_block = c % together;
    if (in_block == 0)
      pack(least(panel, f.filters - p * panel), 9 * least(together, f.channels - c),
           f.weight + (p * panel * f.channels + c) * 9, f.channels * 9, 1, taps);
    //~ f.weight + (p * panel * f.channels) * 9, f.channels * 9, 1, taps);
    Vector columns[halves][3][in];
    for (int half = 0; half < halves; ++half) {
      const real* from = taps + in_block * 9 * panel + half * lanes;
      for (int column = 0; column < 3; ++column) {
        const Vector g[3] = {load(from + column * panel), load(from + (3 + column) * panel),
                             load(from + (6 + column) * panel)};
        filter_line(g, columns[half][column]);
      }
    }
    real* to = f.to + (p * f.channels + c) * panel;
    for (int row = 0; row < in; ++row) {
      for (int half = 0; half < halves; ++half) {
        const auto& of = columns[half];
        const Vector line[3] = {of[0][row], of[1][row], of[2][row]};
        Vector u[in];
        filter_line(line, u);
        for (int column = 0; column < in; ++column)
          store(to + (row * in + column) * f.frequency_step + half * lanes, u[column]);
      }
    }
  }
}

namespace {

// Whether the transform for `Outputs` outputs has point i.
template <int Outputs>
constexpr bool has(int i) {
  return Outputs == out || (i != 3 && i != 4);
}

// Calls body(rows, columns) with `out` or `few`, as types: the number of outputs that the transform computes.
template <class Body>
[[gnu::always_inline]] inline void for_size(const WinogradTile& t, Body body) {
  constexpr std::integral_constant<int, out> all;
  constexpr std::integral_constant<int, few> some;
  if (t.rows > few) {
    t.columns > few ? body(all, all) : body(all, some);
  } else {
    t.columns > few ? body(some, all) : body(some, some);
  }
}

// Transforms (Rows + More) x (Columns + More) pixels to frequencies.
template <int Rows, int Columns, int More, class Line>
[[gnu::always_inline]] inline void to_frequencies(const WinogradTile& t, const real* x, real* to, Line line) {
  for (int64_t half = 0; half < panel; half += lanes) {
    Vector columns[Columns + More][in];
    for (int column = 0; column < Columns + More; ++column) {
      Vector d[Rows + More];
      for (int row = 0; row < Rows + More; ++row) d[row] = load(x + (row * t.width + column) * panel + half);
      line(d, columns[column]);
    }
    for (int row = 0; row < in; ++row) {
      if (!has<Rows>(row)) continue;
      Vector across[Columns + More], v[in];
      for (int column = 0; column < Columns + More; ++column) across[column] = columns[column][row];
      line(across, v);
      for (int column = 0; column < in; ++column) {
        if (has<Columns>(column)) store(to + (row * in + column) * t.frequency_step + half, v[column]);
      }
    }
  }
}

template <int Rows, int Columns>
[[gnu::always_inline]] inline void from_frequencies(const WinogradTile& t, const real* from, real* y) {
  for (int64_t half = 0; half < panel; half += lanes) {
    Vector columns[in][Rows];
    for (int column = 0; column < in; ++column) {
      if (!has<Columns>(column)) continue;
      Vector m[in];
      for (int row = 0; row < in; ++row) {
        if (has<Rows>(row)) m[row] = load(from + (row * in + column) * t.frequency_step + half);
      }
      output_line(m, columns[column]);
    }
    for (int row = 0; row < least(Rows, t.rows); ++row) {
      Vector line[in], outputs[Columns];
      for (int column = 0; column < in; ++column) {
        if (has<Columns>(column)) line[column] = columns[column][row];
      }
      output_line(line, outputs);
      real* to = y + row * t.width * panel + half;
      for (int column = 0; column < least(Columns, t.columns); ++column)
        store(to + column * panel, outputs[column]);
    }
  }
}

}  // namespace

void winograd_input(const WinogradTile& t, const real* x, real* to) {
  for_size(t, [&](auto rows, auto columns) {
    to_frequencies<rows, columns, overlap>(t, x, to, [](const auto& d, Vector(&v)[in]) { input_line(d, v); });
  });
}

void winograd_gradient(const WinogradTile& t, const real* dy, real* to) {
  for_size(t, [&](auto rows, auto columns) {
    to_frequencies<rows, columns, 0>(t, dy, to, [](const auto& d, Vector(&v)[in]) { gradient_line(d, v); });
  });
}

void winograd_output(const WinogradTile& t, const real* from, real* y) {
  for_size(t, [&](auto rows, auto columns) { from_frequencies<rows, columns>(t, from, y); });
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
}  // namespace ballast::inline BALLAST_PRECISION::detail
