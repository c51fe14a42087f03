#include <ballast/core/gradcheck.h>

#include <cmath>

#include <ballast/core/ops/elementwise.h>
#include <ballast/core/random.h>

namespace ballast::inline BALLAST_PRECISION {

namespace {

constexpr double step = 1e-6, rtol = 1e-5, atol = 1e-7;

// While it exists, each tape draws the same dropout as the first one.
struct SameDropout {
  uint64_t before = random_state().tapes;
  SameDropout() { random_state().tapes = 0; }
  ~SameDropout() { random_state().tapes = before; }
  //~ ~SameDropout() {}
  SameDropout(const SameDropout&) = delete;
  SameDropout& operator=(const SameDropout&) = delete;
};

}  // namespace

GradientCheck::GradientCheck(Function f, std::vector<Tensor> inputs, Mode mode,
                             std::vector<Parameter*> parameters)
    : f_(std::move(f)), inputs_(std::move(inputs)), mode_(mode), parameters_(std::move(parameters)) {
  check<ValueError>(
      sizeof(real) == sizeof(double),
      "gradients can be compared with differences in double alone; build Ballast with BALLAST_DOUBLE");
  for (Tensor& x : inputs_) variables_.push_back({x.data(), static_cast<size_t>(x.count())});
  for (Parameter* p : parameters_) variables_.push_back({p->data(), static_cast<size_t>(p->count())});
}

Tensor GradientCheck::twice(const std::vector<Tensor>& x) const {
  Tensor y = f_(x);  // recorded first: its backward is the last one, which has to add
  std::vector<Tensor> owned;
  owned.reserve(x.size());
  for (const Tensor& input : x) owned.push_back(input * real(1));
  return std::move(y) + f_(std::move(owned)) * real(2);
}

Tensor GradientCheck::value() const {
  if (mode_ == Mode::eval) return twice(inputs_);
  const SameDropout dropout;
  Tape tape;
  return twice(inputs_).detach();
}

// Calls body(tape, x, y), with x watched.
template <class Body>
void GradientCheck::record(Body body) const {
  const SameDropout dropout;
  Tape tape(mode_);
  std::vector<Tensor> x = inputs_;
  for (Tensor& input : x) tape.watch(input);
  const Tensor y = twice(x);
  body(tape, x, y);
}

// The gradients of all variables, concatenated.
std::vector<double> GradientCheck::gradient(Tape& tape, const std::vector<Tensor>& x, const Tensor& y,
                                            const Tensor& dy) const {
  for (Parameter* p : parameters_) p->zero_grad();
  tape.backward(y, dy, Keep{});
  std::vector<Tensor> parts;
  parts.reserve(variables_.size());
  for (const Tensor& input : x) parts.push_back(tape.grad(input));
  for (Parameter* p : parameters_) parts.push_back(p->grad());
  std::vector<double> all;
  for (size_t v = 0; v < parts.size(); ++v) {
    if (parts[v].empty()) parts[v] = zeros({static_cast<int64_t>(variables_[v].size())});
    for (real g : parts[v].values()) all.push_back(g);
  }
  for (Parameter* p : parameters_) p->zero_grad();
  //~
  return all;
}

std::string GradientCheck::full() {
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

std::string GradientCheck::compare(const std::vector<double>& row,
                                   const std::vector<std::vector<double>>& columns, size_t o) const {
  if (row.size() != columns.size()) return "a gradient has another size than its variable";
  size_t all = 0;
  for (size_t v = 0; v < variables_.size(); ++v) {
    for (size_t i = 0; i < variables_[v].size(); ++i, ++all) {
      const double expected = columns[all][o];
      if (!(std::abs(row[all] - expected) <= atol + rtol * std::abs(expected)))
        return fmt::format("d y[{}] / d {} {}[{}] is {}, by differences {}", o,
                           v < inputs_.size() ? "input" : "parameter",
                           v < inputs_.size() ? v : v - inputs_.size(), i, row[all], expected);
    }
  }
  return "";
}

std::string GradientCheck::directional() {
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

GradientCheck check_of(Module& layer, const Tensor& x, Mode mode) {
  std::vector<Parameter*> parameters;
  for_each_parameter(layer, [&](const std::string&, Parameter& p) {
    if (p.trainable()) parameters.push_back(&p);
    //~ parameters.push_back(&p);
  });
  return {[&layer](std::vector<Tensor> inputs) { return layer(std::move(inputs[0])); },
          {x.clone()},
          mode,
          std::move(parameters)};
}

}  // namespace ballast::inline BALLAST_PRECISION
