#include <ballast/layers/functional/recurrent.h>

#include <algorithm>
#include <utility>

#include <ballast/core/detail/gemm.h>
#include <ballast/core/detail/tuning.h>
#include <ballast/core/kernels/kernels.h>
#include <ballast/core/ops/reduce.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;
namespace {

int64_t gates_of(RecurrentCell cell) {
  return cell == RecurrentCell::lstm ? 4 : cell == RecurrentCell::gru ? 3 : 1;
}

// A tensor (..., N, columns) by its rows.
struct Rows {
  Tensor values;
  real* data = nullptr;
  int64_t samples = 0, columns = 0;

  Rows() = default;
  explicit Rows(Tensor x) : values(std::move(x)) {
    if (!values.empty()) data = values.data(), samples = values.size(1), columns = values.size(2);
  }
  // Row n of matrix i.
  real* operator()(int64_t i, int64_t n) const { return data + (i * samples + n) * columns; }
};

struct Sequence {
  RecurrentCell cell;
  RecurrentOrder order;
  int64_t length, samples, units;
  Rows gates, h_gates;  // at each position: from the input, and from the state where a GRU has them apart
  Rows h, c;            // before and after each position

  const Rows& from_state() const { return cell == RecurrentCell::gru ? h_gates : gates; }
  int64_t position(int64_t step) const { return order.reverse ? length - 1 - step : step; }
  int64_t before(int64_t position) const { return order.reverse ? position + 1 : position; }
  int64_t after(int64_t position) const { return order.reverse ? position : position + 1; }
  bool has(int64_t n, int64_t position) const {
    return order.lengths.size() == 0 || position < order.lengths[n];
  }

  // Calls body(begin, end) for samples that one thread takes through all positions.
  template <class Body>
  void for_samples(Body body) const {
    parallel_for(samples, grain_for(samples, tuning::recurrent_samples, tuning::most_tasks), body);
  }

  void step(int64_t n, int64_t p) const {
    const real* from = h(before(p), n);
    real* to = h(after(p), n);
    if (!has(n, p)) {
      std::copy_n(from, units, to);
      if (cell == RecurrentCell::lstm) std::copy_n(c(before(p), n), units, c(after(p), n));
      //~
    } else if (cell == RecurrentCell::tanh) {
      kernels().tanh.value(units, gates(p, n), {to}, 0, 0);
    } else if (cell == RecurrentCell::gru) {
      kernels().gru(units, gates(p, n), h_gates(p, n), from, to);
    } else {
      kernels().lstm(units, gates(p, n), c(before(p), n), c(after(p), n), to);
    }
  }
};

// Gradients at the same places; the last matrix of h is that of an LSTM's c after the position, and then
// before it.
struct SequenceGradient {
  Rows gates, h_gates, h;

  void step(const Sequence& s, int64_t n, int64_t p) const {
    const real* from = h(s.after(p), n);
    real *to = h(s.before(p), n), *of_gates = gates(p, n);
    if (!s.has(n, p)) {
      for (int64_t i = 0; i < s.units; ++i) to[i] += from[i];
      //~
      std::fill_n(of_gates, gates.columns, real{0});
      std::fill_n(h_gates(p, n), h_gates.columns, real{0});
    } else if (s.cell == RecurrentCell::tanh) {
      kernels().tanh.gradient(s.units, from, s.h(s.after(p), n), {of_gates}, 0, 0);
    } else if (s.cell == RecurrentCell::gru) {
      kernels().gru_gradient(s.units, s.gates(p, n), s.h_gates(p, n), s.h(s.before(p), n), from, of_gates,
                             h_gates(p, n), to);
    } else {
      kernels().lstm_gradient(s.units, s.gates(p, n), s.c(s.before(p), n), s.c(s.after(p), n), from,
                              h(s.length + 1, n), of_gates);
    }
  }
};

void check_recurrent(RecurrentCell cell, const Tensor& gates, const Tensor& weight, const Tensor& bias,
                     const Tensor& h, const Tensor& c, const Labels& lengths) {
  check<ShapeError>(gates.rank() == 3, "recurrent: the gates are {}; they must be (L, N, {}H)", gates.shape(),
                    gates_of(cell));
  const int64_t samples = gates.size(1), columns = gates.size(2), units = columns / gates_of(cell);
  const auto expect = [&](const char* what, const Tensor& x, const Shape& shape) {
    check<ShapeError>(x.shape() == shape, "recurrent: {} is {}; with gates {} it must be {}", what, x.shape(),
                      gates.shape(), shape);
  };
  expect("the weight", weight, {gates_of(cell) * units, units});
  if (!bias.empty()) expect("the bias", bias, {columns});
  expect("h", h, {samples, units});
  if (cell == RecurrentCell::lstm) expect("c", c, {samples, units});
  check<ShapeError>(lengths.size() == 0 || lengths.size() == samples, "recurrent: {} lengths for {} samples",
                    lengths.size(), samples);
}

// One matrix of a tensor of several.
Tensor matrix_of(const Rows& rows, int64_t i) {
  Tensor y({rows.samples, rows.columns});
  std::copy_n(rows(i, 0), y.count(), y.data());
  return y;
}

}  // namespace

