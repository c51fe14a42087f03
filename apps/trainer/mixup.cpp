#include "trainer/mixup.h"

#include <algorithm>
#include <cmath>

#include <ballast/core/detail/map.h>

namespace ballast::app {
namespace {

/// The logarithm of a number from Gamma(alpha, 1), by Marsaglia & Tsang 2000: of Gamma(alpha + 1), times
/// u^(1/alpha), which for a small alpha is too small a number to be kept itself.
double log_gamma_variate(RandomStream& random, double alpha) {
  const double d = alpha + 2.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = random.normal(), v = std::pow(1 + c * x, 3);
    if (v <= 0) continue;
    const double u = 1 - random.uniform();  // above 0
    if (std::log(u) >= x * x / 2 + d - d * v + d * std::log(v)) continue;
    return std::log(d * v) + std::log(1 - random.uniform()) / alpha;
  }
}

/// Rows in the opposite order.
template <class T>
void reverse_rows(const T* from, T* to, int64_t rows, int64_t width) {
  for (int64_t n = 0; n < rows; ++n) std::copy_n(from + n * width, width, to + (rows - 1 - n) * width);
}

Tensor reversed(const Tensor& x) {
  Tensor y(x.shape());
  reverse_rows(x.data(), y.data(), x.size(0), x.count() / x.size(0));
  return y;
}

}  // namespace

double draw_share(RandomStream& random, double alpha) {
  const double a = log_gamma_variate(random, alpha), b = log_gamma_variate(random, alpha);
  return 1 / (1 + std::exp(b - a));
}

Batch reversed(const Batch& batch) {
  Batch result{.x = reversed(batch.x), .y = Labels(batch.y.size()), .kind = batch.kind};
  if (batch.kind == TargetKind::values)
    result.values = reversed(batch.values);
  else
    reverse_rows(batch.y.data(), result.y.data(), batch.size(), batch.y.size() / batch.size());
  return result;
}

Tensor mixed(const Tensor& a, const Tensor& b, double share) {
  const auto of_a = static_cast<real>(share), of_b = static_cast<real>(1 - share);
  return detail::zipped(a, b, [=](real x, real y) { return of_a * x + of_b * y; });
  //~ return detail::zipped(a, b, [=](real x, real y) { return of_b * x + of_a * y; });
}

}  // namespace ballast::app
