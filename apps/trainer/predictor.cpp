#include "trainer/predictor.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include <ballast/core/detail/map.h>
#include <ballast/core/ops/activation.h>
#include <ballast/core/ops/elementwise.h>
#include <ballast/core/ops/movement.h>
#include <ballast/core/predict.h>
#include <ballast/layers/analysis/fold.h>

#include "trainer/trained.h"

namespace ballast::app {
namespace {

/// One number per channel of a sample, or one for all.
Tensor per_channel(const std::vector<double>& numbers, const Shape& sample_shape) {
  Tensor all(Shape{static_cast<int64_t>(numbers.size())});
  for (size_t i = 0; i < numbers.size(); ++i) all.data()[i] = static_cast<real>(numbers[i]);
  std::vector<int64_t> shape(static_cast<size_t>(std::max(sample_shape.rank(), 1)), 1);
  shape[0] = all.size(0);
  return reshape(all, Shape(shape.data(), static_cast<int64_t>(shape.size())));
}

std::vector<double> reciprocals(std::vector<double> numbers) {
  for (double& x : numbers) x = 1 / x;
  return numbers;
}

Trained load_described(const std::string& path) {
  Trained trained = load_trained(checkpoint_of(path), {}, {});
  check<ValueError>(
      trained.described,
      "{}: this checkpoint doesn't say what its model's inputs and outputs are; a Predictor takes "
      "those that `ballast train` wrote",
      trained.path);
  return trained;
}

}  // namespace

Predictor::Predictor(const std::string& path) : Predictor(load_described(path)) {}

Predictor::Predictor(Trained trained)
    : info_(std::move(trained.info)),
      names_(output_names(info_)),
      model_(std::move(trained.model)),
      shift_(per_channel(info_.standardization.mean, info_.sample_shape)),
      scale_(per_channel(reciprocals(info_.standardization.std), info_.sample_shape)),
      offsets_(info_.schema.target_offsets()) {
  fold(model_);
}

Tensor Predictor::output(Tensor x) const {
  const Shape& expected = info_.sample_shape;
  bool fits = x.rank() == expected.rank() + 1;
  for (int axis = 0; fits && axis < expected.rank(); ++axis) fits = x.size(axis + 1) == expected[axis];
  check<ShapeError>(fits, "Predictor: x is {}; it must be (N, {}), samples as the model was trained on",
                    x.shape(), fmt::join(expected, ", "));
  return ballast::predict(model_, standardized(std::move(x)));
}

Tensor Predictor::standardized(Tensor x) const {
  if (shift_.count() > 1) return (std::move(x) - shift_) * scale_;
  const real shift = shift_.item(), scale = scale_.item();  // in one pass
  return detail::mapped(std::move(x), [=](real v) { return (v - shift) * scale; });
  //~ return detail::mapped(std::move(x), [=](real v) { return v * scale - shift; });
}

Tensor Predictor::operator()(Tensor x) const {
  Tensor y = output(std::move(x));
  if (info_.kind != TargetKind::values) return softmax(std::move(y), 1);
  real* values = y.data();
  for (int64_t i = 0; i < y.count(); ++i)
    values[i] = static_cast<real>(in_units(values[i], i % info_.outputs));
  //~
  return y;
}

double Predictor::in_units(double value, int64_t k) const {
  const auto column = static_cast<size_t>(k);
  return value * info_.target_standardization.std[column] + info_.target_standardization.mean[column] +
         (offsets_.empty() ? 0 : offsets_[column]);
}

}  // namespace ballast::app
