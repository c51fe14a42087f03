#include <ballast/layers/recurrent.h>

#include <cmath>
#include <utility>

#include <ballast/core/ops/activation.h>
#include <ballast/core/ops/elementwise.h>
#include <ballast/core/ops/movement.h>
#include <ballast/layers/functional/dropout.h>
#include <ballast/layers/functional/linear.h>
#include <ballast/layers/functional/recurrent.h>
#include <ballast/layers/init.h>

namespace ballast::inline BALLAST_PRECISION {

RecurrentLayer::RecurrentLayer(Cell cell, int64_t in, int64_t hidden, const RecurrentOptions& options)
    : cell_(cell), in_(in), hidden_(hidden), options_(options) {
  check<ValueError>(in >= 1 && hidden >= 1 && options.layers >= 1,
                    "{} {} -> {} with {} layers: all must be at least 1", name(), in, hidden, options.layers);
  check<ValueError>(options.dropout >= 0 && options.dropout <= 1, "{}: dropout is {}; it must be from 0 to 1",
                    name(), options.dropout);
  const double bound = 1 / std::sqrt(static_cast<double>(hidden));
  const auto parameter = [&](const Shape& shape, bool decay) {
    Parameter p(Tensor(shape), {.decay = decay});
    uniform(p, -bound, bound);
    return p;
  };
  const int64_t rows = gates() * hidden;
  for (int64_t i = 0; i < options.layers * directions(); ++i) {
    Direction& d = directions_.emplace_back();
    d.weight_ih = parameter({rows, i < directions() ? in : directions() * hidden}, true);
    d.weight_hh = parameter({rows, hidden}, true);
    if (options.layer_norm) {
      d.norm_ih.emplace(rows), d.norm_hh.emplace(rows);
      if (cell == Cell::lstm) d.norm_c.emplace(hidden);
    } else if (options.bias) {
      d.bias_ih = parameter({rows}, false), d.bias_hh = parameter({rows}, false);
    }
  }
}

// A step of a cell with layer normalization.
RecurrentState RecurrentLayer::step(Direction& d, Tensor from_input, const RecurrentState& state) {
  const Tensor from_state = (*d.norm_hh)(detail::linear_same_bits(state.h, d.weight_hh, d.bias_hh));
  if (cell_ == Cell::tanh) return {tanh(std::move(from_input) + from_state), {}};
  if (cell_ == Cell::gru) {
    const std::vector<Tensor> x = split(from_input, hidden_, 1), h = split(from_state, hidden_, 1);
    const Tensor r = sigmoid(x[0] + h[0]), z = sigmoid(x[1] + h[1]), n = tanh(x[2] + r * h[2]);
    return {n + z * (state.h - n), {}};
  }
  const std::vector<Tensor> gates = split(std::move(from_input) + from_state, hidden_, 1);
  const Tensor c = sigmoid(gates[1]) * state.c + sigmoid(gates[0]) * tanh(gates[2]);
  return {sigmoid(gates[3]) * tanh((*d.norm_c)(c)), c};
}

// from_input (L, N, gates hidden) -> (L, N, hidden), step by step; `state` becomes the last one.
Tensor RecurrentLayer::run_steps(Direction& d, const Tensor& from_input, bool reverse, const Tensor& present,
                                 RecurrentState& state) {
  const std::vector<Tensor> inputs = split(from_input, 1);
  std::vector<Tensor> outputs(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const size_t position = reverse ? inputs.size() - 1 - i : i;
    const Shape shape = inputs[position].shape();
    RecurrentState next = step(d, reshape(inputs[position], {shape[1], shape[2]}), state);
    outputs[position] = next.h;
    if (!present.empty()) {
      const int64_t at = static_cast<int64_t>(position);
      const Tensor here = reshape(slice(present, 0, at, at + 1), {shape[1], 1});
      next.h = where(here, next.h, state.h);
      //~
      if (cell_ == Cell::lstm) next.c = where(here, next.c, state.c);
      //~
    }
    state = next;
  }
  return stack(outputs);
}

// x (L, N, in) -> (L, N, hidden); `state` becomes the last one.
Tensor RecurrentLayer::run_direction(Direction& d, const Tensor& x, const RecurrentOrder& order,
                                     const Tensor& present, RecurrentState& state) {
  Tensor from_input = detail::linear_same_bits(x, d.weight_ih, d.bias_ih), y;
  if (options_.layer_norm) {
    y = run_steps(d, (*d.norm_ih)(from_input), order.reverse, present, state);
  } else {
    const Tensor states =
        recurrent(cell_, std::move(from_input), d.weight_hh, d.bias_hh, state.h, state.c, order);
    const int64_t length = x.size(0), first = order.reverse ? 0 : 1, last = order.reverse ? 0 : length;
    const auto state_at = [&](int64_t i) { return reshape(slice(states, 0, i, i + 1), state.h.shape()); };
    y = slice(states, 0, first, first + length);
    state = {state_at(last), cell_ == Cell::lstm ? state_at(length + 1) : Tensor()};
  }
  return present.empty() ? y : where(present, y, Tensor(0));
}

RecurrentLayer::Result RecurrentLayer::operator()(Tensor x, const Labels& lengths,
                                                  const RecurrentState& initial) {
  const CallScope scope(*this);
  return run(std::move(x), lengths, initial);
}

void RecurrentLayer::check_arguments(const Tensor& x, const Labels& lengths,
                                     const RecurrentState& initial) const {
  check<ShapeError>(x.rank() == 3 && x.size(1) > 0 && x.size(2) == in_,
                    "x is {}; it must be (N, L, {}) with at least one position", x.shape(), in_);
  check<ShapeError>(lengths.size() == 0 || lengths.size() == x.size(0), "{} lengths for {} samples",
                    lengths.size(), x.size(0));
  for (int64_t n = 0; n < lengths.size(); ++n)
    check<ValueError>(lengths[n] >= 1 && lengths[n] <= x.size(1),
                      "{}: sample {} has a length of {}; it must be from 1 to {}", name(), n, lengths[n],
                      x.size(1));
  const Shape state{options_.layers * directions(), x.size(0), hidden_};
  for (const Tensor* given : {&initial.h, &initial.c})
    check<ShapeError>(given->empty() || given->shape() == state, "an initial state is {}; it must be {}",
                      given->shape(), state);
}

RecurrentLayer::Result RecurrentLayer::run(Tensor x, const Labels& lengths, const RecurrentState& initial) {
  check_arguments(x, lengths, initial);
  const int64_t samples = x.size(0);
  // 1 where a sample has a position, (L, N, 1); no tensor if all samples have all
  Tensor present = lengths.size() > 0 ? Tensor({x.size(1), samples, 1}) : Tensor();
  for (int64_t i = 0; i < present.count(); ++i)
    present.data()[i] = i / samples < lengths[i % samples] ? 1 : 0;
  const auto initial_of = [&](const Tensor& given, size_t i) {
    const int64_t at = static_cast<int64_t>(i);
    return given.empty() ? zeros({samples, hidden_})
                         : reshape(slice(given, 0, at, at + 1), {samples, hidden_});
  };
  std::vector<Tensor> h, c;
  x = transpose(std::move(x), 0, 1);
  for (int64_t layer = 0; layer < options_.layers; ++layer) {
    if (layer > 0) x = dropout(std::move(x), options_.dropout);
    std::vector<Tensor> results;
    for (int64_t direction = 0; direction < directions(); ++direction) {
      const size_t i = h.size();
      RecurrentState state{initial_of(initial.h, i),
                           cell_ == Cell::lstm ? initial_of(initial.c, i) : Tensor()};
      results.push_back(run_direction(directions_[i], x, {direction == 1, lengths}, present, state));
      h.push_back(state.h), c.push_back(state.c);
    }
    x = results.size() == 1 ? results[0] : concat(results, 2);
  }
  return {transpose(std::move(x), 0, 1), {stack(h), cell_ == Cell::lstm ? stack(c) : Tensor()}};
}

void RecurrentLayer::visit(Visitor& v) {
  for (size_t i = 0; i < directions_.size(); ++i) {
    const size_t each = static_cast<size_t>(directions());
    const std::string of = fmt::format("_l{}{}", i / each, i % each == 1 ? "_reverse" : "");
    Direction& d = directions_[i];
    v("weight_ih" + of, d.weight_ih), v("weight_hh" + of, d.weight_hh);
    v("bias_ih" + of, d.bias_ih), v("bias_hh" + of, d.bias_hh);
    v("norm_ih" + of, d.norm_ih), v("norm_hh" + of, d.norm_hh), v("norm_c" + of, d.norm_c);
  }
}

LayerInfo RecurrentLayer::info() {
  int64_t weights = 0;
  for (const Direction& d : directions_) weights += d.weight_ih.count() + d.weight_hh.count();
  return {
      .multiply_adds = weights / (directions() * hidden_), .channel_axis = -1, .dropout = options_.dropout};
}

std::string RecurrentLayer::describe() const {
  std::string text = fmt::format("{} {} -> {}", name(), in_, directions() * hidden_);
  if (options_.layers > 1) text += fmt::format(", {} layers", options_.layers);
  if (options_.bidirectional) text += ", bidirectional";
  if (options_.layer_norm) text += ", layer normalization";
  return text;
}

}  // namespace ballast::inline BALLAST_PRECISION
