#include <algorithm>
#include <cmath>

#include <ballast/data/detail/image_codecs.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

// Weights are integers in units of 2^-22, as in Pillow, so that results are the same bits everywhere.
constexpr int weight_bits = 22;

/// One output pixel is the weighted sum of the input pixels first, first + 1, ...
struct Taps {
  int64_t first;
  std::vector<int32_t> weights;
};

std::vector<Taps> triangle_filter(int64_t from, int64_t to) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double support = std::max(scale, 1.0);
  //~ const double support = 1.0;
  std::vector<Taps> filter;
  for (int64_t out = 0; out < to; ++out) {
    const double center = (static_cast<double>(out) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t end = std::min(static_cast<int64_t>(center + support + 0.5), from);
    std::vector<double> weights;
    double sum = 0;
    for (int64_t in = first; in < end; ++in) {
      const double distance = std::abs((static_cast<double>(in) - center + 0.5) * (1 / support));
      weights.push_back(std::max(1 - distance, 0.0));
      sum += weights.back();
    }
    Taps taps{first, {}};
    for (const double weight : weights)
      taps.weights.push_back(static_cast<int32_t>(0.5 + weight / sum * (1 << weight_bits)));
    filter.push_back(std::move(taps));
  }
  return filter;
}

/// Filters along one axis: `in` is (outer, filter's input, inner), the result (outer, filter.size(), inner).
std::vector<uint8_t> apply(const std::vector<Taps>& filter, const std::vector<uint8_t>& in, int64_t outer,
                           int64_t length, int64_t inner) {
  std::vector<uint8_t> out(static_cast<size_t>(outer * inner) * filter.size());
  uint8_t* to = out.data();
  for (int64_t o = 0; o < outer; ++o) {
    for (const Taps& taps : filter) {
      const uint8_t* from = in.data() + (o * length + taps.first) * inner;
      for (int64_t i = 0; i < inner; ++i) {
        int32_t sum = 1 << (weight_bits - 1);
        const uint8_t* pixel = from + i;
        for (const int32_t weight : taps.weights) {
          sum += weight * *pixel;
          pixel += inner;
        }
        *to++ = static_cast<uint8_t>(std::clamp(sum >> weight_bits, 0, 255));
      }
    }
  }
  return out;
}

}  // namespace

Image resized(const Image& image, int64_t rows, int64_t cols) {
  check<ValueError>(rows > 0 && cols > 0 && rows <= detail::max_image_side && cols <= detail::max_image_side,
                    "an image can't be resized to {} x {}; sides are from 1 to {}", rows, cols,
                    detail::max_image_side);
  Image result = image;
  if (cols != image.cols) {
    result.pixels =
        apply(triangle_filter(image.cols, cols), result.pixels, image.channels * image.rows, image.cols, 1);
    result.cols = cols;
  }
  if (rows != image.rows) {
    result.pixels = apply(triangle_filter(image.rows, rows), result.pixels, image.channels, image.rows, cols);
    result.rows = rows;
  }
  return result;
}

}  // namespace ballast::inline BALLAST_PRECISION
