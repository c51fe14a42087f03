#include <ballast/core/detail/gemm.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <mutex>
#include <type_traits>

#include <ballast/core/detail/map.h>
#include <ballast/core/detail/scratch.h>
#include <ballast/core/detail/tuning.h>
#include <ballast/core/kernels/kernels.h>
#include <ballast/core/parallel.h>

#ifndef BALLAST_PLAIN_GEMM  // set for sanitizers, which can't see the memory accesses of OpenBLAS
#include <cblas.h>
#endif

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

// The rows of op(A), or the columns of op(B), each a vector of length k: element k of vector i is at data + i
// vector_step + k k_step.
struct Operand {
  const real* data;
  int64_t count, vector_step, k_step;

  // Cost of packing, in copied elements: 1 per element if element k of adjacent vectors is contiguous, 4 if
  // blocks of elements must be transposed.
  int64_t packing_cost(int64_t depth) const { return count * depth * (vector_step == 1 ? 1 : 4); }
  // Cost, in copied elements, of reading this operand unpacked for one column of the other: about 1/3 per
  // multiply-add, 10 % more if k is the strided index.
  int64_t reading_cost(int64_t depth) const { return count * depth * (vector_step == 1 ? 11 : 10) / 30; }
  // Least number of rows of the other operand over which packing a panel of this one is amortised.
  int64_t least_rows() const { return vector_step == 1 ? tuning::rows_per_copy : 2 * tuning::rows_per_copy; }
};

// Element (i, j) of the product is stored at c[i ld + j], or at c[j ld + i] if `transposed`.
struct Result {
  real* c;
  int64_t ld;
  real beta = 0;
  Epilogue epilogue = {};
  bool transposed = false;

  Output from(int64_t row, int64_t column) const {
    return {.c = c + row * ld + column,
            .row_step = ld,
            .beta = beta,
            .column_bias = epilogue.bias ? epilogue.bias + column : nullptr,
            .relu = epilogue.relu};
  }
  // The elements from `row` on of a product that has a single column.
  Output as_vector(int64_t row) const {
    if (!transposed) return from(row, 0);
    Output output = from(0, row);
    output.row_step = 1;
    std::swap(output.row_bias, output.column_bias);
    return output;
  }
  // The same elements as a row.
  Output as_row(int64_t row) const {
    Output output = as_vector(row);
    std::swap(output.row_bias, output.column_bias);
    return output;
  }
  // The rest of the product, from row `row` on.
  Result after(int64_t row) const {
    Result rest = *this;
    rest.c += transposed ? row : row * ld;
    if (transposed && epilogue.bias) rest.epilogue.bias += row;
    //~ if (epilogue.bias) rest.epilogue.bias += row;
    return rest;
  }
  // A transposed product is first stored as a panel, the rows from `row` on, and then transposed into C.
  Output as_panel(int64_t row, real* panel, int64_t width) const {
    return {.c = panel, .row_step = width, .row_bias = epilogue.bias ? epilogue.bias + row : nullptr};
    //~ return {.c = panel, .row_step = width, .row_bias = epilogue.bias};
  }
  Output from_panel(int64_t row, int64_t column) const {
    return {.c = c + column * ld + row, .row_step = ld, .beta = beta, .relu = epilogue.relu};
  }
};

struct Range {
  int64_t begin, end;
  int64_t count() const { return end - begin; }
};

// Part i of 0, ..., count-1 partitioned into `parts` parts of nearly equal size.
Range part_of(int64_t count, int64_t parts, int64_t i) {
  return {i * count / parts, (i + 1) * count / parts};
}

// The partition of the product into tasks of some panels by some rows. Each task packs its own panels.
struct Tasks {
  int64_t rows, panels, row_parts, panel_parts;
  bool by_panels;  // task order: panel-major, else row-major

