#include <ballast/data/digits.h>

#include <algorithm>
#include <array>
#include <cfloat>
#include <vector>

#include <ballast/core/random.h>

// The bytes drawn must be the same on every machine, so here: only +, -, *, / and conversions of float, which
// IEEE 754 defines to the last bit; no libm; and this file is compiled with -ffp-contract=off, because a
// fused multiply-add rounds once where two operations round twice. Random numbers are drawn in statements of
// their own or in braces, since the order of evaluation of a call's arguments is the compiler's choice.
static_assert(FLT_EVAL_METHOD == 0, "float expressions must be evaluated in float");

namespace ballast::inline BALLAST_PRECISION {
namespace {

struct Point {
  float x, y;
};
using Stroke = std::vector<Point>;  // a smooth curve through these points
using Glyph = std::vector<Stroke>;  // strokes that share an end point meet in a corner

/// The ways to write each digit, in a box of x in [-7, 7] and y in [-10, 10], y pointing down.
const std::array<std::vector<Glyph>, 10> glyphs = {{
    {{{{0, -10},
       {-3, -9},
       {-5, -4},
       {-6, 1},
       {-5, 6},
       {-2, 10},
       {2, 10},
       {5, 6},
       {6, 0},
       {5, -5},
       {3, -9},
       {0, -10},
       {-2, -9}}},
     {{{2, -9}, {-2, -9}, {-5, -3}, {-5, 4}, {-1, 10}, {3, 7}, {5, 0}, {4, -6}, {2, -9}, {-1, -8}}},
     {{{-3, -8}, {-6, 0}, {-4, 8}, {1, 10}, {6, 5}, {6, -4}, {2, -10}, {-3, -8}, {-5, -5}}}},
    {{{{0, -10}, {0, 0}, {0, 10}}},
     {{{-4, -5}, {1, -10}}, {{1, -10}, {1, 0}, {1, 10}}},
     {{{-4, -5}, {0, -10}}, {{0, -10}, {0, 0}, {0, 10}}, {{-4, 10}, {4, 10}}}},
    {{{{-5, -6}, {-2, -10}, {3, -9}, {5, -5}, {2, 1}, {-6, 10}}, {{-6, 10}, {6, 10}}},
     {{{-5, -7}, {0, -10}, {5, -6}, {3, 0}, {-2, 6}, {-5, 9}, {-6, 7}, {-3, 6}, {1, 9}, {6, 9}}},
     {{{-5, -8}, {1, -10}, {5, -6}, {3, 1}, {-5, 9}}, {{-5, 9}, {-1, 8}, {3, 10}, {7, 8}}}},
    {{{{-5, -8}, {0, -10}, {5, -7}, {4, -2}, {-1, 0}}, {{-1, 0}, {5, 2}, {5, 7}, {0, 10}, {-5, 8}}},
     {{{-5, -10}, {5, -10}}, {{5, -10}, {-1, -2}}, {{-1, -2}, {4, -1}, {6, 4}, {3, 9}, {-2, 10}, {-6, 8}}},
     {{{-4, -9}, {2, -10}, {4, -6}, {1, -2}, {-1, -1}, {4, 1}, {5, 6}, {1, 10}, {-5, 9}}}},
    {{{{-3, -10}, {-5, 0}, {-5, 3}}, {{-5, 3}, {6, 3}}, {{4, -10}, {3, 0}, {3, 10}}},
     {{{3, -10}, {-6, 4}}, {{-6, 4}, {6, 4}}, {{3, -10}, {3, 10}}},
     {{{-4, -9}, {-5, -2}, {-2, 1}, {4, 0}}, {{5, -10}, {4, 0}, {3, 10}}}},
    {{{{5, -10}, {-4, -10}}, {{-4, -10}, {-5, -2}}, {{-5, -2}, {0, -3}, {5, 1}, {5, 6}, {1, 10}, {-5, 8}}},
     {{{6, -9}, {-2, -9}, {-4, -6}, {-4, -2}, {2, -1}, {5, 3}, {3, 8}, {-2, 10}, {-6, 8}}},
     {{{-3, -9}, {-4, -1}}, {{-4, -1}, {3, -2}, {5, 4}, {2, 9}, {-5, 9}}, {{-3, -9}, {2, -9}, {7, -10}}}},
    {{{{3, -10}, {-2, -6}, {-5, 1}, {-4, 8}, {1, 10}, {5, 6}, {3, 1}, {-1, 1}, {-5, 5}}},
     {{{-2, -10}, {-5, -2}, {-5, 6}, {-1, 10}, {4, 8}, {4, 3}, {0, 1}, {-4, 5}}},
     {{{5, -9}, {0, -9}, {-5, -3}, {-5, 5}, {0, 10}, {5, 7}, {5, 2}, {0, 0}, {-5, 4}}}},
    {{{{-6, -10}, {6, -10}}, {{6, -10}, {1, 0}, {-2, 10}}},
     {{{-6, -9}, {6, -9}}, {{6, -9}, {1, 0}, {-1, 10}}, {{-4, 0}, {5, 0}}},
     {{{-6, -6}, {-6, -9}, {0, -8}, {6, -9}}, {{6, -9}, {2, -2}, {0, 10}}}},
    {{{{4, -8},
       {0, -10},
       {-4, -7},
       {-3, -3},
       {2, 1},
       {5, 5},
       {3, 9},
       {-2, 10},
       {-5, 6},
       {-2, 1},
       {3, -3},
       {4, -8}}},
     {{{0, -10}, {-4, -8}, {-4, -3}, {0, -1}, {4, -3}, {4, -8}, {0, -10}},
      {{0, -1}, {-5, 2}, {-5, 8}, {0, 10}, {5, 8}, {5, 2}, {0, -1}}}},
    {{{{4, -7}, {0, -10}, {-5, -7}, {-4, -2}, {0, -1}, {4, -4}, {4, -7}}, {{4, -8}, {4, 0}, {3, 10}}},
     {{{5, -6}, {1, -10}, {-4, -8}, {-5, -3}, {-1, 0}, {4, -3}, {5, -6}, {5, 2}, {3, 8}, {-1, 10}, {-5, 8}}},
     {{{4, -9}, {-1, -10}, {-5, -5}, {-3, -1}, {1, -2}, {4, -8}, {3, 2}, {0, 10}}}},
}};

/// The random numbers of one sample: the key is the seed, the counter holds the sample, its split, and what
/// for.
class Stream {
 public:
  Stream(uint64_t seed, DigitSplit split, int64_t index)
      : key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
        counter_{0, static_cast<uint32_t>(index), static_cast<uint32_t>(static_cast<uint64_t>(index) >> 32),
                 for_digits + static_cast<uint32_t>(split)} {}

