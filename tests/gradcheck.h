#pragma once

#include <cmath>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ballast/core/module.h>
#include <ballast/core/ops/elementwise.h>
#include <ballast/core/random.h>
#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {

/// Compares the gradients of a function of tensors, and of the parameters it uses, with central differences.
///
/// What is checked is F(x) = f(x) + 2 f(1 x): the first call must leave x alone, which others hold; the
/// second owns its argument and may work in place; the gradients of the two must add up. Without a tape F
/// must have the same value.
class GradientCheck {
 public:
  using Function = std::function<Tensor(std::vector<Tensor>)>;

  GradientCheck(Function f, std::vector<Tensor> inputs, Mode mode, std::vector<Parameter*> parameters = {})
      : f_(std::move(f)), inputs_(std::move(inputs)), mode_(mode), parameters_(std::move(parameters)) {
    for (Tensor& x : inputs_) variables_.push_back({x.data(), static_cast<size_t>(x.count())});
    for (Parameter* p : parameters_) variables_.push_back({p->data(), static_cast<size_t>(p->count())});
  }

  /// The first element of the Jacobian that is wrong, in words; empty if all are right.
  std::string full();
  /// The same for one random direction only, dy^T J v: for tensors so large that loops have several chunks.
  std::string directional();

 private:
  static constexpr double step = 1e-6, rtol = 1e-5, atol = 1e-7;

  Tensor twice(const std::vector<Tensor>& x) const {
    Tensor y = f_(x);  // recorded first: its backward is the last one, which has to add
    std::vector<Tensor> owned;
    for (const Tensor& input : x) owned.push_back(input * real(1));
    return std::move(y) + f_(std::move(owned)) * real(2);
  }

  Tensor value() const {
    if (mode_ == Mode::eval) return twice(inputs_);
    random_state().tapes = 0;  // the same dropout every time
    Tape tape;
    return twice(inputs_).detach();
  }

  // Calls body(tape, x, y), with x watched.
  template <class Body>
  void record(Body body) const {
    random_state().tapes = 0;
    Tape tape(mode_);
    std::vector<Tensor> x = inputs_;
    for (Tensor& input : x) tape.watch(input);
    const Tensor y = twice(x);
    body(tape, x, y);
  }

  // The gradients of all variables, concatenated.
  std::vector<double> gradient(Tape& tape, const std::vector<Tensor>& x, const Tensor& y,
                               const Tensor& dy) const {
    for (Parameter* p : parameters_) p->zero_grad();
    tape.backward(y, dy, Keep{});
    std::vector<Tensor> parts;
    for (const Tensor& input : x) parts.push_back(tape.grad(input));
    for (Parameter* p : parameters_) parts.push_back(p->grad());
    std::vector<double> all;
    for (size_t v = 0; v < parts.size(); ++v) {
      if (parts[v].empty()) parts[v] = zeros({static_cast<int64_t>(variables_[v].size())});
      for (real g : parts[v].values()) all.push_back(g);
    }
    return all;
  }

  std::string compare(const std::vector<double>& row, const std::vector<std::vector<double>>& columns,
                      size_t o) const;

  Function f_;
  std::vector<Tensor> inputs_;
  Mode mode_;
  std::vector<Parameter*> parameters_;
  std::vector<std::span<real>> variables_;
};

inline std::string GradientCheck::full() {
  const Tensor y0 = value();
  std::vector<std::vector<double>> columns;  // of the Jacobian by central differences
  for (std::span<real> variable : variables_) {
    for (real& v : variable) {
      const real at = v;
      v = at + real(step);
      const double above = v;
      const Tensor y_above = value();
      v = at - real(step);
      const double below = v;
      const Tensor y_below = value();
      v = at;
      auto& column = columns.emplace_back();
      for (size_t o = 0; o < y0.values().size(); ++o)
        column.push_back((y_above.values()[o] - y_below.values()[o]) / (above - below));
    }
  }
  std::string error;
  record([&](Tape& tape, const std::vector<Tensor>& x, const Tensor& y) {
    if (y.shape() != y0.shape()) {
      error = fmt::format("the shape is {} on a tape, {} without", y.shape(), y0.shape());
      return;
    }
    for (size_t o = 0; o < y0.values().size() && error.empty(); ++o) {
      if (y.values()[o] != y0.values()[o])
        error = fmt::format("element {} is {} on a tape, {} without", o, y.values()[o], y0.values()[o]);
      Tensor dy = zeros(y.shape());
      dy.data()[o] = 1;
      if (error.empty()) error = compare(gradient(tape, x, y, dy), columns, o);
    }
  });
  return error;
}

