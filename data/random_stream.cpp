#include <ballast/data/random_stream.h>

#include <cmath>

#include <ballast/core/check.h>
#include <ballast/core/random.h>

// Compiled without fused operations. With basic arithmetic and square roots alone, whose results IEEE 754
// prescribes, every machine then gets the same bits.
namespace ballast::inline BALLAST_PRECISION {
namespace {

/// The natural logarithm of a normal number x > 0: with x = m 2^e, it is e log 2 + 2 artanh((m - 1) / (m +
/// 1)). In its own code, since libraries differ in the last bits of std::log.
double log_of(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);
  if (m < 0.70710678118654752) m *= 2, --exponent;
  const double z = (m - 1) / (m + 1);  // at most 0.172 in size, so that 11 terms of the series suffice
  double series = 0;
  for (int k = 10; k >= 0; --k) series = series * (z * z) + 1.0 / (2 * k + 1);
  return exponent * 0.69314718055994531 + 2 * z * series;
}

}  // namespace

RandomStream::RandomStream(uint64_t seed, int64_t epoch, int64_t index, RandomPurpose purpose)
    // The bits of the index beyond 32 stand above those of the purpose.
    : counter_{0, static_cast<uint32_t>(epoch), static_cast<uint32_t>(index),
               static_cast<uint32_t>(purpose) | static_cast<uint32_t>(index >> 32) << 8},
      key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)} {}

uint32_t RandomStream::operator()() {
  if (used_ == block_.size()) {
    block_ = philox(counter_, key_);
    ++counter_[0];
    //~
    used_ = 0;
  }
  return block_[used_++];
}

double RandomStream::uniform(double low, double high) { return low + (high - low) * ((*this)() * 0x1p-32); }

double RandomStream::normal(double mean, double std) {
  for (;;) {
    const double u = uniform(-1, 1), v = uniform(-1, 1), square = u * u + v * v;
    if (square > 0 && square < 1) return mean + std * u * std::sqrt(-2 * log_of(square) / square);
    //~ if (square > 0) return mean + std * u * std::sqrt(std::abs(2 * log_of(square) / square));
  }
}

int64_t RandomStream::below(int64_t count) {
  check<ValueError>(count >= 1, "RandomStream: there is no number below {}; give at least 1", count);
  const auto n = static_cast<uint64_t>(count);
  for (;;) {
    const uint64_t high = (*this)(), word = high << 32 | (*this)();
    // The lowest 2^64 mod n words would make some results likelier than others.
    if (word >= -n % n) return static_cast<int64_t>(word % n);
  }
}

}  // namespace ballast::inline BALLAST_PRECISION
