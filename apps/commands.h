#pragma once

#include "options.h"

namespace ballast::inline BALLAST_PRECISION {

// The subcommands of `ballast`. Each returns the exit code, 0 or 128 + the signal that stopped it, prints
// what the user asked for, and throws an Error for everything else.
int train(const TrainOptions& options);
int eval(const EvalOptions& options);
int summary(const SummaryOptions& options);
int recalibrate(const RewriteOptions& options);
int fold(const RewriteOptions& options);
int certify(const CertifyOptions& options);

}  // namespace ballast::inline BALLAST_PRECISION
