#include <ballast/core/gemm.h>

#include <algorithm>

#include <ballast/core/kernels/kernels.h>
#include <ballast/core/ops/scratch.h>
#include <ballast/core/parallel.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

// The rows of op(A), or the columns of op(B): element k of line i is at data + i line_step + k k_step.
struct Lines {
  const real* data;
  int64_t count, line_step, k_step;

  // Neighbouring elements are copied as vectors, others one by one.
  int64_t packing_cost(int64_t depth) const { return count * depth * (line_step == 1 ? 1 : 4); }
};

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

Output part_of(Output out, int64_t row, int64_t column) {
  out.c += row * out.row_step + column * out.column_step;
  if (out.row_bias) out.row_bias += row;
  if (out.column_bias) out.column_bias += column;
  return out;
}

// The result is cut into tasks of some panels by some rows; each packs its panels for itself.
struct Tasks {
  int64_t panels, rows;  // of a task
  int64_t panel_tasks, row_tasks;

  Tasks(int64_t row_count, int64_t panel_count, int64_t panel_width, int64_t depth) {
    constexpr int64_t worthwhile = int64_t{1} << 19;  // multiply-adds, some 10 us
    constexpr int64_t cache = int64_t{3} << 16;       // bytes of panels that a second cache holds
    const int64_t work = row_count * panel_count * panel_width * depth;
    const int64_t wanted = std::clamp<int64_t>(work / worthwhile, 1, 16);
    const int64_t panel_bytes = std::max<int64_t>(1, panel_width * depth * int64_t{sizeof(real)});
    panels = std::clamp<int64_t>(cache / panel_bytes, 1, divide_up(panel_count, wanted));
    panel_tasks = divide_up(panel_count, panels);
    rows = divide_up(row_count, divide_up(wanted, panel_tasks));
    row_tasks = divide_up(row_count, rows);
  }
};

}  // namespace

void gemm(int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, real beta, real* c, int64_t ldc,
          const Epilogue& epilogue) {
  if (m == 0 || n == 0) return;
  Lines left = {a.data, m, a.transposed ? 1 : a.ld, a.transposed ? a.ld : 1};
  Lines right = {b.data, n, b.transposed ? b.ld : 1, b.transposed ? 1 : b.ld};
  Output out = {.c = c, .row_step = ldc, .beta = beta, .column_bias = epilogue.bias, .relu = epilogue.relu};
  // The operand that is cheaper to pack becomes the vectors, even if that means writing columns of C.
  if (left.packing_cost(k) + 2 * m * n < right.packing_cost(k)) {
    std::swap(left, right);
    std::swap(out.row_step, out.column_step);
    std::swap(out.row_bias, out.column_bias);
  }
  const Kernels& kernel = kernels();
  const Tasks tasks(left.count, divide_up(right.count, kernel.panel), kernel.panel, k);
  const int64_t columns = tasks.panels * kernel.panel;
  reserve_scratch<real>(columns * k, tasks.panel_tasks * tasks.row_tasks);
  parallel_for(tasks.panel_tasks * tasks.row_tasks, 1, [&](int64_t task, int64_t) {
    const int64_t column = task / tasks.row_tasks * columns, row = task % tasks.row_tasks * tasks.rows;
    const Scratch<real> packed(columns * k);
    Product p = {.rows = std::min(tasks.rows, left.count - row),
                 .columns = std::min(columns, right.count - column),
                 .depth = k,
                 .left = left.data + row * left.line_step,
                 .left_row = left.line_step,
                 .left_step = left.k_step,
                 .right = packed.data()};
    kernel.pack(p.columns, k, right.data + column * right.line_step, right.line_step, right.k_step,
                packed.data());
    kernel.multiply_panels(p, part_of(out, row, column));
  });
}

}  // namespace ballast::inline BALLAST_PRECISION
