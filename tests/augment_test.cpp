// Augmentation: what becomes of images, how strong it is at random, and the texts that choose it.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numbers>
#include <set>
#include <string>
#include <vector>

#include <ballast/core/random.h>
#include <ballast/data/augment.h>
#include <ballast/data/detail/warp.h>
#include <ballast/data/loader.h>

#include "threads.h"
#include "thrown.h"

using namespace ballast;

namespace {

/// An image (channels, rows, columns), or what has become of it.
struct Picture {
  int64_t channels, rows, columns;
  std::vector<real> x = std::vector<real>(static_cast<size_t>(channels * rows * columns));

  real& at(int64_t c, int64_t row, int64_t column) {
    return x[static_cast<size_t>((c * rows + row) * columns + column)];
  }
  real at(int64_t c, int64_t row, int64_t column) const {
    return const_cast<Picture*>(this)->at(c, row, column);
  }
  bool has(int64_t row, int64_t column) const {
    return row >= 0 && row < rows && column >= 0 && column < columns;
  }
  bool operator==(const Picture&) const = default;
};

Picture random_image(int64_t channels, int64_t rows, int64_t columns) {
  Picture image{channels, rows, columns};
  RandomStream random(7);
  for (real& value : image.x) value = static_cast<real>(random.uniform());
  return image;
}

/// The new image whose pixels are those of the old one at what `from` makes of (row, column), or else `fill`.
Picture moved(const Picture& image, const std::function<std::array<int64_t, 2>(int64_t, int64_t)>& from,
              real fill = 0) {
  Picture result = image;
  for (int64_t c = 0; c < image.channels; ++c)
    for (int64_t row = 0; row < image.rows; ++row)
      for (int64_t column = 0; column < image.columns; ++column) {
        const auto [old_row, old_column] = from(row, column);
        result.at(c, row, column) = image.has(old_row, old_column) ? image.at(c, old_row, old_column) : fill;
      }
  return result;
}

Picture warped(Picture image, const detail::Affine& from, const std::vector<real>& displacement = {},
               real fill = 0) {
  detail::warp({image.channels, image.rows, image.columns}, from,
               displacement.empty() ? nullptr : displacement.data(), fill, image.x.data());
  return image;
}

/// `count` copies of the image as samples.
Dataset copies(const Picture& image, int64_t count = 1) {
  return {{image.channels, image.rows, image.columns}, count, 1, [image](int64_t, real* x) {
            std::copy(image.x.begin(), image.x.end(), x);
            return 0;
          }};
}

constexpr uint64_t seed = 3;

/// What the augmentation makes of the image in the epoch.
Picture changed(const Picture& image, const Augmentation& augmentation, int64_t epoch) {
  return {image.channels, image.rows, image.columns,
          augmented(copies(image), augmentation).sample(0, epoch, seed).x};
}

/// Channel 0 is random, 1 and 2 say in which column and row each pixel was. Where pixels come from between
/// others, so do these numbers.
Picture located(int64_t rows, int64_t columns) {
  Picture image = random_image(3, rows, columns);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column) {
      image.at(1, row, column) = static_cast<real>(column);
      image.at(2, row, column) = static_cast<real>(row);
    }
  return image;
}

double was_column(const Picture& image, int64_t row, int64_t column) {
  return static_cast<double>(image.at(1, row, column));
}
double was_row(const Picture& image, int64_t row, int64_t column) {
  return static_cast<double>(image.at(2, row, column));
}

/// How the old position changes from a pixel to the next one in the row, or in the column, measured around
/// the centre of a `located` image that was mapped affinely.
struct Slopes {
  double xx, xy, yx, yy;
};
Slopes slopes_of(const Picture& image) {
  const int64_t row = image.rows / 2, column = image.columns / 2, step = 2;
  const auto along = [&](auto position, int64_t down, int64_t right) {
    return (position(image, row + down, column + right) - position(image, row - down, column - right)) /
           (2 * step);
  };
  return {along(was_column, 0, step), along(was_column, step, 0), along(was_row, 0, step),
          along(was_row, step, 0)};
}

