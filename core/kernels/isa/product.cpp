#include <array>

#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/vector.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {
namespace {

// Register blocking: a tile of sums, most_rows x 2 vectors, stays in registers, beside two vectors of `right`
// and one broadcast element of `left`.
#ifdef __AVX512F__
constexpr int most_rows = 12;
#elif defined __wasm__  // whose engines leave fewer registers
constexpr int most_rows = 4;
#else
constexpr int most_rows = 6;
#endif

// Gives pointers to the rows k = 0, 1, ... of one packed panel.
struct RightPanel {
  const real* at;
  const real* next() {
    at += panel;
    return at - panel;
  }
};

// Right operand packed in panels.
struct RightPanels {
  const real* at;
  int64_t depth;
  RightPanel from_column(int64_t column) const { return {at + column * depth}; }
};

// Right operand whose rows k are at arbitrary offsets.
struct RightScattered {
  const real* at;
  const int64_t* offsets;
  RightScattered from_column(int64_t column) const { return {at + column, offsets}; }
  const real* next() { return at + *offsets++; }
};

// Left operand whose rows are contiguous, at equal distances.
struct LeftRows {
  const real* at;
  int64_t row_step;
  LeftRows from_row(int64_t row) const { return {at + row * row_step, row_step}; }
};

// Left operand whose columns are contiguous, at equal distances.
struct LeftColumns {
  const real* at;
  int64_t step;
  LeftColumns from_row(int64_t row) const { return {at + row, step}; }
};

// Left operand whose rows are contiguous, at arbitrary offsets.
struct LeftScattered {
  const real* at;
  const int64_t* offsets;
  LeftScattered from_row(int64_t row) const { return {at, offsets + row}; }
};

template <int R, int V>
struct Tile {
  Vector at[R][V];

  [[gnu::always_inline]] void clear() {
    for (int r = 0; r < R; ++r) {
      for (int v = 0; v < V; ++v) at[r][v] = Vector{};
    }
  }

  // Adds left(r) times the vectors at `right` to the sums of row r.
  template <class Left>
  [[gnu::always_inline]] void add_term(Left left, const real* right) {
    Vector columns[V];
    for (int v = 0; v < V; ++v) columns[v] = load(right + v * lanes);
    for (int r = 0; r < R; ++r) {
      const Vector row = broadcast(left(r));
      for (int v = 0; v < V; ++v) at[r][v] += row * columns[v];
    }
  }

  // Three rows share a pointer: x86 addresses base, base + step and base + 2 step directly.
  template <class Right>
  [[gnu::always_inline]] void add(int64_t depth, LeftRows left, Right right) {
    constexpr int pointers = (R + 2) / 3;
    const real* rows[pointers];
    for (int i = 0; i < pointers; ++i) rows[i] = left.at + 3 * i * left.row_step;
#pragma GCC unroll 8
    for (; depth > 0; --depth) {
      add_term([&](int r) { return rows[r / 3][r % 3 * left.row_step]; }, right.next());
      for (int i = 0; i < pointers; ++i) ++rows[i];
    }
  }

  template <class Right>
  [[gnu::always_inline]] void add(int64_t depth, LeftColumns left, Right right) {
    for (; depth > 0; --depth, left.at += left.step)
      add_term([&](int r) { return left.at[r]; }, right.next());
  }

  template <class Right>
  [[gnu::always_inline]] void add(int64_t depth, LeftScattered left, Right right) {
    const real* rows[R];
    for (int r = 0; r < R; ++r) rows[r] = left.at + left.offsets[r];
#pragma GCC unroll 4
    for (int64_t k = 0; k < depth; ++k) add_term([&](int r) { return rows[r][k]; }, right.next());
  }

