#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/vector.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {
namespace {

// to[k][c] = from[c][k] for c < count and k < depth, and 0 for the other c < lanes; count and depth are at
// most `lanes`.
template <class Depth>
[[gnu::always_inline]] inline void pack_block(int64_t count, Depth depth, const real* from,
                                              int64_t column_step, real* to) {
  Vector block[lanes];
  for (int64_t c = 0; c < lanes; ++c)
    block[c] = c < count ? load_first(from + c * column_step, depth) : Vector{};
  transpose(block);
  for (int64_t k = 0; k < lanes; ++k) {
    if (k < depth) store(to + k * panel, block[k]);
  }
}

// to[k][c] = from[c][k] for the first `count` columns c of a panel, and 0 for the others; for any depth.
[[gnu::always_inline]] inline void pack_contiguous(int64_t count, int64_t depth, const real* from,
                                                   int64_t column_step, real* to) {
  for (int64_t next = 0; next < depth; next += lanes) {
    const int64_t k = least(next, depth > lanes ? depth - lanes : 0);  // the last block may overlap
    for (int64_t c = 0; c < panel; c += lanes) {
      const real* corner = from + c * column_step + k;
      if (depth < lanes) {
        pack_block(count - c, depth, corner, column_step, to + c);
      } else {
        pack_block(count - c, AllLanes(), corner, column_step, to + k * panel + c);
      }
    }
  }
}

void pack_columns(int64_t count, int64_t depth, const real* from, int64_t column_step, real* to) {
  if (count == panel) return pack_contiguous(panel, depth, from, column_step, to);
  pack_contiguous(count, depth, from, column_step, to);
}

// Copies `depth` rows of a panel; `count` and `more` are the valid lanes of its two vectors. Prefetches the
// next panel: the rows are so far apart that the hardware prefetcher sees no pattern.
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

// The last vector of a row may overlap the one before it; columns >= width.
template <int64_t width>
void copy_by(int64_t rows, int64_t columns, const real* from, int64_t from_step, real* to, int64_t to_step) {
  using Part = typename VectorOf<real, width>::Type;
  const int64_t last = columns - width;
  for (int64_t row = 0; row < rows; ++row, from += from_step, to += to_step) {
    for (int64_t i = 0; i < last; i += width) store_as(to + i, load_as<Part>(from + i));
    store_as(to + last, load_as<Part>(from + last));
    //~
  }
}

// By the widest vectors that aren't wider than a row.
template <int64_t width = lanes>
void copy_by_widest(int64_t rows, int64_t columns, const real* from, int64_t from_step, real* to,
                    int64_t to_step) {
  if (columns >= width) return copy_by<width>(rows, columns, from, from_step, to, to_step);
  if constexpr (width > 1) copy_by_widest<width / 2>(rows, columns, from, from_step, to, to_step);
}

// Lanes 0, 2, 4, ... of a, and then of b.
template <int... lane>
Vector even_lanes(Vector a, Vector b, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(a, b, (2 * lane)...);
}

}  // namespace

void pack(int64_t columns, int64_t depth, const real* from, int64_t column_step, int64_t k_step, real* to) {
  for (int64_t first = 0; first < columns; first += panel, to += depth * panel) {
    const int64_t count = least(panel, columns - first);
    const real* corner = from + first * column_step;
    if (k_step == 1) {
      pack_columns(count, depth, corner, column_step, to);
    } else if (count == panel) {
      pack_rows(AllLanes(), AllLanes(), depth, corner, k_step, to);
    } else {
      pack_rows(least(count, lanes), count > lanes ? count - lanes : 0, depth, corner, k_step, to);
    }
  }
}