  uint32_t bits() {
    if (used_ == 4) {
      block_ = philox(counter_, key_);
      ++counter_[0];
      used_ = 0;
    }
    return block_[used_++];
  }
  /// 0 ... n-1, for an n so small that the bias, below n / 2^32, doesn't matter.
  int below(size_t n) { return static_cast<int>(uint64_t{bits()} * n >> 32); }
  /// In [low, high], 24 random bits.
  float uniform(float low, float high) {
    return low + (high - low) * (static_cast<float>(bits() >> 8) * 0x1p-24f);
  }

 private:
  // Last word of the counter; other values are other uses of a seed, so that no two share numbers.
  static constexpr uint32_t for_digits = 16;

  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_, block_{};
  size_t used_ = 4;
};

float smoothstep(float t) { return t * t * (3 - 2 * t); }

/// A smooth random displacement of the glyph's box: random vectors on a grid, interpolated between.
class ElasticField {
 public:
  ElasticField(Stream& random, float amplitude) {
    for (Point& node : nodes_)
      node = {random.uniform(-amplitude, amplitude), random.uniform(-amplitude, amplitude)};
  }

  Point operator()(Point p) const {
    const float u = std::clamp((p.x + 12) / 8, 0.f, 2.999f), v = std::clamp((p.y + 12) / 8, 0.f, 2.999f);
    const int column = static_cast<int>(u), row = static_cast<int>(v);
    const float s = smoothstep(u - static_cast<float>(column)), t = smoothstep(v - static_cast<float>(row));
    const Point* top = &nodes_[static_cast<size_t>(row * side + column)];
    const Point* bottom = top + side;
    const Point above = mix(top[0], top[1], s), below = mix(bottom[0], bottom[1], s),
                shift = mix(above, below, t);
    return {p.x + shift.x, p.y + shift.y};
  }

 private:
  static Point mix(Point a, Point b, float t) { return {a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t}; }

  static constexpr int side = 4;
  std::array<Point, side * side> nodes_;
};

/// Scale, slant and rotation, then a shift.
struct Affine {
  float xx, xy, yx, yy;
  Point shift{0, 0};

  explicit Affine(Stream& random) {
    const float height = random.uniform(0.72f, 1.0f), width = height * random.uniform(0.7f, 1.15f);
    const float slant = random.uniform(-0.35f, 0.2f);
    const float h =
        random.uniform(-0.13f, 0.13f);  // tan(angle / 2), which gives sine and cosine without libm
    const float cosine = (1 - h * h) / (1 + h * h), sine = 2 * h / (1 + h * h);
    xx = cosine * width, xy = cosine * slant * height - sine * height;
    yx = sine * width, yy = sine * slant * height + cosine * height;
  }
  Point operator()(Point p) const { return {xx * p.x + xy * p.y + shift.x, yx * p.x + yy * p.y + shift.y}; }
};

/// The point at t in [0, 1] between b and c of the Catmull-Rom spline through a, b, c, d.
float catmull_rom(float a, float b, float c, float d, float t) {
  return 0.5f * (2 * b + t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))));
}

