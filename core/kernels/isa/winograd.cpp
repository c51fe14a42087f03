// Winograd's minimal filtering F(m x m, r x r) (Lavin & Gray 2016, sec. 4.3): m x m outputs of r x r taps
// from 6 x 6 inputs, m + r = 7, by 36 multiplications for each pair of channels. F(4 x 4, 3 x 3) replaces 144
// of them, F(2 x 2, 5 x 5) 100. SIMD lanes are channels: planes are stored as panels (pixel, channel), like
// the operands of a product.
//
// The algorithm multiplies polynomials by their values at 0, 1, -1, 2, -2 and infinity. F(2, 3), for edge
// tiles with at most two outputs, doesn't need the values at 2 and -2, points 3 and 4. It uses the same
// transformed filters as F(4, 3): its input transform has the factors 4 and -3, whose inverses are in those.
#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/vector.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {
namespace {

constexpr int points = 6;

template <int Outputs, int Taps>
struct F {
  static constexpr int outputs = Outputs, taps = Taps, inputs = Outputs + Taps - 1;
  static constexpr bool has(int point) { return inputs == points || (point != 3 && point != 4); }
};

// Each transform is a matrix that is applied to the columns of a tile, then to its rows.

// B^T d
inline void input_line(const Vector (&d)[points], Vector (&t)[points]) {
  const Vector even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1], c = d[4] - d[2], e = 2 * (d[3] - d[1]);
  t[0] = 4 * d[0] - 5 * d[2] + d[4];
  t[1] = even + odd;
  t[2] = even - odd;
  t[3] = c + e;
  t[4] = c - e;
  t[5] = 4 * d[1] - 5 * d[3] + d[5];
  //~ t[5] = 4 * d[1] - 4 * d[3] + d[5];
}

// Of F(2, 3).
inline void input_line(const Vector (&d)[4], Vector (&t)[points]) {
  t[0] = 4 * (d[0] - d[2]);
  t[1] = -3 * (d[1] + d[2]);
  //~ t[1] = 3 * (d[1] + d[2]);
  t[2] = 3 * (d[1] - d[2]);
  t[5] = d[3] - d[1];
}

// The values of the polynomial p[0] + p[1] a + p[2] a^2 + ... at the points a; at infinity, that is its last
// coefficient. This is A for the gradient of the outputs, and G but for its scale for the filters.
template <bool all, int N>
inline void evaluate(const Vector (&p)[N], Vector (&v)[points]) {
  Vector even = p[0], odd = p[1], even2 = p[0], odd2 = 2 * p[1];
  for (int k = 2; k < N; ++k) {
    (k % 2 ? odd : even) += p[k];
    (k % 2 ? odd2 : even2) += real(1 << k) * p[k];
  }
  v[0] = p[0];
  v[1] = even + odd;
  v[2] = even - odd;
  if (all) v[3] = even2 + odd2, v[4] = even2 - odd2;
  v[5] = p[N - 1];
}

// The transpose of `evaluate`: p[k] is the sum of a^k v(a) over the points a, and infinity's v is added to
// the last one. This is A^T for the outputs.
template <bool all, int N>
inline void evaluate_transposed(const Vector (&v)[points], Vector (&p)[N]) {
  const Vector sum = v[1] + v[2], difference = v[1] - v[2];
  p[0] = v[0] + sum;
  for (int k = 1; k < N; ++k) p[k] = k % 2 ? difference : sum;
  if (all) {
    const Vector sum2 = v[3] + v[4], difference2 = v[3] - v[4];
    for (int k = 0; k < N; ++k) p[k] += real(1 << k) * (k % 2 ? difference2 : sum2);
  }
  p[N - 1] += v[5];
  //~
}

// For each point a, the inverse of the product of its distances from the other finite points.
constexpr real scale[points] = {real(1.0 / 4),  real(-1.0 / 6), real(-1.0 / 6),
                                real(1.0 / 24), real(1.0 / 24), 1};

// G g
template <int Taps>
inline void filter_line(const Vector (&g)[Taps], Vector (&u)[points]) {
  evaluate<true>(g, u);
  for (int i = 0; i < points - 1; ++i) u[i] *= scale[i];
}

// G^T u
template <int Taps>
inline void weight_line(const Vector (&u)[points], Vector (&g)[Taps]) {
  Vector scaled[points];
  for (int i = 0; i < points; ++i) scaled[i] = u[i] * scale[i];
  evaluate_transposed<true>(scaled, g);
}

// Calls body(taps), a compile-time constant.
template <class Body>
[[gnu::always_inline]] inline void for_taps(int64_t taps, Body body) {
  taps == 5 ? body(std::integral_constant<int, 5>()) : body(std::integral_constant<int, 3>());
}

template <int Taps>
void transform_filters(const WinogradFilters& f, int64_t p) {
  constexpr int64_t together = 8, size = Taps * Taps;  // channels, weights of one
  constexpr int halves = panel / lanes;
  real taps[together * size * panel];
  for (int64_t c = 0; c < f.channels; ++c) {
    const int64_t in_block = c % together;
    if (in_block == 0)
      pack(least(panel, f.filters - p * panel), size * least(together, f.channels - c),
           f.weight + (p * panel * f.channels + c) * size, f.channels * size, 1, taps);
    //~ f.weight + (p * panel * f.channels) * size, f.channels * size, 1, taps);
    Vector columns[halves][Taps][points];
    for (int half = 0; half < halves; ++half) {
      const real* from = taps + in_block * size * panel + half * lanes;
      for (int column = 0; column < Taps; ++column) {
        Vector g[Taps];
        for (int row = 0; row < Taps; ++row) g[row] = load(from + (row * Taps + column) * panel);
        filter_line(g, columns[half][column]);
      }
    }
    real* to = f.to + (p * f.channels + c) * panel;
    for (int row = 0; row < points; ++row) {
      for (int half = 0; half < halves; ++half) {
        Vector line[Taps], u[points];
        for (int column = 0; column < Taps; ++column) line[column] = columns[half][column][row];
        filter_line(line, u);
        for (int column = 0; column < points; ++column)
          store(to + (row * points + column) * f.frequency_step + half * lanes, u[column]);
      }
    }
  }
}

