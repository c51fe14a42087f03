#pragma once

#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {

/// While a tape trains: each element is 0 with probability p, else x / (1-p) (inverted dropout, Srivastava et
/// al. 2014). Otherwise x. The mask is a function of (seed, number of the tape, number of the call), so runs
/// repeat and resume bit for bit.
Tensor dropout(Tensor x, double p = 0.5);
/// The same for whole channels of (N, C, ...).
Tensor channel_dropout(Tensor x, double p = 0.5);

}  // namespace ballast::inline BALLAST_PRECISION