inline std::string GradientCheck::compare(const std::vector<double>& row,
                                          const std::vector<std::vector<double>>& columns, size_t o) const {
  if (row.size() != columns.size()) return "a gradient has another size than its variable";
  size_t all = 0;
  for (size_t v = 0; v < variables_.size(); ++v) {
    for (size_t i = 0; i < variables_[v].size(); ++i, ++all) {
      const double expected = columns[all][o];
      if (!(std::abs(row[all] - expected) <= atol + rtol * std::abs(expected)))
        return fmt::format("d y[{}] / d variable {}[{}] is {}, by differences {}", o, v, i, row[all],
                           expected);
    }
  }
  return "";
}

inline std::string GradientCheck::directional() {
  const Tensor dy = randn(value().shape());
  std::vector<Tensor> direction;
  for (std::span<real> variable : variables_)
    direction.push_back(randn({static_cast<int64_t>(variable.size())}));
  const auto move = [&](double distance) {
    for (size_t v = 0; v < variables_.size(); ++v) {
      for (size_t i = 0; i < variables_[v].size(); ++i)
        variables_[v][i] += static_cast<real>(distance) * direction[v].values()[i];
    }
  };
  move(step);
  const Tensor above = value();
  move(-2 * step);
  const Tensor below = value();
  move(step);
  double by_differences = 0, by_gradient = 0, squares = 0;
  for (size_t o = 0; o < dy.values().size(); ++o)
    by_differences += dy.values()[o] * (above.values()[o] - below.values()[o]) / (2 * step);
  record([&](Tape& tape, const std::vector<Tensor>& x, const Tensor& y) {
    const std::vector<double> g = gradient(tape, x, y, dy);
    size_t all = 0;
    for (const Tensor& part : direction) {
      for (real along : part.values()) {
        const double term = g.at(all++) * along;
        by_gradient += term;
        squares += term * term;
      }
    }
  });
  if (std::abs(by_gradient - by_differences) <= atol + rtol * std::sqrt(squares)) return "";
  return fmt::format("dy^T J v is {}, by differences {}", by_gradient, by_differences);
}

namespace detail {

template <class F, size_t... n>
GradientCheck::Function unpack(F f, std::index_sequence<n...>) {
  return [f](std::vector<Tensor> x) { return Tensor(f(std::move(x[n])...)); };
}

}  // namespace detail

/// What is wrong with the gradient of f(inputs...); empty if nothing is.
template <class F, std::same_as<Tensor>... Inputs>
requires std::invocable<F, Inputs...> std::string gradient_error(F f, Inputs... inputs) {
  return GradientCheck(detail::unpack(f, std::index_sequence_for<Inputs...>()), {inputs.clone()...},
                       Mode::eval)
      .full();
}

template <class F, std::same_as<Tensor>... Inputs>
requires std::invocable<F, Inputs...> std::string directional_error(F f, Inputs... inputs) {
  return GradientCheck(detail::unpack(f, std::index_sequence_for<Inputs...>()), {inputs.clone()...},
                       Mode::eval)
      .directional();
}

/// The same for the parameters and the input of a layer.
inline GradientCheck check_of(Module& layer, const Tensor& x, Mode mode) {
  std::vector<Parameter*> parameters;
  for_each_parameter(layer, [&](const std::string&, Parameter& p) { parameters.push_back(&p); });
  return {[&layer](std::vector<Tensor> inputs) { return layer(std::move(inputs[0])); },
          {x.clone()},
          mode,
          std::move(parameters)};
}
inline std::string gradient_error(Module& layer, const Tensor& x, Mode mode = Mode::train) {
  return check_of(layer, x, mode).full();
}
inline std::string directional_error(Module& layer, const Tensor& x, Mode mode = Mode::train) {
  return check_of(layer, x, mode).directional();
}

/// Values between -2 and 2 in scattered order that keep away from each other and from the multiples of 1/2
/// by 1/1000 at least: for functions with kinks. Up to 200 of them.
inline Tensor distinct(const Shape& shape) {
  Tensor x(shape);
  const int64_t n = x.count();
  for (int64_t i = 0; i < n; ++i)
    x.data()[i] =
        static_cast<real>((static_cast<double>(i * 7919 % n) + 0.43) * 4 / static_cast<double>(n) - 2);
  return x;
}

}  // namespace ballast::inline BALLAST_PRECISION
