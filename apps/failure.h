#pragma once

#include <ballast/core/check.h>

namespace ballast::inline BALLAST_PRECISION {

/// Training began well and then failed: exit code 1, where other errors are the user's, 2.
struct TrainingFailed : Error {
  using Error::Error;
};

}  // namespace ballast::inline BALLAST_PRECISION