constexpr int64_t epochs = 2000;

/// What `measure` finds in the image in each of many epochs.
std::vector<double> in_epochs(const Picture& image, const Augmentation& augmentation,
                              const std::function<double(const Picture&)>& measure) {
  const Dataset dataset = augmented(copies(image), augmentation);
  std::vector<double> all;
  for (int64_t epoch = 0; epoch < epochs; ++epoch)
    all.push_back(measure({image.channels, image.rows, image.columns, dataset.sample(0, epoch, seed).x}));
  return all;
}

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

/// The mean product of what two lists have at the same place.
double product_of(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t n = 0; n < a.size(); ++n) sum += a[n] * b[n];
  return sum / static_cast<double>(a.size());
}

/// Fractions of 2000 independent numbers are within 0.045 (4 standard deviations) of their probability.
void check_uniform(const std::vector<double>& values, double low, double high) {
  constexpr double rounding = 1e-4;
  for (int eighth = 0; eighth <= 8; ++eighth) {
    const double limit = low + (high - low) * eighth / 8;
    const auto below = std::count_if(values.begin(), values.end(), [&](double value) {
      return value < limit + (eighth == 8 ? rounding : eighth == 0 ? -rounding : 0);
    });
    CAPTURE(limit);
    const double expected = eighth / 8.0,
                 found = static_cast<double>(below) / static_cast<double>(values.size());
    CHECK(std::abs(found - expected) <= (eighth == 0 || eighth == 8 ? 0 : 0.045));
  }
}

constexpr double degree = std::numbers::pi / 180;

}  // namespace

TEST_CASE("augment: maps onto whole pixels give the pixels exactly, and the fill beyond the edges") {
  const Picture image = random_image(2, 5, 7), square = random_image(2, 6, 6);
  CHECK(warped(image, {}) == image);
  CHECK(warped(image, {.xx = -1, .x0 = 6}) == moved(image, [](int64_t row, int64_t column) {
          return std::array{row, 6 - column};
        }));
  const auto shift = [](int64_t row, int64_t column) { return std::array{row - 2, column + 3}; };
  CHECK(warped(image, {.x0 = 3, .y0 = -2}) == moved(image, shift));
  CHECK(warped(image, {.x0 = 3, .y0 = -2}, {}, real{0.5}) == moved(image, shift, real{0.5}));
  CHECK(warped(image, {.x0 = 1e6, .y0 = -1e6}, {}, 9) == moved(
                                                             image,
                                                             [](int64_t, int64_t) {
                                                               return std::array<int64_t, 2>{-1, -1};
                                                             },
                                                             9));
  // The cosine of a right angle isn't 0 in floating point.
  const double cosine = std::cos(90 * degree), sine = std::sin(90 * degree), centre = 2.5;
  CHECK(warped(square, {.xx = cosine,
                        .xy = -sine,
                        .x0 = centre - (cosine - sine) * centre,
                        .yx = sine,
                        .yy = cosine,
                        .y0 = centre - (sine + cosine) * centre}) ==
        moved(square, [](int64_t row, int64_t column) {
          return std::array{column, 5 - row};
        }));
}

TEST_CASE("augment: between pixels the interpolation is bilinear, with the fill as neighbour at the edges") {
  const Picture image{1, 2, 2, {1, 2, 3, 5}};
  CHECK(warped(image, {.x0 = 0.5, .y0 = 0.25}, {}, 7).x ==
        std::vector<real>{real(0.75 * 1.5 + 0.25 * 4), real(0.75 * 4.5 + 0.25 * 6), real(0.75 * 4 + 0.25 * 7),
                          real(0.75 * 6 + 0.25 * 7)});
  CHECK(warped(image, {.x0 = -0.5}, {}, 7).x == std::vector<real>{4, 1.5, 5, 4});
  // Displacements, first of columns, then of rows, are added.
  CHECK(warped(image, {.x0 = 1}, {-1, -1, -2, -1.5, 1, 0, -0.5, -1}, 7).x == std::vector<real>{3, 2, 7, 1.5});
}