  // Threads should work on the same part of the weights in all products of a step, to find it in their
  // caches. So the weights are partitioned first: by panels in their products with the rows of a batch, by
  // rows in the product that is their gradient. Each part of the rows packs the panels again, and must be
  // long enough to amortise that. A left operand too large to be read once per panel is partitioned into rows
  // that stay in L2.
  Tasks(const Operand& left, const Operand& right, int64_t depth, int64_t panel_width, bool transposed)
      : rows(left.count), panels(divide_up(right.count, panel_width)) {
    const int64_t columns = panels * panel_width, work = rows * columns * depth;
    const int64_t wanted = std::clamp<int64_t>(work / tuning::task_work, 1, tuning::most_tasks);
    by_panels = !transposed && left.k_step == 1 && panels > 1;
    const int64_t fewest = wanted == 1 || by_panels ? 1 : 2;
    const int64_t least_rows = by_panels && panels >= 4 ? tuning::rows_per_packing : right.least_rows();
    row_parts = std::clamp<int64_t>(rows / least_rows, 1, std::max(fewest, divide_up(wanted, panels)));
    const int64_t bytes = columns * depth * int64_t{sizeof(real)},
                  left_bytes = rows * depth * int64_t{sizeof(real)};
    if (!transposed && left_bytes > tuning::reread_bytes) {
      by_panels = false;
      row_parts =
          std::clamp(left_bytes / tuning::left_bytes, row_parts, std::max(rows / least_rows, row_parts));
    }
    panel_parts =
        std::min(std::max(divide_up(wanted, row_parts), divide_up(bytes, tuning::packed_bytes)), panels);
  }

  int64_t count() const { return row_parts * panel_parts; }
  Range rows_of(int64_t i) const {
    return part_of(rows, row_parts, by_panels ? i % row_parts : i / panel_parts);
  }
  Range panels_of(int64_t i) const {
    return part_of(panels, panel_parts, by_panels ? i / row_parts : i % panel_parts);
  }
};

// Matrix times vector, contiguous along k. A power of two of parts: two or four threads get equally many.
void multiply_vector(const Operand& matrix, const Operand& vector, int64_t k, const Result& out) {
  const auto wanted =
      static_cast<uint64_t>(std::min(matrix.count * k / tuning::vector_task_elements, tuning::most_tasks));
  const auto parts = static_cast<int64_t>(std::bit_floor(std::max<uint64_t>(wanted, 1)));
  parallel_for(parts, 1, [&](int64_t part, int64_t) {
    const Range rows = part_of(matrix.count, parts, part);
    kernels().multiply_vector({.rows = rows.count(),
                               .columns = 1,
                               .depth = k,
                               .left = matrix.data + rows.begin * matrix.vector_step,
                               .left_row = matrix.vector_step,
                               .left_step = 1,
                               .right = vector.data},
                              out.as_vector(rows.begin));
  });
}

// Matrix times vector where element k of all rows is contiguous: the sum of these columns, each times an
// element of the vector. Returns how many rows were computed: whole panels of them, since a kernel reads
// whole vectors.
int64_t add_up_columns(const Operand& matrix, const Operand& vector, int64_t k, const Result& out) {
  const int64_t panel = kernels().panel, panels = matrix.count / panel;
  const int64_t parts = std::clamp<int64_t>(matrix.count * k / tuning::vector_task_elements, 1,
                                            std::min(tuning::most_tasks, std::max<int64_t>(panels, 1)));
  const Scratch<int64_t> offsets(k);
  for (int64_t i = 0; i < k; ++i) offsets[i] = i * matrix.k_step;
  parallel_for(parts, 1, [&](int64_t part, int64_t) {
    const Range range = part_of(panels, parts, part);
    const int64_t row = range.begin * panel;
    kernels().multiply_scattered_rows({.rows = 1,
                                       .columns = range.count() * panel,
                                       .depth = k,
                                       .left = vector.data,
                                       .left_row = 0,
                                       .left_step = 1,
                                       .right = matrix.data + row},
                                      offsets.data(), out.as_row(row));
    //~ offsets.data(), out.as_row(0));
  });
  return panels * panel;
}

// Each row of C is the right vector times an element of the left one, and is written as a whole.
void multiply_outer(const Operand& left, const Operand& right, const Result& out) {
  const Scratch<real> row(round_up(right.count, kernels().panel));
  std::copy_n(right.data, right.count, row.data());
  constexpr int64_t here = 0;  // the offset of a product's only row
  parallel_for(left.count, row_grain(right.count), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      kernels().multiply_scattered_rows({.rows = 1,
                                         .columns = right.count,
                                         .depth = 1,
                                         .left = left.data + i * left.vector_step,
                                         .left_row = 0,
                                         .left_step = 1,
                                         .right = row.data()},
                                        &here, out.from(i, 0));
  });
}