/// The spline through the stroke's points as a polyline.
Stroke flatten(const Stroke& points) {
  constexpr int steps = 6;
  const size_t last = points.size() - 1;
  Stroke line;
  line.reserve(last * steps + 1);
  line.push_back(points[0]);
  for (size_t n = 0; n < last; ++n) {
    const Point b = points[n], c = points[n + 1], a = n > 0 ? points[n - 1] : b,
                d = n + 1 < last ? points[n + 2] : c;
    for (int step = 1; step <= steps; ++step) {
      const float t = static_cast<float>(step) / steps;
      line.push_back({catmull_rom(a.x, b.x, c.x, d.x, t), catmull_rom(a.y, b.y, c.y, d.y, t)});
    }
  }
  return line;
}

struct Pen {
  float radius;  // pixels
  float ink;     // brightness in the middle of a line, at most 1
};

class Canvas {
 public:
  /// A line from a to b with round ends. Brightness falls from full to none within a pixel around the pen's
  /// radius, linearly in the *squared* distance, which needs no square root.
  void line(Point a, Point b, Pen pen) {
    const float inner = pen.radius - 0.5f, outer = pen.radius + 0.5f;
    const float slope = 1 / (outer * outer - inner * inner);
    const float dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy;
    const float inverse = length2 > 1e-6f ? 1 / length2 : 0;
    const int left = pixel(std::min(a.x, b.x) - outer), right = pixel(std::max(a.x, b.x) + outer);
    const int top = pixel(std::min(a.y, b.y) - outer), bottom = pixel(std::max(a.y, b.y) + outer);
    for (int row = top; row <= bottom; ++row)
      for (int column = left; column <= right; ++column) {
        const float x = static_cast<float>(column) + 0.5f - a.x, y = static_cast<float>(row) + 0.5f - a.y;
        const float t = std::clamp((x * dx + y * dy) * inverse, 0.f, 1.f);
        const float ex = x - t * dx, ey = y - t * dy;
        const float cover = std::clamp((outer * outer - (ex * ex + ey * ey)) * slope, 0.f, 1.f);
        float& value = values_[static_cast<size_t>(row * digit_side + column)];
        value = std::max(value, pen.ink * cover);
      }
  }

  /// Gray bytes, with noise of about normal distribution (the sum of four uniform bytes) and deviation
  /// `noise`.
  void develop(Stream& random, float noise, uint8_t* pixels) const {
    for (size_t p = 0; p < values_.size(); ++p) {
      const uint32_t bits = random.bits();
      const uint32_t sum = (bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24);
      const float normal = (static_cast<float>(sum) - 510.f) / 147.8f;
      pixels[p] = static_cast<uint8_t>(std::clamp(255 * (values_[p] + noise * normal), 0.f, 255.f) + 0.5f);
    }
  }

 private:
  static int pixel(float position) { return static_cast<int>(std::clamp(position, 0.f, digit_side - 1.f)); }

  std::array<float, digit_pixels> values_{};
};

/// The digit's strokes in pixels: flattened, distorted, transformed, and moved to about the middle.
Glyph place(const Glyph& glyph, Stream& random) {
  const ElasticField elastic(random, 1.7f);
  Affine affine(random);
  Glyph lines;
  Point low{1e9f, 1e9f}, high{-1e9f, -1e9f};
  for (const Stroke& stroke : glyph) {
    lines.push_back(flatten(stroke));
    for (Point& p : lines.back()) {
      p = affine(elastic(p));
      low = {std::min(low.x, p.x), std::min(low.y, p.y)};
      high = {std::max(high.x, p.x), std::max(high.y, p.y)};
    }
  }
  const Point centre{14 + random.uniform(-2.3f, 2.3f), 14 + random.uniform(-2.3f, 2.3f)};
  const Point shift{centre.x - (low.x + high.x) / 2, centre.y - (low.y + high.y) / 2};
  for (Stroke& line : lines)
    for (Point& p : line) p = {p.x + shift.x, p.y + shift.y};
  return lines;
}

}  // namespace

int draw_digit(uint64_t seed, DigitSplit split, int64_t index, uint8_t* pixels) {
  Stream random(seed, split, index);
  const int digit = random.below(glyphs.size());
  const auto& styles = glyphs[static_cast<size_t>(digit)];
  const Glyph lines = place(styles[static_cast<size_t>(random.below(styles.size()))], random);
  Canvas canvas;
  const Pen pen{random.uniform(0.8f, 1.6f), random.uniform(0.75f, 1)};
  for (const Stroke& line : lines)
    for (size_t n = 0; n + 1 < line.size(); ++n) canvas.line(line[n], line[n + 1], pen);
  for (int specks = random.below(4); specks > 0; --specks) {
    const Point a{random.uniform(0, 28), random.uniform(0, 28)};
    const Point b{a.x + random.uniform(-3, 3), a.y + random.uniform(-3, 3)};
    const Pen faint{random.uniform(0.5f, 1.0f), random.uniform(0.2f, 0.8f)};
    canvas.line(a, b, faint);
  }
  canvas.develop(random, random.uniform(0, 0.08f), pixels);
  return digit;
}

}  // namespace ballast::inline BALLAST_PRECISION
