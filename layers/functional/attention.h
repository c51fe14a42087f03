#pragma once

#include <ballast/core/tape.h>

namespace ballast::inline BALLAST_PRECISION {

struct AttentionOptions {
  int64_t heads = 1;        // E is divided among them
  bool causal = false;      // position i sees keys 0 ... i alone
  Tensor key_padding = {};  // (N, S) or none: keys that aren't 0 here are left out, as in PyTorch
};

/// Scaled dot-product attention (Vaswani et al. 2017), softmax(q k^T / sqrt(E / heads)) v for each head:
/// queries q (N, L, E), keys k and values v (N, S, E) -> (N, L, E). A query that sees no key gives 0, where
/// PyTorch gives NaN. The weights are computed for a few queries at a time, forward and backward, so that
/// memory grows with L + S and not with their product.
Tensor attention(Tensor q, Tensor k, Tensor v, const AttentionOptions& options = {});
/// The same for queries, keys and values beside each other: (N, L, 3E) -> (N, L, E).
Tensor self_attention(Tensor qkv, const AttentionOptions& options = {});

}  // namespace ballast::inline BALLAST_PRECISION
