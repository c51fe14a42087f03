#pragma once

#include <cstdint>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION {

// The inner loops, compiled once per instruction set. The files in isa/ see nothing of the library but this
// header, so that no inline function compiled for one processor is ever linked into the code of another.

/// Where the products of a tile go, and what is done to them on the way: c = relu(beta c + product + bias).
/// Element (row, column) is at c + row row_step + column column_step; one of the steps is 1.
struct Output {
  real* c;
  int64_t row_step, column_step = 1;
  real beta = 0;                      // with 0, c may be uninitialized
  const real* row_bias = nullptr;     // a number per row, or
  const real* column_bias = nullptr;  // per column
  bool relu = false;
};

/// sum over k of left(row, k) right(k, column), for `rows` x `columns` elements: one walk through memory for
/// each operand. left(row, k) is at left + row left_row + k left_step.
struct Product {
  int64_t rows, columns, depth;
  const real* left;
  int64_t left_row, left_step;
  const real* right;
};

struct Kernels {
  const char* isa;
  /// Rows of `right` are read in panels this wide: what it points at must be readable that far.
  int64_t panel;

  /// right: panels of `panel` columns, one behind the other, each (depth, panel).
  void (*multiply_panels)(const Product& p, const Output& out);
  /// Row k of right begins at right + offsets[k]; `columns` neighbours.
  void (*multiply_rows)(const Product& p, const int64_t* offsets, const Output& out);
  /// left: row r begins at left + offsets[r], its elements k are neighbours. right as in multiply_panels.
  void (*multiply_scattered)(const Product& p, const int64_t* offsets, const Output& out);
  /// Element (column, k) of a matrix at from + column column_step + k k_step -> panels for `right`, the last
  /// one filled up with zeros.
  void (*pack)(int64_t columns, int64_t depth, const real* from, int64_t column_step, int64_t k_step,
               real* to);
};

/// The best that this processor runs, or what the environment variable BALLAST_ISA names: baseline, avx2 or
/// avx512. Throws ValueError when it names another, or one that the processor lacks.
const Kernels& kernels();

}  // namespace ballast::inline BALLAST_PRECISION