  // `last` is the number of valid lanes in the last vectors: a compile-time constant if all are.
  template <class Last>
  [[gnu::always_inline]] void put(const Output& out, int64_t row, int64_t column, Last last) {
    real* to = out.c + row * out.row_step + column;
    const auto count = [=](int v) { return v < V - 1 ? lanes : last; };
    for (int r = 0; out.row_bias && r < R; ++r) {
      for (int v = 0; v < V; ++v) at[r][v] += broadcast(out.row_bias[row + r]);
    }
    for (int v = 0; out.column_bias && v < V; ++v) {
      for (int r = 0; r < R; ++r) at[r][v] += load_first(out.column_bias + column + v * lanes, count(v));
      //~ for (int r = 0; r < R; ++r) at[r][v] += load_first(out.column_bias + column, count(v));
    }
    if (out.beta != 0) {
      const Vector beta = broadcast(out.beta);
      for (int r = 0; r < R; ++r) {
        for (int v = 0; v < V; ++v)
          at[r][v] += beta * load_first(to + r * out.row_step + v * lanes, count(v));
        //~ at[r][v] += load_first(to + r * out.row_step + v * lanes, count(v));
      }
    }
    if (out.relu) {
      for (int r = 0; r < R; ++r) {
        for (int v = 0; v < V; ++v) at[r][v] = at[r][v] < 0 ? Vector{} : at[r][v];
      }
    }
    for (int r = 0; r < R; ++r) {
      for (int v = 0; v < V; ++v) store_first(to + r * out.row_step + v * lanes, at[r][v], count(v));
    }
  }
};

template <int R, int V, class Left, class Right>
[[gnu::always_inline]] inline Tile<R, V> product(int64_t depth, const Left& left, const Right& right) {
  Tile<R, V> sums;
  sums.clear();
  sums.add(depth, left, right);
  return sums;
}

template <int R, int V, class Left, class Right>
[[gnu::noinline]] void multiply_part_of_tile(int64_t depth, const Left& left, const Right& right,
                                             const Output& out, int64_t row, int64_t column,
                                             int64_t columns) {
  product<R, V>(depth, left, right).put(out, row, column, columns - (V - 1) * lanes);
}

template <int R, int V, class Left, class Right>
[[gnu::always_inline]] inline void multiply_tile(int64_t depth, const Left& left, const Right& right,
                                                 const Output& out, int64_t row, int64_t column,
                                                 int64_t columns) {
  if (columns < V * lanes) return multiply_part_of_tile<R, V>(depth, left, right, out, row, column, columns);
  product<R, V>(depth, left, right).put(out, row, column, AllLanes());
}

struct Range {
  int64_t begin, end;
};

// In tiles of V vectors, and of half as many where fewer columns are left.
template <int R, int V, class Left, class Right>
[[gnu::always_inline]] inline void multiply_columns(int64_t depth, const Left& left, const Right& right,
                                                    const Output& out, int64_t row, Range columns) {
  int64_t column = columns.begin;
  for (; columns.end - column > (V - 1) * lanes; column += V * lanes)
    multiply_tile<R, V>(depth, left, right.from_column(column), out, row, column, columns.end - column);
  if constexpr (V > 1) {
    if (column < columns.end) multiply_columns<R, V / 2>(depth, left, right, out, row, {column, columns.end});
  }
}

// In tiles of R rows.
template <int R, class Left, class Right>
void multiply_tiles(int64_t depth, const Left& left, const Right& right, const Output& out, Range rows,
                    Range columns) {
  for (int64_t row = rows.begin; row < rows.end; row += R)
    multiply_columns<R, 2>(depth, left.from_row(row), right, out, row, columns);
}

template <class Left, class Right>
using Multiply = void (*)(int64_t, const Left&, const Right&, const Output&, Range, Range);

template <class Left, class Right, int... R>
constexpr std::array<Multiply<Left, Right>, sizeof...(R)> multiply_table(std::integer_sequence<int, R...>) {
  return {multiply_tiles<R + 1, Left, Right>...};
}

// In tiles of at most most_rows rows, nearly equal. Each tile reads its rows of `left` once per panel and all
// panels of `right`, which should fit L2.
template <class Left, class Right>
void multiply(const Product& p, const Left& left, const Right& right, const Output& out, Range columns) {
  if (p.rows == 0) return;
  static constexpr auto table = multiply_table<Left, Right>(std::make_integer_sequence<int, most_rows>());
  const int64_t tiles = (p.rows + most_rows - 1) / most_rows, each = p.rows / tiles, longer = p.rows % tiles;
  const int64_t middle = longer * (each + 1);
  if (longer) table[static_cast<size_t>(each)](p.depth, left, right, out, {0, middle}, columns);
  table[static_cast<size_t>(each - 1)](p.depth, left, right, out, {middle, p.rows}, columns);
}

}  // namespace

void multiply_panels(const Product& p, const Output& out) {
  const RightPanels right = {p.right, p.depth};
  if (p.left_step == 1) return multiply(p, LeftRows{p.left, p.left_row}, right, out, {0, p.columns});
  multiply(p, LeftColumns{p.left, p.left_step}, right, out, {0, p.columns});
}

