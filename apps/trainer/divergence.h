#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>

#include <ballast/core/module.h>
#include <ballast/data/loader.h>

namespace ballast::app {

/// A step of training met NaN or infinity. The message names what was the first to have it, and says what to
/// do.
struct Diverged : Error {
  using Error::Error;
};

/// The name of the first parameter, or else running statistic, of at most so many elements, with one that
/// isn't finite; "" if there is none.
std::string first_not_finite(const Parts& model, int64_t most = std::numeric_limits<int64_t>::max());

/// The same of the gradients.
std::string first_gradient_not_finite(const Parts& model);

/// Why a pass forward gives a loss that isn't finite: because of the batch, the model, or else an operation,
/// which `again`, the same pass once more, throws as NotFiniteError.
Diverged forward_divergence(const Batch& batch, const Parts& model, const std::function<void()>& again);

}  // namespace ballast::app
