#include <ballast/core/predict.h>

#include <ballast/core/scope.h>

namespace ballast::inline BALLAST_PRECISION {

Tensor predict(Module& model, Tensor x) {
  const EvalScope evaluating;
  return model(std::move(x));
}

}  // namespace ballast::inline BALLAST_PRECISION
