#include <ballast/core/random.h>

// Random123 refuses processors that it doesn't know, though Philox is plain arithmetic: WebAssembly passes
// for one that has no special instructions.
#ifdef __wasm__
#define __riscv
#endif
#include <Random123/philox.h>

#include <cmath>
#include <numbers>

#include <ballast/core/parallel.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

thread_local RandomState state;

// What a stream is for. It is part of the counter, so that no two uses share random numbers.
enum Purpose : uint32_t { for_tensor = 1, for_dropout = 2 };

std::array<uint32_t, 2> words(uint64_t x) {
  return {static_cast<uint32_t>(x), static_cast<uint32_t>(x >> 32)};
}

// Uniform on (0, 1): never 0, so that its logarithm is finite.
double unit(uint32_t bits) { return (bits + 0.5) * 0x1p-32; }

// Fills x four elements at a time from blocks of four random words.
template <class Fill>
void fill_blocks(Tensor& x, std::array<uint32_t, 2> key, uint32_t stream, uint32_t purpose, Fill fill) {
  real* data = x.data();
  const int64_t count = x.count();
  parallel_for((count + 3) / 4, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const auto block = words(static_cast<uint64_t>(b));
      const auto bits = philox({block[0], block[1], stream, purpose}, key);
      std::array<real, 4> four{};
      fill(bits, four);
      for (int64_t i = 4 * b; i < std::min(4 * b + 4, count); ++i)
        data[i] = four[static_cast<size_t>(i - 4 * b)];
    }
  });
}

}  // namespace

RandomState& random_state() { return state; }

void manual_seed(uint64_t seed) { state = {.seed = seed}; }

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  const auto bits =
      r123::Philox4x32()({{counter[0], counter[1], counter[2], counter[3]}}, {{key[0], key[1]}});
  return {bits[0], bits[1], bits[2], bits[3]};
}

Tensor rand(const Shape& shape, real low, real high) {
  Tensor x(shape);
  fill_blocks(x, words(state.seed), static_cast<uint32_t>(state.tensors++), for_tensor,
              [=](const auto& bits, auto& four) {
                for (size_t i = 0; i < 4; ++i)
                  four[i] = static_cast<real>(low + (high - low) * (bits[i] * 0x1p-32));
              });
  return x;
}

Tensor randn(const Shape& shape, real mean, real std) {
  Tensor x(shape);
  fill_blocks(x, words(state.seed), static_cast<uint32_t>(state.tensors++), for_tensor,
              [=](const auto& bits, auto& four) {
                for (size_t i = 0; i < 4; i += 2) {
                  const double radius = std::sqrt(-2 * std::log(unit(bits[i]))),
                               angle = 2 * std::numbers::pi * unit(bits[i + 1]);
                  four[i] = static_cast<real>(mean + std * radius * std::cos(angle));
                  four[i + 1] = static_cast<real>(mean + std * radius * std::sin(angle));
                }
              });
  return x;
}

void fill_dropout_mask(Tensor& mask, double p, uint64_t seed, uint64_t stream, uint64_t call) {
  // Seed and stream are mixed into the 64-bit key, since the counter has only one word left.
  const auto s = words(seed), t = words(stream);
  const auto mixed = philox({s[0], s[1], t[0], t[1]}, {static_cast<uint32_t>(call >> 32), for_dropout});
  const real kept = static_cast<real>(1 / (1 - p));
  const auto threshold = static_cast<uint64_t>(std::ldexp(p, 32));
  fill_blocks(mask, {mixed[0], mixed[1]}, static_cast<uint32_t>(call), for_dropout,
              [=](const auto& bits, auto& four) {
                for (size_t i = 0; i < 4; ++i) four[i] = bits[i] < threshold ? real{0} : kept;
              });
}

}  // namespace ballast::inline BALLAST_PRECISION