TEST_CASE("augment: without strength the images stay as they are, whatever their shape") {
  const Picture image = random_image(3, 4, 5);
  CHECK(changed(image, {}, 1) == image);
  CHECK(augmented(from_tensors(randn({4, 2}), Labels{0, 1, 0, 1}), Augmentation{}).sample(1).x.size() == 2);
}

TEST_CASE("augment: each pixel is interpolated between the four around the place where it comes from") {
  const Picture image = located(52, 56);
  const Augmentation cases[] = {
      {.shift = 3},
      {.rotate = 30},
      {.scale = 30},
      {.shear = 30},
      {.elastic = 1.5},
      {.shift = 2, .rotate = 20, .scale = 20, .shear = 20, .elastic = 1, .flip = 0.5, .crop = 2}};
  for (const Augmentation& augmentation : cases)
    for (int64_t epoch = 0; epoch < 20; ++epoch) {
      CAPTURE(augmentation.str());
      const Picture result = changed(image, augmentation, epoch);
      for (int64_t row = 22; row < 30; ++row)  // so far from the edges that no fill takes part
        for (int64_t column = 22; column < 34; ++column) {
          const double u = was_column(result, row, column), v = was_row(result, row, column);
          const auto left = static_cast<int64_t>(std::floor(u)), top = static_cast<int64_t>(std::floor(v));
          REQUIRE((image.has(top, left) && image.has(top + 1, left + 1)));
          const double s = u - std::floor(u), t = v - std::floor(v);
          const double expected =
              (1 - t) * ((1 - s) * image.at(0, top, left) + s * image.at(0, top, left + 1)) +
              t * ((1 - s) * image.at(0, top + 1, left) + s * image.at(0, top + 1, left + 1));
          CHECK(result.at(0, row, column) == doctest::Approx(expected).epsilon(1e-4));
        }
    }
}

TEST_CASE("augment: strengths are uniform to both sides") {
  const Picture image = located(13, 13);
  constexpr int64_t centre = 6;
  check_uniform(
      in_epochs(image, {.shift = 3}, [](const Picture& x) { return centre - was_column(x, centre, centre); }),
      -3, 3);
  check_uniform(
      in_epochs(image, {.shift = 3}, [](const Picture& x) { return centre - was_row(x, centre, centre); }),
      -3, 3);
  check_uniform(in_epochs(image, {.rotate = 40},
                          [](const Picture& x) {
                            const Slopes slopes = slopes_of(x);
                            CHECK(slopes.xx == doctest::Approx(slopes.yy).epsilon(1e-4));
                            CHECK(std::abs(slopes.xy + slopes.yx) < 1e-4);
                            CHECK(std::hypot(slopes.xx, slopes.yx) == doctest::Approx(1).epsilon(1e-4));
                            return std::atan2(slopes.yx, slopes.xx) / degree;
                          }),
                -40, 40);
  check_uniform(in_epochs(image, {.scale = 20},
                          [](const Picture& x) {
                            const Slopes slopes = slopes_of(x);
                            CHECK(slopes.xx == doctest::Approx(slopes.yy).epsilon(1e-4));
                            CHECK(std::abs(slopes.xy) + std::abs(slopes.yx) < 1e-4);
                            return 1 / slopes.xx;
                          }),
                0.8, 1.2);
  check_uniform(in_epochs(image, {.shear = 30},
                          [](const Picture& x) {
                            const Slopes slopes = slopes_of(x);
                            CHECK(slopes.xx == doctest::Approx(1).epsilon(1e-4));
                            CHECK(slopes.yy == doctest::Approx(1).epsilon(1e-4));
                            CHECK(std::abs(slopes.yx) < 1e-4);
                            return std::atan(-slopes.xy) / degree;
                          }),
                -30, 30);
}

