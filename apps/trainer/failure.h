#pragma once

#include <ballast/core/check.h>

namespace ballast::app {

/// Training began well and then failed: exit code 1, where other errors are the user's, 2.
struct TrainingFailed : Error {
  using Error::Error;
};

}  // namespace ballast::app