void multiply_scattered(const Product& p, const int64_t* offsets, const Output& out) {
  multiply(p, LeftScattered{p.left, offsets}, RightPanels{p.right, p.depth}, out, {0, p.columns});
}

// One panel at a time: it is read from all rows of `right`, and stays in L1 for all rows of `left`. With one
// row or two, the few sums of a panel would wait for each other: the latency of additions is hidden by wider
// tiles.
void multiply_scattered_rows(const Product& p, const int64_t* offsets, const Output& out) {
  const LeftRows left = {p.left, p.left_row};
  const RightScattered right = {p.right, offsets};
  if (p.rows == 1) return multiply_columns<1, 8>(p.depth, left, right, out, 0, {0, p.columns});
  if (p.rows == 2) return multiply_columns<2, 4>(p.depth, left, right, out, 0, {0, p.columns});
  for (int64_t column = 0; column < p.columns; column += panel)
    multiply(p, left, right, out, {column, least(column + panel, p.columns)});
}

namespace {

// R rows of `left` times a vector.
template <int R>
void multiply_rows_by_vector(const Product& p, const int64_t* offsets, const Output& out, int64_t row) {
  const real* rows[R];
  for (int r = 0; r < R; ++r) rows[r] = p.left + offsets[row + r];
  Vector sums[R] = {};
  const auto add = [&](int64_t k, auto count) {
    const Vector right = load_first(p.right + k, count);
    for (int r = 0; r < R; ++r) sums[r] += load_first(rows[r] + k, count) * right;
  };
  int64_t k = 0;
  for (; k + lanes <= p.depth; k += lanes) add(k, AllLanes());
  if (k < p.depth) add(k, p.depth - k);
  for (int r = 0; r < R; ++r) out.c[(row + r) * out.row_step] += sum_of_lanes(sums[r]);
  //~ for (int r = 0; r < R; ++r) out.c[(row + r) * out.row_step] = sum_of_lanes(sums[r]);
}

// As many sums as hide the latency of additions; a filter of 3 x 3 has them at once.
template <int... R>
void add_scattered_vector(const Product& p, const int64_t* offsets, const Output& out,
                          std::integer_sequence<int, R...>) {
  static constexpr void (*table[])(const Product&, const int64_t*, const Output&,
                                   int64_t) = {multiply_rows_by_vector<R + 1>...};
  constexpr int64_t most = sizeof...(R);
  for (int64_t row = 0, tiles = (p.rows + most - 1) / most; tiles > 0; --tiles) {
    const int64_t each = (p.rows - row + tiles - 1) / tiles;
    table[each - 1](p, offsets, out, row);
    row += each;
  }
}

}  // namespace

void add_scattered_product(const Product& p, const int64_t* offsets, const Output& out) {
  add_scattered_vector(p, offsets, out, std::make_integer_sequence<int, 9>());
}

void multiply_vector(const Product& p, const Output& out) {
  constexpr int chains = 8;       // independent sums, which hide the latency of additions
  constexpr int64_t ahead = 512;  // prefetch distance in elements, which reaches into the next row
  // The ReLU doesn't branch: a misprediction would discard the loads that run ahead.
  const real smallest = out.relu ? 0 : -__builtin_inff();
  const real* left = p.left;
  for (int64_t row = 0; row < p.rows; ++row, left += p.left_row) {
    Vector sums[chains] = {};
    int64_t k = 0;
    for (; k + chains * lanes <= p.depth; k += chains * lanes) {
      for (int i = 0; i < chains; ++i) {
        __builtin_prefetch(left + k + i * lanes + ahead);
        sums[i] += load(p.right + k + i * lanes) * load(left + k + i * lanes);
      }
    }
    for (; k + lanes <= p.depth; k += lanes) sums[0] += load(p.right + k) * load(left + k);
    Vector total = {};
    for (const Vector& sum : sums) total += sum;
    real value = sum_of_lanes(total);
    for (; k < p.depth; ++k) value += left[k] * p.right[k];
    if (out.row_bias) value += out.row_bias[row];
    if (out.column_bias) value += *out.column_bias;
    real& to = out.c[row * out.row_step];
    if (out.beta != 0) value += out.beta * to;
    to = value < smallest ? smallest : value;
  }
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