Tensor recurrent(RecurrentCell cell, Tensor x_gates, Tensor weight, Tensor bias, Tensor h, Tensor c,
                 const RecurrentOrder& order) {
  check_recurrent(cell, x_gates, weight, bias, h, c, order.lengths);
  const NodeId in_x = x_gates.node(), in_weight = weight.node(), in_bias = bias.node(), in_h = h.node(),
               in_c = c.node();
  const bool lstm = cell == RecurrentCell::lstm, gru = cell == RecurrentCell::gru;
  const int64_t length = x_gates.size(0), samples = h.size(0), units = h.size(1), columns = x_gates.size(2);
  Tensor states({length + (lstm ? 2 : 1), samples, units});
  const Sequence s{.cell = cell,
                   .order = order,
                   .length = length,
                   .samples = samples,
                   .units = units,
                   .gates = Rows(own(std::move(x_gates))),
                   .h_gates = Rows(gru ? Tensor({length, samples, columns}) : Tensor()),
                   .h = Rows(states.detach()),
                   .c = Rows(lstm ? Tensor({length + 1, samples, units}) : Tensor())};

  const int64_t first = s.before(s.position(0)), last = s.after(s.position(length - 1));
  std::copy_n(std::as_const(h).data(), h.count(), s.h(first, 0));
  if (lstm) std::copy_n(std::as_const(c).data(), c.count(), s.c(first, 0));
  const PackedMatrix to_gates(units, columns, {std::as_const(weight).data(), units, true});
  s.for_samples([&](int64_t begin, int64_t end) {
    for (int64_t step = 0; step < length; ++step) {
      const int64_t p = s.position(step);
      to_gates.multiply(end - begin, s.h(s.before(p), begin), units, gru ? 0 : 1, s.from_state()(p, begin),
                        columns, bias.empty() ? nullptr : std::as_const(bias).data());
      for (int64_t n = begin; n < end; ++n) s.step(n, p);
    }
  });
  if (lstm) std::copy_n(s.c(last, 0), c.count(), s.h(length + 1, 0));

  return record(
      "recurrent", states, {in_x, in_weight, in_bias, in_h, in_c},
      [=, s = s, weight = weight.detach()](Tensor dy, Grads& grads) mutable {
        const SequenceGradient d{.gates = Rows(grads.in_place_of(s.gates.values)),
                                 .h_gates = Rows(gru ? grads.in_place_of(s.h_gates.values) : Tensor()),
                                 .h = Rows(own(std::move(dy)))};
        const Rows& of_state = gru ? d.h_gates : d.gates;
        const PackedMatrix from_gates(columns, units, {std::as_const(weight).data(), units});
        s.for_samples([&](int64_t begin, int64_t end) {
          for (int64_t step = length; step-- > 0;) {
            const int64_t p = s.position(step);
            for (int64_t n = begin; n < end; ++n) d.step(s, n, p);
            from_gates.multiply(end - begin, of_state(p, begin), columns, 1, d.h(s.before(p), begin), units);
          }
        });
        grads.write(in_weight, weight.shape(), [&](real* g, real beta) {
          gemm(columns, units, length * samples, {of_state.data, columns, true},
               {s.h(order.reverse ? 1 : 0, 0), units}, beta, g, units);
          //~ {s.h(0, 0), units}, beta, g, units);
        });
        if (grads.wants(in_bias)) grads.add(in_bias, sum_to(of_state.values, {columns}));
        if (grads.wants(in_h)) grads.add(in_h, matrix_of(d.h, first));
        if (grads.wants(in_c)) grads.add(in_c, matrix_of(d.h, length + 1));
        grads.add(in_x, d.gates.values);
      });
}

}  // namespace ballast::inline BALLAST_PRECISION
