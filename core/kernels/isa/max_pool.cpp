#include <ballast/core/kernels/isa/functions.h>

namespace ballast::inline BALLAST_PRECISION {
namespace BALLAST_ISA {
namespace {

inline bool wins(real v, real best) { return (v > best) | (v != v); }

template <bool Relu>
void pool(int64_t columns, const real* __restrict above, const real* __restrict below, real* __restrict y,
          uint8_t* __restrict winners) {
  for (int64_t i = 0; i < columns; ++i) {
    const bool right_above = wins(above[2 * i + 1], above[2 * i]);
    const bool right_below = wins(below[2 * i + 1], below[2 * i]);
    const real top = right_above ? above[2 * i + 1] : above[2 * i];
    const real bottom = right_below ? below[2 * i + 1] : below[2 * i];
    const bool low = wins(bottom, top);
    const real best = low ? bottom : top;
    const int32_t winner = low ? 2 + right_below : right_above;
    const bool dead = Relu & (best <= 0);
    y[i] = dead ? 0 : best;
    winners[i] = static_cast<uint8_t>(dead ? int32_t{no_winner} : winner);
  }
}

}  // namespace

void max_pool(int64_t columns, const real* above, const real* below, bool relu, real* y, uint8_t* winners) {
  return relu ? pool<true>(columns, above, below, y, winners)
              : pool<false>(columns, above, below, y, winners);
}

void max_pool_gradient(int64_t columns, const real* __restrict dy, const uint8_t* __restrict winners,
                       real* __restrict above, real* __restrict below) {
  for (int64_t i = 0; i < columns; ++i) {
    const real g = dy[i];
    const int32_t winner = winners[i];
    above[2 * i] = winner == 0 ? g : 0;
    above[2 * i + 1] = winner == 1 ? g : 0;
    below[2 * i] = winner == 2 ? g : 0;
    below[2 * i + 1] = winner == 3 ? g : 0;
  }
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION
