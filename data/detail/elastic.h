#pragma once

#include <cstdint>
#include <vector>

#include <ballast/core/real.h>
#include <ballast/data/random_stream.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// Random displacements of pixels that vary smoothly (Simard, Steinkraus and Platt 2003): white noise
/// convolved with a Gaussian, whose width is a seventh of the image's smaller side, and at least a pixel: 4
/// pixels for 28 x 28. Each displacement has mean 0 and, along each axis, the given standard deviation in
/// pixels.
///
/// The noise is drawn at points that are one width apart instead of at each pixel. The Gaussian suppresses
/// what is finer: correlations change by less than a thousandth, and 28 x 28 numbers become 14 x 14.
class ElasticField {
 public:
  ElasticField(int64_t rows, int64_t columns, double deviation);

  int64_t size() const { return 2 * rows_.size() * columns_.size(); }
  /// Fills in displacements (2, rows, columns) along columns, then along rows.
  void draw(RandomStream& random, real* displacement) const;

 private:
  /// Along one axis: pixel p gets the weighted sum of the points first[p], first[p] + 1, ...
  struct Axis {
    Axis(int64_t pixels, double width);
    int64_t size() const { return static_cast<int64_t>(first.size()); }
    int64_t points;
    std::vector<int64_t> first;
    std::vector<real> weights;  // (pixels, taps), with sum of squares 1 for each pixel
  };

  Axis rows_, columns_;
  double amplitude_;
};

}  // namespace ballast::inline BALLAST_PRECISION::detail
