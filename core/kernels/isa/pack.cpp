#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/vector.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {
namespace {

// to[k][c] = from[c][k], for the first `depth` elements k of the `count` lines from c on, at most a square of
// vectors of both; 0 for the rest of the square's columns.
template <class Depth>
[[gnu::always_inline]] inline void pack_square(int64_t count, Depth depth, const real* from,
                                               int64_t line_step, real* to) {
  Vector square[lanes];
  for (int64_t c = 0; c < lanes; ++c)
    square[c] = c < count ? load_first(from + c * line_step, depth) : Vector{};
  transpose(square);
  for (int64_t k = 0; k < lanes; ++k) {
    if (k < depth) store(to + k * panel, square[k]);
  }
}

// The same for any number of elements k, which are contiguous, and a panel's columns.
[[gnu::always_inline]] inline void pack_count(int64_t count, int64_t depth, const real* from,
                                              int64_t line_step, real* to) {
  for (int64_t next = 0; next < depth; next += lanes) {
    const int64_t k = least(next, depth > lanes ? depth - lanes : 0);  // the last ones may be packed twice
    for (int64_t c = 0; c < panel; c += lanes) {
      const real* corner = from + c * line_step + k;
      if (depth < lanes) {
        pack_square(count - c, depth, corner, line_step, to + c);
      } else {
        pack_square(count - c, AllLanes(), corner, line_step, to + k * panel + c);
      }
    }
  }
}

void pack_lines(int64_t count, int64_t depth, const real* from, int64_t line_step, real* to) {
  if (count == panel) return pack_count(panel, depth, from, line_step, to);
  pack_count(count, depth, from, line_step, to);
}

// to[k][c] = from[k][c], of whose elements c `count` and `more` exist for each of a panel's vectors. The next
// panel is called for: of rows that lie so far apart the processor sees no order.
template <class Count>
[[gnu::always_inline]] inline void pack_rows(Count count, Count more, int64_t depth, const real* from,
                                             int64_t k_step, real* to) {
  for (int64_t k = 0; k < depth; ++k, from += k_step, to += panel) {
    prefetch(from + panel);
    store(to, load_first(from, count));
    store(to + lanes, load_first(from + lanes, more));
  }
}

void fill_with_zeros(real* begin, const real* end) {
  for (; begin < end; begin += lanes) store(begin, Vector{});
}

}  // namespace

void pack(int64_t columns, int64_t depth, const real* from, int64_t column_step, int64_t k_step, real* to) {
  for (int64_t first = 0; first < columns; first += panel, to += depth * panel) {
    const int64_t count = least(panel, columns - first);
    const real* corner = from + first * column_step;
    if (k_step == 1) {
      pack_lines(count, depth, corner, column_step, to);
    } else if (count == panel) {
      pack_rows(AllLanes(), AllLanes(), depth, corner, k_step, to);
    } else {
      pack_rows(least(count, lanes), count > lanes ? count - lanes : 0, depth, corner, k_step, to);
    }
  }
}

// Short planes end before the processor has noticed that they are read in order, so while one panel's are
// packed, the next one's are called for.
void pack_planes(const Frame& f, int64_t channels, const real* from, real* to) {
  constexpr int64_t short_plane = 1024 / sizeof(real);
  const int64_t pixels = f.height * f.width;
  const int64_t called_for =
      pixels <= short_plane ? (panel * pixels + f.height - 1) / f.height : 0;  // per row
  for (int64_t first = 0; first < channels; first += panel) {
    const int64_t count = least(panel, channels - first);
    const real *lines = from + first * pixels, *next = lines + panel * pixels;
    real *at = to, *place = to + (f.top * f.frame_width + f.left) * panel;
    for (int64_t row = 0; row < f.height; ++row, lines += f.width, place += f.frame_width * panel) {
      for (int64_t i = 0; i < called_for; i += line_size) prefetch(next + row * called_for + i);
      fill_with_zeros(at, place);
      //~
      pack_lines(count, f.width, lines, pixels, place);
      at = place + f.width * panel;
    }
    to += f.frame_height * f.frame_width * panel;
    fill_with_zeros(at, to);
  }
}

void unpack(int64_t columns, int64_t depth, const real* from, const Output& out) {
  for (int64_t first = 0; first < columns; first += lanes) {
    const real* half = from + first / panel * panel * depth + first % panel;
    const int64_t count = least(lanes, columns - first);
    const auto unpack_square = [&](int64_t k, auto valid) BALLAST_ALWAYS_INLINE {
      Vector square[lanes];
      for (int64_t i = 0; i < lanes; ++i) square[i] = i < valid ? load(half + (k + i) * panel) : Vector{};
      transpose(square);
      for (int64_t c = 0; c < count; ++c) {
        real* to = out.c + (first + c) * out.row_step + k;
        Vector y = square[c];
        if (out.row_bias) y += broadcast(out.row_bias[first + c]);
        if (out.beta != 0) y += broadcast(out.beta) * load_first(to, valid);
        store_first(to, out.relu ? (y < 0 ? Vector{} : y) : y, valid);
      }
    };
    int64_t k = 0;
    for (; k + lanes <= depth; k += lanes) unpack_square(k, AllLanes());
    if (k < depth) unpack_square(k, depth - k);
  }
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
