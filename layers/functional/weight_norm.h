#pragma once

#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {

// Reparameterizations of a weight (out, ...), whose row o is all that output o is computed with.

/// The lengths of v's rows: (out, ...) -> (out, 1, ...). Not recorded.
Tensor row_lengths(const Tensor& v);

/// Weight normalization (Salimans & Kingma 2016): w = g v / |v| row by row. v (out, ...), g (out, 1, ...). A
/// row of zeros has no direction: its w is 0, and it takes no gradient.
Tensor weight_norm(Tensor v, Tensor g);

/// Spectral normalization (Miyato et al. 2018): W / sigma with sigma = u^T W v, W read as a matrix (out, in);
/// u (out) and v (in) count as constants. A W with sigma = 0 stays as it is.
Tensor spectral_norm(Tensor weight, const Tensor& u, const Tensor& v);

/// One step towards W's first singular vectors, in place: v = W^T u / |W^T u|, u = W v / |W v|. Leaves alone
/// what would be divided by 0.
void power_iteration(const Tensor& weight, real* u, real* v);

}  // namespace ballast::inline BALLAST_PRECISION
