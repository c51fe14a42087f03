#include <ballast/data/detail/elastic.h>

#include <algorithm>
#include <array>
#include <cmath>

#include <ballast/core/detail/scratch.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

constexpr int64_t taps = 8;              // points within four widths on either side
constexpr int64_t ahead = taps / 2 - 1;  // points before the one at or before a pixel

double width_for(int64_t rows, int64_t columns) {
  return std::max(1.0, static_cast<double>(std::min(rows, columns)) / 7);
}

}  // namespace

ElasticField::Axis::Axis(int64_t pixels, double width) : points(0) {
  for (int64_t pixel = 0; pixel < pixels; ++pixel) {
    const double position = static_cast<double>(pixel) / width;
    first.push_back(static_cast<int64_t>(position));  // which is at `ahead` widths less
    points = first.back() + taps;
    std::array<double, taps> weight{};
    double squares = 0;
    double point = std::floor(position) - ahead;
    for (double& w : weight) {
      w = std::exp(-(position - point) * (position - point) / 2);
      squares += w * w;
      ++point;
    }
    for (const double w : weight) weights.push_back(static_cast<real>(w / std::sqrt(squares)));
  }
}

ElasticField::ElasticField(int64_t rows, int64_t columns, double deviation)
    : rows_(rows, width_for(rows, columns)),
      columns_(columns, width_for(rows, columns)),
      amplitude_(std::sqrt(3.0) * deviation) {}

void ElasticField::draw(RandomStream& random, real* displacement) const {
  const int64_t rows = rows_.size(), columns = columns_.size();
  const Scratch<real> noise(columns_.points), smooth(rows_.points * columns);
  for (int axis = 0; axis < 2; ++axis) {
    for (int64_t point = 0; point < rows_.points; ++point) {
      for (int64_t n = 0; n < columns_.points; ++n)
        noise[n] = static_cast<real>(random.uniform(-amplitude_, amplitude_));
      for (int64_t column = 0; column < columns; ++column) {
        const real* weights = columns_.weights.data() + column * taps;
        const real* from = noise.data() + columns_.first[static_cast<size_t>(column)];
        real sum = 0;
        for (int64_t tap = 0; tap < taps; ++tap) sum += weights[tap] * from[tap];
        smooth[point * columns + column] = sum;
      }
    }
    for (int64_t row = 0; row < rows; ++row, displacement += columns) {
      const real* weights = rows_.weights.data() + row * taps;
      const real* from = smooth.data() + rows_.first[static_cast<size_t>(row)] * columns;
      std::fill_n(displacement, columns, real{0});
      for (int64_t tap = 0; tap < taps; ++tap, from += columns)
        for (int64_t column = 0; column < columns; ++column)
          displacement[column] += weights[tap] * from[column];
    }
  }
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