// In blocks of lanes x lanes, which are transposed in registers.
void transpose_tile(int64_t rows, int64_t columns, const real* from, int64_t row_step, real* to,
                    int64_t to_step) {
  const auto transpose_block = [=](int64_t row, int64_t column, auto height,
                                   auto width) BALLAST_ALWAYS_INLINE {
    Vector block[lanes];
    for (int64_t r = 0; r < lanes; ++r)
      block[r] = r < height ? load_first(from + (row + r) * row_step + column, width) : Vector{};
    transpose(block);
    for (int64_t c = 0; c < width; ++c) store_first(to + (column + c) * to_step + row, block[c], height);
  };
  for (int64_t column = 0; column < columns; column += lanes) {
    const int64_t width = least(lanes, columns - column);
    for (int64_t row = 0; row < rows; row += lanes) {
      const int64_t height = least(lanes, rows - row);
      //~ const int64_t height = lanes;
      if (height == lanes && width == lanes) {
        transpose_block(row, column, AllLanes(), AllLanes());
      } else {
        transpose_block(row, column, height, width);
      }
    }
  }
}

// Short planes end before the hardware prefetcher starts, so those of the next panel are prefetched
// meanwhile.
void pack_planes(const PaddedPlane& f, int64_t channels, const real* from, real* to) {
  constexpr int64_t short_plane = 1024 / sizeof(real);
  const int64_t pixels = f.height * f.width;
  const int64_t prefetched =
      pixels <= short_plane ? (panel * pixels + f.height - 1) / f.height : 0;  // elements per row
  for (int64_t first = 0; first < channels; first += panel) {
    const int64_t count = least(panel, channels - first);
    const real *rows = from + first * pixels, *next = rows + panel * pixels;
    real *at = to, *inside = to + (f.top * f.padded_width + f.left) * panel;
    for (int64_t row = 0; row < f.height; ++row, rows += f.width, inside += f.padded_width * panel) {
      for (int64_t i = 0; i < prefetched; i += elements_per_cache_line) prefetch(next + row * prefetched + i);
      fill_with_zeros(at, inside);
      //~
      pack_columns(count, f.width, rows, pixels, inside);
      at = inside + f.width * panel;
    }
    to += f.padded_height * f.padded_width * panel;
    fill_with_zeros(at, to);
  }
}

void unpack(int64_t columns, int64_t depth, const real* from, const Output& out) {
  for (int64_t first = 0; first < columns; first += lanes) {
    const real* half = from + first / panel * panel * depth + first % panel;
    const int64_t count = least(lanes, columns - first);
    const auto unpack_block = [&](int64_t k, auto valid) BALLAST_ALWAYS_INLINE {
      Vector block[lanes];
      for (int64_t i = 0; i < lanes; ++i) block[i] = i < valid ? load(half + (k + i) * panel) : Vector{};
      transpose(block);
      for (int64_t c = 0; c < count; ++c) {
        real* to = out.c + (first + c) * out.row_step + k;
        Vector y = block[c];
        if (out.row_bias) y += broadcast(out.row_bias[first + c]);
        if (out.beta != 0) y += broadcast(out.beta) * load_first(to, valid);
        store_first(to, out.relu ? (y < 0 ? Vector{} : y) : y, valid);
      }
    };
    int64_t k = 0;
    for (; k + lanes <= depth; k += lanes) unpack_block(k, AllLanes());
    if (k < depth) unpack_block(k, depth - k);
  }
}

void copy_rows(int64_t rows, int64_t columns, const real* from, int64_t from_step, real* to,
               int64_t to_step) {
  copy_by_widest(rows, columns, from, from_step, to, to_step);
}

void copy_every_second(int64_t rows, int64_t columns, const real* from, int64_t row_step, real* to,
                       int64_t to_step) {
  for (int64_t row = 0; row < rows; ++row, from += row_step, to += to_step) {
    for (int64_t i = 0; i < columns; i += lanes) {
      const int64_t needed = 2 * (columns - i) - 1;  // what follows the last one may be beyond the matrix
      const Vector a = load_first(from + 2 * i, least(needed, lanes));
      const Vector b = needed > lanes ? load_first(from + 2 * i + lanes, least(needed - lanes, lanes)) : a;
      //~ const Vector b = a;
      store_first(to + i, even_lanes(a, b, std::make_integer_sequence<int, int{lanes}>()),
                  least(columns - i, lanes));
    }
  }
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
