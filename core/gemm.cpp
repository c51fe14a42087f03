#include <ballast/core/detail/gemm.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>
#include <type_traits>

#include <ballast/core/detail/map.h>
#include <ballast/core/detail/scratch.h>
#include <ballast/core/detail/tuning.h>
#include <ballast/core/kernels/kernels.h>
#include <ballast/core/parallel.h>

#ifndef BALLAST_PLAIN_GEMM  // stands for OpenBLAS where a tool must see every memory access
#include <cblas.h>
#endif

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

// The rows of op(A), or the columns of op(B): element k of line i is at data + i line_step + k k_step.
struct Lines {
  const real* data;
  int64_t count, line_step, k_step;

  // In elements copied: where the lines' elements k are neighbours, as vectors; else vectors are transposed.
  int64_t packing_cost(int64_t depth) const { return count * depth * (line_step == 1 ? 1 : 4); }
  // As rows, multiplied with one column: a third of a copy for each multiply-add, and a tenth more where rows
  // are columns in memory, since of each line a tile needs a few neighbours.
  int64_t reading_cost(int64_t depth) const { return count * depth * (line_step == 1 ? 11 : 10) / 30; }
  // Rows of the other operand for which packing counts for little.
  int64_t least_rows() const { return line_step == 1 ? tuning::rows_per_copy : 2 * tuning::rows_per_copy; }
};

// Where the product of left row i and right column j goes: to c[i ld + j], or if it is transposed to c[j ld +
// i]. The bias has an element for each column of C.
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
  // The rows from `row` on of a result that is a single column, or transposed a single row.
  Output as_vector(int64_t row) const {
    if (!transposed) return from(row, 0);
    Output output = from(0, row);
    output.row_step = 1;
    std::swap(output.row_bias, output.column_bias);
    return output;
  }
  // A transposed result's rows from `row` on are written as a panel first, which is transposed on its way to
  // C.
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

// Part number i of `parts` parts of 0, ..., count-1, as equal as can be.
Range part_of(int64_t count, int64_t parts, int64_t i) {
  return {i * count / parts, (i + 1) * count / parts};
}

// The result is cut into tasks of some panels by some rows; each packs its panels for itself.
struct Tasks {
  int64_t rows, panels, row_parts, panel_parts;
  bool by_panels;  // tasks of the same panels are neighbours, else those of the same rows

  // A thread should meet the same part of the weights in every product of a step, which is in its cache then.
  // So the weights are partitioned first: as panels, in their products with the rows of a batch, else as
  // rows, in their gradient. Each part of the rows packs its panels anew, and must be long enough to be worth
  // it.
  Tasks(const Lines& left, const Lines& right, int64_t depth, int64_t panel_width, bool transposed)
      : rows(left.count), panels(divide_up(right.count, panel_width)) {
    const int64_t columns = panels * panel_width, work = rows * columns * depth;
    const int64_t wanted = std::clamp<int64_t>(work / tuning::task_work, 1, tuning::most_tasks);
    by_panels = !transposed && left.k_step == 1 && panels > 1;
    const int64_t fewest = wanted == 1 || by_panels ? 1 : 2;
    const int64_t least_rows = by_panels && panels >= 4 ? tuning::rows_per_packing : right.least_rows();
    row_parts = std::clamp<int64_t>(rows / least_rows, 1, std::max(fewest, divide_up(wanted, panels)));
    const int64_t bytes = columns * depth * int64_t{sizeof(real)};
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

// The products of lines with a single one, all contiguous. Parts are a power of two, so that two threads or
// four have as many each.
void multiply_vector(const Lines& lines, const Lines& vector, int64_t k, const Result& out) {
  const auto wanted =
      static_cast<uint64_t>(std::min(lines.count * k / tuning::vector_task_elements, tuning::most_tasks));
  const auto parts = static_cast<int64_t>(std::bit_floor(std::max<uint64_t>(wanted, 1)));
  parallel_for(parts, 1, [&](int64_t part, int64_t) {
    const Range rows = part_of(lines.count, parts, part);
    kernels().multiply_vector({.rows = rows.count(),
                               .columns = 1,
                               .depth = k,
                               .left = lines.data + rows.begin * lines.line_step,
                               .left_row = lines.line_step,
                               .left_step = 1,
                               .right = vector.data},
                              out.as_vector(rows.begin));
  });
}

// The products of all left lines with all right ones, in panels.
void multiply_panels(const Lines& left, const Lines& right, int64_t k, const Result& out) {
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
    kernel.pack(width, k, right.data + column * right.line_step, right.line_step, right.k_step,
                packed.data());
    Product p = {.rows = rows.count(),
                 .columns = width,
                 .depth = k,
                 .left = left.data + rows.begin * left.line_step,
                 .left_row = left.line_step,
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

// OpenBLAS cuts along the depth as well, which pays for matrices that are large in every direction.
bool is_large(int64_t m, int64_t n, int64_t k) {
  return std::min({m, n, k}) >= tuning::blas_size && m * n * k >= tuning::blas_work;
}

// While any of these lives, OpenBLAS computes on the calling thread alone: our own threads call it, and BLAS
// threads beside them would compete, and change bits with their number. Its number of threads is a global
// setting that belongs to the program, so the last one puts it back.
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
  }
  SingleThreadedBlas(const SingleThreadedBlas&) = delete;
  SingleThreadedBlas& operator=(const SingleThreadedBlas&) = delete;

 private:
  static inline std::mutex mutex;
  static inline int users = 0, before = 1;
};

// In tiles of columns, each one single-threaded call.
void large_gemm(int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, real beta, real* c, int64_t ldc) {
  const SingleThreadedBlas single_threaded;
  const auto op = [](const Matrix& x) { return x.transposed ? CblasTrans : CblasNoTrans; };
  parallel_for(n, round_up(divide_up(n, 16), 32), [&](int64_t begin, int64_t end) {
    blas_gemm(CblasRowMajor, op(a), op(b), static_cast<blasint>(m), static_cast<blasint>(end - begin),
              static_cast<blasint>(k), 1, a.data, static_cast<blasint>(a.ld),
              b.data + (b.transposed ? begin * b.ld : begin), static_cast<blasint>(b.ld), beta, c + begin,
              static_cast<blasint>(ldc));
  });
}

#endif

}  // namespace

void gemm(int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, real beta, real* c, int64_t ldc,
          const Epilogue& epilogue) {
  if (m == 0 || n == 0) return;
#ifndef BALLAST_PLAIN_GEMM
  if (is_large(m, n, k) && !epilogue.bias && !epilogue.relu) return large_gemm(m, n, k, a, b, beta, c, ldc);
#endif
  Lines left = {a.data, m, a.transposed ? 1 : a.ld, a.transposed ? a.ld : 1};
  Lines right = {b.data, n, b.transposed ? b.ld : 1, b.transposed ? 1 : b.ld};
  // The operand that is cheaper to pack becomes the vectors, even if the result is transposed then, unless
  // too much of the last panel stays empty.
  const auto cost = [&](const Lines& rows, const Lines& vectors) {
    return vectors.packing_cost(k) + rows.reading_cost(k) * round_up(vectors.count, kernels().panel);
  };
  const bool transposed = m == 1 || (n > 1 && cost(right, left) + 2 * m * n < cost(left, right));
  if (transposed) std::swap(left, right);
  const Result out = {c, ldc, beta, epilogue, transposed};
  if (right.count == 1 && left.k_step == 1 && right.k_step == 1) return multiply_vector(left, right, k, out);
  multiply_panels(left, right, k, out);
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
