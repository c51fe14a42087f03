#pragma once

#include <ballast/core/module.h>

namespace ballast::inline BALLAST_PRECISION {

/// `model(x)` in an evaluation scope: the same wherever it is called, also while a tape trains the model.
Tensor predict(Module& model, Tensor x);

}  // namespace ballast::inline BALLAST_PRECISION