TEST_CASE("augment: rotation, scale, shear and flip leave the centre where it is") {
  const Picture image = located(11, 15);
  for (const Augmentation& augmentation : {Augmentation{.rotate = 180}, Augmentation{.scale = 30},
                                           Augmentation{.shear = 45}, Augmentation{.flip = 0.5}})
    for (int64_t epoch = 0; epoch < 10; ++epoch) {
      const Picture result = changed(image, augmentation, epoch);
      CHECK(was_column(result, 5, 7) == doctest::Approx(7).epsilon(1e-4));
      CHECK(was_row(result, 5, 7) == doctest::Approx(5).epsilon(1e-4));
    }
}

TEST_CASE("augment: several changes are one map, c + R H S F (p - c) + shift + crop") {
  const Picture image = located(40, 50);
  const Augmentation all{.shift = 3, .rotate = 30, .scale = 20, .shear = 20, .flip = 0.5, .crop = 2};
  for (int64_t epoch = 0; epoch < 20; ++epoch) {
    const Picture result = changed(image, all, epoch);
    RandomStream random(seed, epoch, 0);
    const double shift_x = random.uniform(-3, 3), shift_y = random.uniform(-3, 3);
    const double angle = degree * random.uniform(-30, 30), scale = 1 + random.uniform(-20, 20) / 100;
    const double slant = std::tan(degree * random.uniform(-20, 20)), flip = random.uniform() < 0.5 ? -1 : 1;
    const auto crop_x = static_cast<double>(random.below(5) - 2),
               crop_y = static_cast<double>(random.below(5) - 2);
    for (const auto& [row, column] : {std::array<int64_t, 2>{20, 25}, {15, 22}, {22, 30}}) {
      const double x = flip * scale * (was_column(result, row, column) - 24.5);
      const double y = scale * (was_row(result, row, column) - 19.5);
      const double slanted = x + slant * y;
      const double new_x = 24.5 + std::cos(angle) * slanted + std::sin(angle) * y + shift_x + crop_x;
      const double new_y = 19.5 - std::sin(angle) * slanted + std::cos(angle) * y + shift_y + crop_y;
      CHECK(new_x == doctest::Approx(double(column)).epsilon(1e-4));
      CHECK(new_y == doctest::Approx(double(row)).epsilon(1e-4));
    }
  }
}

TEST_CASE("augment: elastic displacements are as strong and as smooth as a Gaussian makes white noise") {
  const Picture image = located(28, 28);
  const Augmentation elastic{.elastic = 1.5};
  // Standard deviation of the Gaussian: 4 pixels. Along a distance d its autocorrelation is exp(-(d / 8)^2).
  const auto displaced = [&](int64_t row, int64_t column) {
    return in_epochs(image, elastic,
                     [&](const Picture& x) { return was_column(x, row, column) - double(column); });
  };
  const std::vector<double> here = displaced(13, 13), right = displaced(13, 17), down = displaced(21, 13),
                            diagonal = displaced(17, 17);
  const double variance = product_of(here, here);
  CHECK(std::abs(mean_of(here)) < 0.15);
  CHECK(std::sqrt(variance) == doctest::Approx(1.5).epsilon(0.06));
  CHECK(std::sqrt(product_of(right, right)) == doctest::Approx(1.5).epsilon(0.06));
  CHECK(std::abs(product_of(here, right) / variance - std::exp(-0.25)) < 0.05);
  CHECK(std::abs(product_of(here, down) / variance - std::exp(-1.0)) < 0.08);
  CHECK(std::abs(product_of(here, diagonal) / variance - std::exp(-0.5)) < 0.06);
  const std::vector<double> rows =
      in_epochs(image, elastic, [](const Picture& x) { return was_row(x, 13, 13) - 13; });
  CHECK(std::sqrt(product_of(rows, rows)) == doctest::Approx(1.5).epsilon(0.06));
  CHECK(std::abs(product_of(here, rows) / variance) < 0.09);
}

