#pragma once

#include <ballast/data/loader.h>
#include <ballast/data/random_stream.h>

namespace ballast::app {

// Mixup (Zhang et al. 2018, arXiv:1710.09412): a network learns from share a + (1 - share) b of two samples,
// with a loss mixed alike. As in timm, the share is one per batch, and the partner of each sample is that in
// the reversed batch, which is random since batches are shuffled.

/// A number from the distribution Beta(alpha, alpha), alpha > 0.
double draw_share(RandomStream& random, double alpha);

/// The same samples, the last first.
Batch reversed(const Batch& batch);

/// share a + (1 - share) b
Tensor mixed(const Tensor& a, const Tensor& b, double share);

}  // namespace ballast::app