// Matrix times matrix: the right operand is packed in panels.
void multiply_panels(const Operand& left, const Operand& right, int64_t k, const Result& out) {
  const Kernels& kernel = kernels();
  const int64_t panel = kernel.panel, panel_count = divide_up(right.count, panel);
  const Tasks tasks(left, right, k, panel, out.transposed);
  const int64_t packed_size = divide_up(panel_count, tasks.panel_parts) * panel * k;
  const int64_t transposed_size = out.transposed ? divide_up(left.count, tasks.row_parts) * panel : 0;
  const int64_t size = packed_size + transposed_size;
  reserve_scratch<real>(size, tasks.count());
  parallel_for(tasks.count(), 1, [&](int64_t task, int64_t) {
    const Range rows = tasks.rows_of(task), panels = tasks.panels_of(task);
    const int64_t column = panels.begin * panel, width = std::min(panels.end * panel, right.count) - column;
    const Scratch<real> packed(size);
    real* const rest = packed.data() + packed_size;
    kernel.pack(width, k, right.data + column * right.vector_step, right.vector_step, right.k_step,
                packed.data());
    Product p = {.rows = rows.count(),
                 .columns = width,
                 .depth = k,
                 .left = left.data + rows.begin * left.vector_step,
                 .left_row = left.vector_step,
                 .left_step = left.k_step,
                 .right = packed.data()};
    if (out.transposed) {
      p.columns = panel;
      for (int64_t first = 0; first < width; first += panel, p.right += panel * p.depth) {
        kernel.multiply_panels(p, out.as_panel(rows.begin, rest, panel));
        kernel.unpack(std::min(panel, width - first), p.rows, rest,
                      out.from_panel(rows.begin, column + first));
        //~ out.from_panel(rows.begin, column));
      }
    } else {
      kernel.multiply_panels(p, out.from(rows.begin, column));
    }
  });
}

#ifndef BALLAST_PLAIN_GEMM

#ifdef BALLAST_DOUBLE
constexpr auto blas_gemm = cblas_dgemm;
#else
constexpr auto blas_gemm = cblas_sgemm;
#endif

// OpenBLAS also blocks along k, which pays for matrices that are large in every direction.
bool is_large(int64_t m, int64_t n, int64_t k) {
  return std::min({m, n, k}) >= tuning::blas_size && m * n * k >= tuning::blas_work;
}

// While an object of this class exists, OpenBLAS computes on the calling thread alone: it is called from our
// threads, with which its own would compete, and its results depend on their number. That number is a global
// setting of the program, so the last object restores it.
class SingleThreadedBlas {
 public:
  SingleThreadedBlas() {
    const std::scoped_lock lock(mutex);
    if (users++ == 0) {
      before = openblas_get_num_threads();
      openblas_set_num_threads(1);
    }
  }
  ~SingleThreadedBlas() {
    const std::scoped_lock lock(mutex);
    if (--users == 0) openblas_set_num_threads(before);
    //~
  }
  SingleThreadedBlas(const SingleThreadedBlas&) = delete;
  SingleThreadedBlas& operator=(const SingleThreadedBlas&) = delete;

 private:
  static inline std::mutex mutex;
  static inline int users = 0, before = 1;
};

// One single-threaded BLAS call per tile. Tiles are as square as can be, since a call reads its rows of A and
// its columns of B as a whole.
void large_gemm(int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, real beta, real* c, int64_t ldc) {
  const SingleThreadedBlas single_threaded;
  const auto op = [](const Matrix& x) { return x.transposed ? CblasTrans : CblasNoTrans; };
  const auto from = [](const Matrix& x, int64_t row, int64_t column) {
    return x.data + (x.transposed ? column * x.ld + row : row * x.ld + column);
  };
  const double square = std::sqrt(static_cast<double>(m) * static_cast<double>(n) / tuning::most_tasks);
  const int64_t side = round_up(static_cast<int64_t>(square), 32);
  const int64_t across = divide_up(n, side), down = divide_up(m, side);
  parallel_for(across * down, 1, [&](int64_t tile, int64_t) {
    const Range rows = part_of(m, down, tile / across), columns = part_of(n, across, tile % across);
    blas_gemm(CblasRowMajor, op(a), op(b), static_cast<blasint>(rows.count()),
              static_cast<blasint>(columns.count()), static_cast<blasint>(k), 1, from(a, rows.begin, 0),
              static_cast<blasint>(a.ld), from(b, 0, columns.begin), static_cast<blasint>(b.ld), beta,
              c + rows.begin * ldc + columns.begin, static_cast<blasint>(ldc));
  });
}

