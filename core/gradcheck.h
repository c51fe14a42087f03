#pragma once

#include <concepts>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ballast/core/module.h>
#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {

/// Compares the gradients of a function of tensors, and of the parameters it uses, with central differences
/// (f(v + h) - f(v - h)) / 2h, as PyTorch's gradcheck does: h = 1e-6, and a difference of at most 1e-7 + 1e-5
/// times the expected gradient is right. The function must be smooth within h: keep the inputs of a ReLU away
/// from 0, those of a maximum away from each other. It takes double (BALLAST_DOUBLE): with float it throws
/// ValueError, since differences so small would be those of rounding.
///
/// What is checked is F(x) = f(x) + 2 f(1 x): the first call must leave x alone, which others hold; the
/// second owns its argument and may work in place; the gradients of the two must add up. Without a tape F
/// must have the same value. Dropout drops the same elements in each call.
class GradientCheck {
 public:
  using Function = std::function<Tensor(std::vector<Tensor>)>;

  /// Inputs and parameters are varied in place and get their values back. The parameters' gradients are
  /// cleared. In training mode a layer is called many times: running statistics move.
  GradientCheck(Function f, std::vector<Tensor> inputs, Mode mode, std::vector<Parameter*> parameters = {});

  /// The first element of the Jacobian that is wrong, in words, such as "d y[3] / d parameter 0[2] is 0.5, by
  /// differences 1"; empty if all are right. y, inputs and parameters are numbered from 0 in memory order.
  std::string full();
  /// The same for one random direction only, dy^T J v: for tensors so large that loops have several chunks.
  std::string directional();

 private:
  Tensor twice(const std::vector<Tensor>& x) const;
  Tensor value() const;
  template <class Body>
  void record(Body body) const;
  std::vector<double> gradient(Tape& tape, const std::vector<Tensor>& x, const Tensor& y,
                               const Tensor& dy) const;
  std::string compare(const std::vector<double>& row, const std::vector<std::vector<double>>& columns,
                      size_t o) const;

  Function f_;
  std::vector<Tensor> inputs_;
  Mode mode_;
  std::vector<Parameter*> parameters_;
  std::vector<std::span<real>> variables_;
};

namespace detail {

template <class F, class... Inputs>
concept FunctionOf = std::invocable<F, Inputs...> && !std::derived_from<F, Module>;

template <class F, size_t... n>
GradientCheck::Function unpack(F f, std::index_sequence<n...>) {
  return [f](std::vector<Tensor> x) { return Tensor(f(std::move(x[n])...)); };
}

}  // namespace detail

/// The check of f, which takes as many tensors as there are inputs and gives one.
template <class F, std::same_as<Tensor>... Inputs>
requires detail::FunctionOf<F, Inputs...> GradientCheck check_of(F f, Inputs... inputs) {
  return {detail::unpack(f, std::index_sequence_for<Inputs...>()), {inputs.clone()...}, Mode::eval};
}
/// The check of a layer, by its input and its parameters.
GradientCheck check_of(Module& layer, const Tensor& x, Mode mode = Mode::train);

/// What is wrong with the gradients of f(inputs...), or of layer(x); empty if nothing is.
template <class F, std::same_as<Tensor>... Inputs>
requires detail::FunctionOf<F, Inputs...> std::string gradient_error(F f, Inputs... inputs) {
  return check_of(f, inputs...).full();
}
inline std::string gradient_error(Module& layer, const Tensor& x, Mode mode = Mode::train) {
  return check_of(layer, x, mode).full();
}
/// The same in one random direction.
template <class F, std::same_as<Tensor>... Inputs>
requires detail::FunctionOf<F, Inputs...> std::string directional_error(F f, Inputs... inputs) {
  return check_of(f, inputs...).directional();
}
inline std::string directional_error(Module& layer, const Tensor& x, Mode mode = Mode::train) {
  return check_of(layer, x, mode).directional();
}

}  // namespace ballast::inline BALLAST_PRECISION
