#pragma once

#include <array>
#include <cstdint>

#include <ballast/core/tensor.h>

namespace ballast::inline BALLAST_PRECISION {

/// The random state of this thread: everything random is a pure function of these three numbers (Philox
/// 4x32-10, Salmon et al. 2011), so that saving them is enough to resume with the same bits, on any number of
/// threads.
struct RandomState {
  uint64_t seed = 0;
  uint64_t tensors = 0;  // random tensors drawn so far: the stream of the next one
  uint64_t tapes = 0;    // tapes made so far; with the seed, the number of a tape keys its dropout masks
};
RandomState& random_state();

/// Starts this thread's random numbers over from `seed`.
void manual_seed(uint64_t seed);

/// 128 random bits for a counter and a key: Random123's philox4x32, 10 rounds.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// Uniform on [low, high), from the next stream of the random state.
Tensor rand(const Shape& shape, real low = 0, real high = 1);
/// Normal with the given mean and standard deviation (Box-Muller).
Tensor randn(const Shape& shape, real mean = 0, real std = 1);

/// Fills `mask`, by which inverted dropout multiplies, with 1/(1-p) with probability 1-p, else 0. Each
/// element is a function of (seed, stream, call) and its position alone.
void fill_dropout_mask(Tensor& mask, double p, uint64_t seed, uint64_t stream, uint64_t call);

}  // namespace ballast::inline BALLAST_PRECISION