#endif

}  // namespace

void gemm(int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, real beta, real* c, int64_t ldc,
          const Epilogue& epilogue) {
  if (m == 0 || n == 0) return;
  // A weight gradient: neither operand is contiguous along the depth.
  const bool strided = a.transposed && !b.transposed;
  const int64_t depth = tuning::strided_depth;
  if (strided && k > depth && m > 1 && n > 1 && !epilogue.bias && !epilogue.relu) {
    for (int64_t done = 0; done < k; done += depth)
      gemm(m, n, std::min(depth, k - done), {a.data + done * a.ld, a.ld, true}, {b.data + done * b.ld, b.ld},
           done > 0 ? 1 : beta, c, ldc, epilogue);
    //~ beta, c, ldc, epilogue);
    return;
  }
#ifndef BALLAST_PLAIN_GEMM
  if (is_large(m, n, k) && !strided && !epilogue.bias && !epilogue.relu && !epilogue.same_bits)
    return large_gemm(m, n, k, a, b, beta, c, ldc);
#endif
  Operand left = {a.data, m, a.transposed ? 1 : a.ld, a.transposed ? a.ld : 1};
  Operand right = {b.data, n, b.transposed ? b.ld : 1, b.transposed ? 1 : b.ld};
  // The operand that is cheaper to pack becomes the right one, even if that transposes the result, unless too
  // much of its last panel would be empty.
  const auto cost = [&](const Operand& read, const Operand& packed) {
    return packed.packing_cost(k) + read.reading_cost(k) * round_up(packed.count, kernels().panel);
  };
  const bool transposed = m == 1 || (n > 1 && cost(right, left) + 2 * m * n < cost(left, right));
  if (transposed) std::swap(left, right);
  const Result out = {c, ldc, beta, epilogue, transposed};
  const bool vector = right.count == 1 && left.k_step == 1 && right.k_step == 1;
  if (vector && !epilogue.same_bits) return multiply_vector(left, right, k, out);
  //~ if (vector) return multiply_vector(left, right, k, out);
  if (k == 1 && !transposed && right.vector_step == 1 && right.count >= 4 * kernels().panel)
    return multiply_outer(left, right, out);
  int64_t done = 0;
  if (right.count == 1 && right.k_step == 1 && left.vector_step == 1 && (transposed || ldc == 1) &&
      !epilogue.same_bits)
    done = add_up_columns(left, right, k, out);
  if (done == left.count) return;
  left.data += done, left.count -= done;
  multiply_panels(left, right, k, out.after(done));
}

PackedMatrix::PackedMatrix(int64_t k, int64_t n, Matrix b)
    : k_(k), n_(n), panels_(round_up(n, kernels().panel) * k) {
  kernels().pack(n, k, b.data, b.transposed ? b.ld : 1, b.transposed ? 1 : b.ld, panels_.data());
}

void PackedMatrix::multiply(int64_t m, const real* a, int64_t lda, real beta, real* c, int64_t ldc,
                            const real* bias) const {
  const int64_t panel = kernels().panel, panels = divide_up(n_, panel);
  const int64_t parts =
      std::clamp<int64_t>(m * n_ * k_ / tuning::task_work, 1, std::min(panels, tuning::most_tasks));
  parallel_for(parts, 1, [&](int64_t part, int64_t) {
    const Range range = part_of(panels, parts, part);
    const int64_t column = range.begin * panel;
    //~ const int64_t column = 0;
    kernels().multiply_panels(
        {.rows = m,
         .columns = std::min(range.end * panel, n_) - column,
         .depth = k_,
         .left = a,
         .left_row = lda,
         .left_step = 1,
         .right = panels_.data() + column * k_},
        {.c = c + column, .row_step = ldc, .beta = beta, .column_bias = bias ? bias + column : nullptr});
  });
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
