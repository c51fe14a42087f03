#include <ballast/layers/functional/linear.h>

#include <utility>

#include <ballast/core/detail/product.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;
namespace {

void check_linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  check<ShapeError>(weight.rank() == 2, "linear: weight is {}; it must have two axes, (out, in)",
                    weight.shape());
  const int64_t in = weight.size(1), out = weight.size(0);
  check<ShapeError>(x.rank() >= 1 && x.shape()[-1] == in, "linear: x is {}; its last dimension must be {}{}",
                    x.shape(), in,
                    x.rank() > 2 && x.count() == x.size(0) * in ? ", as that of flatten(x) is" : "");
  check<ShapeError>(bias.empty() || bias.shape() == Shape{out}, "linear: bias is {}; it must be ({})",
                    bias.shape(), out);
}

}  // namespace

Tensor linear(Tensor x, Tensor weight, Tensor bias, const Then& then) {
  if (then.max_pool || then.falls_and_rises()) return apply(then, linear(std::move(x), weight, bias));
  check_linear(x, weight, bias);
  return times_matrix("linear", std::move(x), std::move(weight), std::move(bias), true, then.relu());
}

Tensor detail::linear_same_bits(Tensor x, Tensor weight, Tensor bias) {
  check_linear(x, weight, bias);
  return times_matrix("linear", std::move(x), std::move(weight), std::move(bias), true, false, true);
}

}  // namespace ballast::inline BALLAST_PRECISION