TEST_CASE("augment: elastic displacements of images of any size stay finite") {
  for (const auto& [rows, columns] : {std::array<int64_t, 2>{1, 1}, {1, 40}, {3, 2}, {64, 5}})
    for (const real value : changed(random_image(1, rows, columns), {.elastic = 20}, 0).x)
      CHECK((value >= 0 && value <= 1));
}

TEST_CASE("augment: a flip mirrors left and right, as often as its probability says") {
  const Picture image = random_image(3, 4, 5);
  const Picture mirrored = moved(image, [](int64_t row, int64_t column) {
    return std::array{row, 4 - column};
  });
  CHECK(changed(image, {.flip = 1}, 0) == mirrored);
  const std::vector<double> flipped = in_epochs(image, {.flip = 0.2}, [&](const Picture& result) {
    CHECK((result == image || result == mirrored));
    return result == mirrored;
  });
  CHECK(std::abs(mean_of(flipped) - 0.2) < 0.04);
}

TEST_CASE("augment: a crop of the padded image has each of its places equally often") {
  const Picture image = random_image(2, 6, 5);
  std::array<std::array<int, 5>, 5> count{};
  for (int64_t epoch = 0; epoch < epochs; ++epoch) {
    const Picture result = changed(image, {.crop = 2, .fill = 0.25}, epoch);
    for (int64_t down = -2; down <= 2; ++down)
      for (int64_t right = -2; right <= 2; ++right)
        count[static_cast<size_t>(down + 2)][static_cast<size_t>(right + 2)] +=
            result == moved(
                          image,
                          [&](int64_t row, int64_t column) {
                            return std::array{row - down, column - right};
                          },
                          real{0.25});
  }
  for (const auto& row : count)
    for (const int n : row) CHECK(std::abs(n - epochs / 25) < 40);
}

TEST_CASE("augment: a cutout is a square with its centre anywhere, cut off at the edges") {
  const Picture image = random_image(2, 6, 5);
  for (const int64_t side : {3, 4}) {
    std::array<std::array<int, 5>, 6> count{};
    for (int64_t epoch = 0; epoch < epochs; ++epoch) {
      const Picture result = changed(image, {.cutout = double(side), .fill = 0.5}, epoch);
      for (int64_t centre_row = 0; centre_row < 6; ++centre_row)
        for (int64_t centre_column = 0; centre_column < 5; ++centre_column) {
          const auto kept = [&](int64_t row, int64_t column) {
            const int64_t down = row - centre_row + side / 2, right = column - centre_column + side / 2;
            const bool cut = down >= 0 && down < side && right >= 0 && right < side;
            return cut ? std::array<int64_t, 2>{-1, -1} : std::array{row, column};
          };
          count[static_cast<size_t>(centre_row)][static_cast<size_t>(centre_column)] +=
              result == moved(image, kept, real{0.5});
        }
    }
    for (const auto& row : count)
      for (const int n : row) CHECK(std::abs(n - epochs / 30) < 35);
  }
}

TEST_CASE("augment: contrast is about the image's mean, brightness is added") {
  const Picture image = random_image(2, 4, 4);
  const std::vector<double> old(image.x.begin(), image.x.end());
  const double mean = mean_of(old);
  check_uniform(in_epochs(image, {.contrast = 30},
                          [&](const Picture& result) {
                            const double factor = (result.x[0] - mean) / (old[0] - mean);
                            for (size_t n = 0; n < old.size(); ++n)
                              CHECK(std::abs(result.x[n] - (mean + factor * (old[n] - mean))) < 1e-5);
                            return factor;
                          }),
                0.7, 1.3);
  check_uniform(in_epochs(image, {.brightness = 0.2},
                          [&](const Picture& result) {
                            for (size_t n = 0; n < old.size(); ++n)
                              CHECK(std::abs((result.x[n] - old[n]) - (result.x[0] - old[0])) < 1e-5);
                            return result.x[0] - old[0];
                          }),
                -0.2, 0.2);
}

