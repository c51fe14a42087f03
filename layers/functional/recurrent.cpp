#include <ballast/layers/functional/recurrent.h>

#include <utility>

#include <ballast/core/detail/gradient_target.h>
#include <ballast/core/detail/map.h>
#include <ballast/core/kernels/kernels.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;
namespace {

void check_cell(const char* op, const Tensor& gates, int64_t count, const Tensor& state) {
  check<ShapeError>(state.rank() == 2, "{}: the state is {}; it must be (N, H)", op, state.shape());
  const Shape expected{state.size(0), count * state.size(1)};
  check<ShapeError>(gates.shape() == expected, "{}: the gates are {} and the state {}; the gates must be {}",
                    op, gates.shape(), state.shape(), expected);
}

// Calls body(n) for each of the samples.
template <class Body>
void for_each_sample(int64_t samples, int64_t units, Body body) {
  parallel_for(samples, row_grain(8 * units), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) body(n);
  });
}

using Cell = void (*)(int64_t, const real*, const real*, real*);
using CellGradient = void (*)(int64_t, const real*, const real*, const real*, real*, real*);

Tensor lstm_part(const char* op, Cell cell, CellGradient gradient, Tensor gates, Tensor c) {
  check_cell(op, gates, 4, c);
  const NodeId in_gates = gates.node(), in_c = c.node();
  const int64_t samples = c.size(0), units = c.size(1);
  Tensor y(c.shape());
  for_each_sample(samples, units, [&, g = gates.data(), from = c.data(), to = y.data()](int64_t n) {
    cell(units, g + n * 4 * units, from + n * units, to + n * units);
  });
  return record(op, y, {in_gates, in_c},
                [=, gates = gates.detach(), c = c.detach()](Tensor dy, Grads& grads) {
                  const GradientTarget dgates(grads, in_gates, gates.shape()), dc(grads, in_c, c.shape());
                  for_each_sample(samples, units, [&, d = std::as_const(dy).data()](int64_t n) {
                    gradient(units, gates.data() + n * 4 * units, c.data() + n * units, d + n * units,
                             dgates.data() + n * 4 * units, dc.data() + n * units);
                    //~ dgates.data() + n * units, dc.data() + n * units);
                  });
                });
}

}  // namespace

Tensor lstm_state(Tensor gates, Tensor c) {
  return lstm_part("lstm_state", kernels().lstm_state, kernels().lstm_state_gradient, std::move(gates),
                   std::move(c));
}

Tensor lstm_output(Tensor gates, Tensor c) {
  return lstm_part("lstm_output", kernels().lstm_output, kernels().lstm_output_gradient, std::move(gates),
                   std::move(c));
}

Tensor gru_state(Tensor x_gates, Tensor h_gates, Tensor h) {
  check_cell("gru_state", x_gates, 3, h);
  check_cell("gru_state", h_gates, 3, h);
  const NodeId in_x = x_gates.node(), in_h_gates = h_gates.node(), in_h = h.node();
  const int64_t samples = h.size(0), units = h.size(1), row = 3 * units;
  Tensor y(h.shape());
  for_each_sample(samples, units,
                  [&, x = x_gates.data(), g = h_gates.data(), from = h.data(), to = y.data()](int64_t n) {
                    kernels().gru_state(units, x + n * row, g + n * row, from + n * units, to + n * units);
                  });
  return record("gru_state", y, {in_x, in_h_gates, in_h},
                [=, x = x_gates.detach(), g = h_gates.detach(), h = h.detach()](Tensor dy, Grads& grads) {
                  const GradientTarget dx(grads, in_x, x.shape()), dg(grads, in_h_gates, g.shape()),
                      dh(grads, in_h, h.shape());
                  for_each_sample(samples, units, [&, d = std::as_const(dy).data()](int64_t n) {
                    kernels().gru_state_gradient(units, x.data() + n * row, g.data() + n * row,
                                                 h.data() + n * units, d + n * units, dx.data() + n * row,
                                                 dg.data() + n * row, dh.data() + n * units);
                  });
                });
}

}  // namespace ballast::inline BALLAST_PRECISION
