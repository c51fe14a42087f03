#pragma once

#include <array>
#include <cstdint>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION {

/// What the numbers of a stream are for: each purpose has numbers of its own, so that one seed serves all.
enum class RandomPurpose : uint32_t { reading = 33, splitting = 34, mixing = 35 };

/// A sequence of random numbers that is a pure function of (seed, epoch, index, purpose), with the same bits
/// on every machine: Philox 4x32-10 (Salmon et al. 2011). A copy gives the same numbers again. It is a
/// UniformRandomBitGenerator; what distributions of the standard library make of it is up to the library.
class RandomStream {
 public:
  /// The epoch counts modulo 2^32, the index modulo 2^56.
  explicit RandomStream(uint64_t seed, int64_t epoch = 0, int64_t index = 0,
                        RandomPurpose purpose = RandomPurpose::reading);

  using result_type = uint32_t;
  static constexpr uint32_t min() { return 0; }
  static constexpr uint32_t max() { return 0xffffffff; }
  uint32_t operator()();

  /// Uniform on [low, high), in 2^32 steps.
  double uniform(double low = 0, double high = 1);
  /// Normal with the given mean and standard deviation (Marsaglia's polar method).
  double normal(double mean = 0, double std = 1);
  /// Uniform on 0 ... count-1. Throws ValueError for a count below 1.
  int64_t below(int64_t count);

 private:
  std::array<uint32_t, 4> counter_;  // of the next block
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> block_{};
  unsigned used_ = 4;  // words of the block
};

}  // namespace ballast::inline BALLAST_PRECISION