TEST_CASE("augment: noise is normal, and independent for each value") {
  const Picture image = random_image(2, 1, 1);
  const auto noise_of = [&](size_t n) {
    return in_epochs(image, {.noise = 0.3}, [&, n](const Picture& x) { return x.x[n] - image.x[n]; });
  };
  const std::vector<double> first = noise_of(0), second = noise_of(1);
  CHECK(std::abs(mean_of(first)) < 0.03);
  CHECK(std::sqrt(product_of(first, first)) == doctest::Approx(0.3).epsilon(0.06));
  CHECK(std::abs(product_of(first, second)) < 0.01);
  const auto within = std::count_if(first.begin(), first.end(), [](double x) { return std::abs(x) < 0.3; });
  CHECK(std::abs(static_cast<double>(within) / epochs - 0.6827) < 0.04);
}

TEST_CASE("augment: the same seed, epoch and index give the same bits, others don't") {
  const Dataset dataset =
      augmented(copies(random_image(1, 12, 12), 3), parse_augmentation("strong, noise, cutout 3"));
  const auto x = [&](int64_t index, int64_t epoch, uint64_t number) {
    return dataset.sample(index, epoch, number).x;
  };
  CHECK(x(1, 2, 5) == x(1, 2, 5));
  CHECK(x(1, 2, 5) != x(2, 2, 5));
  CHECK(x(1, 2, 5) != x(1, 3, 5));
  CHECK(x(1, 2, 5) != x(1, 2, 6));
}

TEST_CASE("augment: a loader's batches are the same bits for any number of threads and workers") {
  const Dataset dataset = augmented(copies(random_image(1, 28, 28), 200),
                                    parse_augmentation("strong, flip, crop, noise, contrast"));
  const auto batches = [&](int threads, int workers) {
    const Threads of_loops(threads);
    Loader loader(dataset, {.batch_size = 32, .seed = 4, .workers = workers});
    std::vector<real> all;
    for (int epoch = 0; epoch < 2; ++epoch)
      for (const Batch& batch : loader)
        all.insert(all.end(), batch.x.data(), batch.x.data() + batch.x.count());
    return all;
  };
  const std::vector<real> expected = batches(1, 0);
  for (int threads = 1; threads <= 4; ++threads)
    for (const int workers : {0, 3}) CHECK(batches(threads, workers) == expected);
}

TEST_CASE("augment: texts name changes and strengths, or presets and what differs from them") {
  const auto parsed = [](const std::string& text) { return parse_augmentation(text).str(); };
  CHECK(parsed("") == "none");
  CHECK(parsed(" ") == "none");
  CHECK(parsed("none") == "none");
  CHECK(parsed("light") == "shift 2, rotate 10, scale 10");
  CHECK(parsed("strong") == "shift 3, rotate 15, scale 15, shear 10, elastic 1");
  CHECK(parsed("rotate 10, shift 2.5,elastic  3") == "shift 2.5, rotate 10, elastic 3");
  CHECK(parsed("flip, crop") == "flip 0.5, crop 4");
  CHECK(parsed("light, rotate 5, noise 0.1") == "shift 2, rotate 5, scale 10, noise 0.1");
  CHECK(parsed("light, shift 0") == "rotate 10, scale 10");
  const Augmentation augmentation = parse_augmentation("cutout 6");
  CHECK(augmentation.cutout == 6);
  CHECK(augmentation.fill == 0);
  for (const AugmentationKind& kind : augmentation_kinds()) {
    CHECK(parse_augmentation(kind.name).*kind.strength == kind.usual);
    CHECK(parse_augmentation(kind.name + " " + std::to_string(kind.most)).*kind.strength == kind.most);
  }
}