// Calls body(rows, columns) with the transforms of a tile's rows and columns of outputs, as types.
template <class Body>
[[gnu::always_inline]] inline void for_transforms(const WinogradTile& t, Body body) {
  constexpr F<4, 3> all;
  constexpr F<2, 3> few;
  constexpr F<2, 5> wide;
  if (t.taps == wide.taps) return body(wide, wide);
  if (t.rows > few.outputs) {
    t.columns > few.outputs ? body(all, all) : body(all, few);
  } else {
    t.columns > few.outputs ? body(few, all) : body(few, few);
  }
}

// Transforms Height x Width pixels to frequencies by line(transform, pixels, frequencies).
template <int Height, int Width, class Rows, class Columns, class Line>
[[gnu::always_inline]] inline void to_frequencies(Rows rows, Columns columns, const WinogradTile& t,
                                                  const real* x, real* to, Line line) {
  for (int64_t half = 0; half < panel; half += lanes) {
    Vector down[Width][points];
    for (int column = 0; column < Width; ++column) {
      Vector d[Height];
      for (int row = 0; row < Height; ++row) d[row] = load(x + (row * t.width + column) * panel + half);
      line(rows, d, down[column]);
    }
    for (int row = 0; row < points; ++row) {
      if (!rows.has(row)) continue;
      Vector across[Width], v[points];
      for (int column = 0; column < Width; ++column) across[column] = down[column][row];
      line(columns, across, v);
      for (int column = 0; column < points; ++column) {
        if (columns.has(column)) store(to + (row * points + column) * t.frequency_step + half, v[column]);
      }
    }
  }
}

template <class Rows, class Columns>
[[gnu::always_inline]] inline void from_frequencies(Rows rows, Columns columns, const WinogradTile& t,
                                                    const real* from, real* y) {
  for (int64_t half = 0; half < panel; half += lanes) {
    Vector down[points][Rows::outputs];
    for (int column = 0; column < points; ++column) {
      if (!columns.has(column)) continue;
      Vector m[points];
      for (int row = 0; row < points; ++row) {
        if (rows.has(row)) m[row] = load(from + (row * points + column) * t.frequency_step + half);
      }
      evaluate_transposed<rows.has(3)>(m, down[column]);
    }
    for (int row = 0; row < least(rows.outputs, t.rows); ++row) {
      Vector line[points], outputs[Columns::outputs];
      for (int column = 0; column < points; ++column) {
        if (columns.has(column)) line[column] = down[column][row];
      }
      evaluate_transposed<columns.has(3)>(line, outputs);
      real* to = y + row * t.width * panel + half;
      for (int column = 0; column < least(columns.outputs, t.columns); ++column)
        store(to + column * panel, outputs[column]);
    }
  }
}

template <int Taps>
void transform_weights(const WinogradWeights& w) {
  const int64_t filters = w.panels * panel, size = w.channels * filters;
  for (int64_t c = 0; c < w.channels; ++c) {
    for (int64_t o = 0; o < filters; o += lanes) {
      Vector columns[points][Taps];
      for (int column = 0; column < points; ++column) {
        Vector u[points];
        for (int row = 0; row < points; ++row)
          u[row] = load(w.sums + (row * points + column) * size + c * filters + o);
        weight_line(u, columns[column]);
      }
      real* to = w.to + (o / panel * w.channels + c) * Taps * Taps * panel + o % panel;
      for (int row = 0; row < Taps; ++row) {
        Vector line[points], taps[Taps];
        for (int column = 0; column < points; ++column) line[column] = columns[column][row];
        weight_line(line, taps);
        for (int column = 0; column < Taps; ++column) store(to + (row * Taps + column) * panel, taps[column]);
      }
    }
  }
}

}  // namespace

void winograd_filters(const WinogradFilters& f, int64_t p) {
  for_taps(f.taps, [&](auto taps) { transform_filters<taps>(f, p); });
}

void winograd_input(const WinogradTile& t, const real* x, real* to) {
  for_transforms(t, [&](auto rows, auto columns) {
    to_frequencies<rows.inputs, columns.inputs>(
        rows, columns, t, x, to, [](auto, const auto& d, Vector(&v)[points]) { input_line(d, v); });
  });
}

void winograd_gradient(const WinogradTile& t, const real* dy, real* to) {
  for_transforms(t, [&](auto rows, auto columns) {
    to_frequencies<rows.outputs, columns.outputs>(
        rows, columns, t, dy, to,
        [](auto transform, const auto& d, Vector(&v)[points]) { evaluate<transform.has(3)>(d, v); });
  });
}

void winograd_output(const WinogradTile& t, const real* from, real* y) {
  for_transforms(t, [&](auto rows, auto columns) { from_frequencies(rows, columns, t, from, y); });
}

void winograd_weights(const WinogradWeights& w) {
  for_taps(w.taps, [&](auto taps) { transform_weights<taps>(w); });
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
