#include <ballast/core/detail/gemm.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>
#include <type_traits>

#include <ballast/core/detail/accumulate.h>
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

// Whether lines of memory so far apart share a few sets of L1, 8 of a usual one's 64, and push
// each other out of it.
bool collide(int64_t step) { return step * int64_t{sizeof(real)} % 512 == 0; }

constexpr int64_t stripe = tuning::gathered_rows;

// Rows that are columns in memory and collide are copied side by side before they are multiplied with many
// panels.
bool must_gather(const Lines& rows, int64_t panel_count) {
  return rows.line_step == 1 && collide(rows.k_step) && panel_count >= tuning::panels_worth_gathering;
}

// Columns that are columns in memory too can be read where they lie if a panel stays in L1.
bool can_stay(const Lines& columns, int64_t depth, int64_t panel) {
  return columns.line_step == 1 && !collide(columns.k_step) &&
         panel * depth * int64_t{sizeof(real)} <= tuning::l1_bytes;
}

// By memcpy: std::copy_n is a call of memmove, which takes longer than to copy so little.
void gather(const real* from, int64_t rows, int64_t depth, int64_t k_step, real* to) {
  const auto copy = [&](auto count) {
    for (int64_t k = 0; k < depth; ++k)
      std::memcpy(to + k * stripe, from + k * k_step, static_cast<size_t>(count) * sizeof(real));
  };
  rows == stripe ? copy(std::integral_constant<int64_t, stripe>()) : copy(rows);
}

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

  // With two threads each has its half of the weights, or of their gradients, in every product of a step, and
  // finds it in its cache (see Optimizer). In most layers these are the rows, which are cut first, in two at
  // least. Gathered rows are cut in four: each task gathers its own. Other rows that are few, of a gradient
  // that goes back to a batch, aren't cut: the many columns would be packed twice. Where the weights are
  // packed, for their products with the rows of a batch, panels are cut first; with four or more,
  // rows only into long parts, since each one packs its panels again. Small weights aren't cut, but the
  // batch: every thread can read all of these, and writes whole results.
  Tasks(const Lines& left, const Lines& right, int64_t depth, int64_t panel_width, bool gathered,
        bool transposed)
      : rows(left.count), panels(divide_up(right.count, panel_width)) {
    const int64_t columns = panels * panel_width, work = rows * columns * depth;
    const int64_t wanted = std::clamp<int64_t>(work / tuning::task_work, 1, tuning::most_tasks);
    const bool packed_weights = !transposed && left.k_step == 1 && right.k_step == 1;
    by_panels = packed_weights && panels > 1 && right.count * depth > tuning::small_weights;
    const bool whole = wanted == 1 || (transposed && panels > 1 && rows * depth <= tuning::small_weights);
    const bool few_rows = left.k_step == 1 && 2 * rows <= columns;
    const int64_t fewest = gathered ? 4 : few_rows || by_panels ? 1 : 2;
    const bool packs_much = gathered || (by_panels && panels >= 4);
    const int64_t least_rows = packs_much ? tuning::rows_per_packing : right.least_rows();
    row_parts = whole ? 1 : std::max(fewest, divide_up(wanted, panels));
    row_parts = std::clamp<int64_t>(rows / least_rows, 1, row_parts);
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

// A gradient that goes back to a batch sums up all rows of the weights, which with two threads lie in both
// caches. As two sums, over half of the depth each, it leaves every row where it is. In return the second sum
// is added to the first, which pays where the result is small beside the weights.
bool pays_two_sums(const Lines& left, const Lines& right, int64_t k, const Result& out) {
  const bool to_batch = !out.transposed && left.k_step == 1 && right.line_step == 1;
  return to_batch && !out.epilogue.relu && k >= 4 * left.count &&
         left.count * right.count * k >= tuning::two_sums_work;
}

// The products of all left lines with all right ones, in panels.
void multiply_panels(const Lines& left, const Lines& right, int64_t k, const Result& out) {
  const Kernels& kernel = kernels();
  const int64_t panel = kernel.panel, panel_count = divide_up(right.count, panel);
  const int64_t sums = pays_two_sums(left, right, k, out) ? 2 : 1, depth = divide_up(k, sums);
  const bool gathered = !out.transposed && must_gather(left, panel_count);
  const bool stays = !out.transposed && !gathered && can_stay(right, depth, panel);
  const Tasks tasks(left, right, depth, panel, gathered, out.transposed);
  const int64_t packed_size = divide_up(panel_count, tasks.panel_parts) * panel * depth;
  const int64_t transposed_size = out.transposed ? divide_up(left.count, tasks.row_parts) * panel : 0;
  const int64_t size = packed_size + (gathered ? stripe * depth : transposed_size);
  const Scratch<real> second(sums == 2 ? left.count * right.count : 0);
  reserve_scratch<real>(size, sums * tasks.count());
  parallel_for(sums * tasks.count(), 1, [&](int64_t i, int64_t) {
    const int64_t sum = i / tasks.count(), task = i % tasks.count();
    const Range terms = part_of(k, sums, sum);
    const Range rows = tasks.rows_of(task), panels = tasks.panels_of(task);
    const int64_t column = panels.begin * panel, width = std::min(panels.end * panel, right.count) - column;
    const Result to = sum == 0 ? out : Result{.c = second.data(), .ld = right.count};
    const real* from = left.data + terms.begin * left.k_step;
    const Scratch<real> packed(size);
    real* const rest = packed.data() + packed_size;
    const real* columns = right.data + column * right.line_step + terms.begin * right.k_step;
    const bool in_place = stays && width % panel == 0;  // no more is read than exists
    if (!in_place) kernel.pack(width, terms.count(), columns, right.line_step, right.k_step, packed.data());
    Product p = {.rows = rows.count(),
                 .columns = width,
                 .depth = terms.count(),
                 .left = from + rows.begin * left.line_step,
                 .left_row = left.line_step,
                 .left_step = left.k_step,
                 .right = in_place ? columns : packed.data()};
    if (in_place) {
      kernel.multiply_rows(p, right.k_step, to.from(rows.begin, column));
    } else if (gathered) {
      p.left = rest, p.left_step = stripe;
      for (int64_t row = rows.begin; row < rows.end; row += stripe) {
        p.rows = std::min(stripe, rows.end - row);
        gather(from + row, p.rows, p.depth, left.k_step, rest);
        kernel.multiply_panels(p, to.from(row, column));
      }
    } else if (out.transposed) {
      p.columns = panel;
      for (int64_t first = 0; first < width; first += panel, p.right += panel * p.depth) {
        kernel.multiply_panels(p, to.as_panel(rows.begin, rest, panel));
        kernel.unpack(std::min(panel, width - first), p.rows, rest,
                      to.from_panel(rows.begin, column + first));
      }
    } else {
      kernel.multiply_panels(p, to.from(rows.begin, column));
    }
  });
  if (sums == 1) return;
  parallel_for(left.count, row_grain(right.count), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      accumulate(out.c + i * out.ld, second.data() + i * right.count, right.count, 1);
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