TEST_CASE("augment: what is wrong with a text") {
  const auto error = [](const std::string& text) {
    return thrown<ValueError>([&] { parse_augmentation(text); });
  };
  CHECK(
      error("rotat 10") ==
      "unknown augmentation \"rotat\"; did you mean rotate?; a list is written as in \"rotate 10, shift 2\"");
  CHECK(error("rotate 10,, shift 2").starts_with("unknown augmentation \"\"; known are"));
  CHECK(error("shift 2,").starts_with("unknown augmentation \"\"; known are"));
  CHECK(error("shift two") == "augmentation: \"two\" in \"shift two\" is not a number");
  CHECK(error("shift 2 3") == "augmentation: \"2 3\" in \"shift 2 3\" is not a number");
  CHECK(error("rotate 200") ==
        "augmentation: rotate 200 is out of range; its strength must be a number from 0 to 180 degrees");
  CHECK(error("flip 1.5") ==
        "augmentation: flip 1.5 is out of range; its strength must be a number from 0 to 1");
  CHECK(error("crop 2.5") ==
        "augmentation: crop 2.5 is out of range; its strength must be a whole number from 0 to 1000 pixels");
  CHECK(error("scale -1").starts_with("augmentation: scale -1 is out of range"));
  CHECK(error("shift 1e999").starts_with("augmentation: shift inf is out of range"));
  CHECK(error("shift 1, shift 2") == "augmentation: shift is given twice");
  CHECK(error("shift 1, light") == "augmentation: light must come first, before what is changed in it");
  CHECK(error("light 3") == "augmentation: light has no strength of its own, as in \"light 3\"");
}

TEST_CASE("augment: help tells all names") {
  const std::string help = augmentation_help();
  CHECK(help.starts_with("none, light (shift 2, rotate 10, scale 10), strong (shift 3, "));
  CHECK(help.find("shift 2 (up to so many pixels along each axis), rotate 10 (up to so many degrees), ") !=
        std::string::npos);
  for (const AugmentationKind& kind : augmentation_kinds())
    CHECK(help.find(" " + kind.name + " ") != std::string::npos);
}

TEST_CASE("augment: data that can't be augmented, and strengths that can't be") {
  const Dataset table = from_tensors(randn({4, 2}), Labels{0, 1, 0, 1});
  CHECK(thrown<ShapeError>([&] { augmented(table, {.shift = 1}); }) ==
        "augmented: samples are (2); they must be images (C, H, W) with sides of 1 to 65536");
  CHECK_THROWS_AS(augmented(copies({1, 1, 65537}), {.shift = 1}), ShapeError);
  CHECK_THROWS_AS(augmented(copies({1, 0, 5}), {.cutout = 1}), ShapeError);
  const Dataset image = copies(random_image(1, 4, 4));
  CHECK(thrown<ValueError>([&] { augmented(image, {.rotate = 181}); }) ==
        "augmentation: rotate 181 is out of range; its strength must be a number from 0 to 180 degrees");
  CHECK_THROWS_AS(augmented(image, {.noise = -0.1}), ValueError);
  CHECK_THROWS_AS(augmented(image, {.noise = std::nan("")}), ValueError);
  CHECK_THROWS_AS(augmented(image, {.cutout = 1.5}), ValueError);
}

TEST_CASE("augment: labels of pixels don't move, so pixels mustn't") {
  Labels labels(18);
  std::fill_n(labels.data(), labels.size(), 0);
  const Dataset dataset = from_tensors(randn({2, 1, 3, 3}), labels, {3, 3});
  CHECK(augmented(dataset, {.contrast = 10, .brightness = 0.1, .noise = 0.1, .cutout = 1})
            .sample(0)
            .labels.size() == 9);
  CHECK(thrown<UsageError>([&] { augmented(dataset, {.flip = 0.5}); }) ==
        "augmented: \"flip 0.5\" would move the pixels away from their labels, which stay; the changes for "
        "labels of "
        "positions are contrast, brightness, noise and cutout");
  for (const AugmentationKind& kind : augmentation_kinds())
    if (kind.moves_pixels) CHECK_THROWS_AS(augmented(dataset, parse_augmentation(kind.name)), UsageError);
}
