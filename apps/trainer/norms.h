#pragma once

#include <ballast/layers/sequential.h>

#include "options/choice.h"

namespace ballast::app {

/// Adds a norm, given the shape of what it is for: (1, C), (1, C, L) or (1, C, H, W). Layer norm is over all
/// axes but the first; instance norm is affine; for group norm see `group_count`.
using NormMaker = void (*)(Sequential&, const Shape&);
const Choices<NormMaker>& norms();

using ActivationMaker = void (*)(Sequential&);
const Choices<ActivationMaker>& activations();

/// The number of groups of --norm group for values of shape (1, C) or (1, C, ...): the most of 8, 4, 2 and 1
/// that divides C and leaves at least 16 values to each group. Fewer values say little about their mean and
/// deviation; of a single one, nothing is left but the bias. (For the channels of images, 16 per group is the
/// choice of Wu & He 2018, arXiv:1803.08494, table 3.)
int64_t group_count(const Shape& shape);

/// Throws ValueError if `norm` would get a single value and so erase it.
void check_several(const char* norm, int64_t values);

}  // namespace ballast::app
