// Gradients of movements, reductions and matrix products.
#include <doctest/doctest.h>

#include <ballast/core/gradcheck.h>
#include <ballast/core/ops.h>
#include <ballast/core/random.h>
#include <ballast/layers/functional.h>

#include "distinct.h"

using namespace ballast;

namespace {

const std::vector<Shape> shapes{
    {1}, {7}, {1, 1}, {2, 3}, {3, 1, 2}, {2, 2, 1, 3}, {4, 1}, {1, 2, 1, 2, 3}, {2, 1, 2, 1, 2, 1}};

}  // namespace

TEST_CASE("gradient: reshape, flatten, transpose") {
  manual_seed(1);
  for (const Shape& shape : shapes) {
    CAPTURE(shape.str());
    const Tensor x = randn(shape);
    CHECK(gradient_error([](Tensor t) { return reshape(std::move(t), {-1}); }, x) == "");
    CHECK(gradient_error([](Tensor t) { return reshape(std::move(t), {1, -1, 1}) * real(2); }, x) == "");
    CHECK(gradient_error([&](Tensor t) { return reshape(reshape(t, Shape{shape.count()}), shape) + t; }, x) ==
          "");
    CHECK(gradient_error([](Tensor t) { return flatten(std::move(t), 0); }, x) == "");
    for (int a = 0; a < shape.rank(); ++a) {
      CHECK(gradient_error([=](Tensor t) { return flatten(std::move(t), a); }, x) == "");
      for (int b = 0; b < shape.rank(); ++b)
        CHECK(gradient_error([=](Tensor t) { return transpose(std::move(t), a, b); }, x) == "");
    }
  }
}

TEST_CASE("gradient: permute") {
  manual_seed(2);
  const auto check = [](const Shape& shape, std::initializer_list<int> order) {
    CAPTURE(shape.str());
    CHECK(gradient_error([=](Tensor x) { return permute(std::move(x), order); }, randn(shape)) == "");
  };
  check({3}, {0});
  check({2, 3}, {1, 0});
  check({2, 3}, {0, 1});
  check({2, 3, 4}, {2, 0, 1});
  check({2, 3, 4}, {1, 2, 0});
  check({2, 3, 1, 2}, {0, 2, 3, 1});
  check({2, 1, 3, 2}, {-1, 0, -2, 1});
  check({2, 1, 2, 3, 1}, {4, 3, 2, 1, 0});
  check({2, 1, 2, 1, 3, 2}, {1, 3, 5, 0, 2, 4});
  const auto large = [](Tensor x) { return permute(std::move(x), {1, 2, 0}); };
  CHECK(directional_error(large, randn({37, 29, 41})) == "");
}

TEST_CASE("gradient: slice") {
  manual_seed(3);
  struct Case {
    Shape shape;
    int axis;
    int64_t begin, end;
  };
  for (const auto& c : {Case{{5}, 0, 1, 4},
                        {{5}, 0, 0, 5},
                        {{1}, 0, 0, 1},
                        {{5}, -1, -2, 5},
                        {{4, 3}, 0, 1, 3},
                        {{4, 3}, 1, 1, 2},
                        {{2, 4, 3}, 1, -3, -1},
                        {{2, 1, 3}, 2, 0, 2},
                        {{2, 3, 1, 4}, 3, 2, 4},
                        {{2, 1, 2, 3, 1, 2}, 3, 0, 2}}) {
    CAPTURE(c.shape.str());
    CHECK(gradient_error([&](Tensor x) { return slice(std::move(x), c.axis, c.begin, c.end); },
                         randn(c.shape)) == "");
  }
  CHECK(gradient_error([](Tensor x) { return slice(x, 0, 0, 2) * slice(x, 0, 1, 3); }, randn({3, 2})) == "");
  CHECK(directional_error([](Tensor x) { return slice(std::move(x), 1, 3, 900); }, randn({50, 1000})) == "");
}

TEST_CASE("gradient: concat and stack") {
  manual_seed(4);
  const auto check = [](const Shape& a, const Shape& b, const Shape& c, int axis) {
    CAPTURE(a.str());
    CHECK(gradient_error(
              [=](Tensor x, Tensor y, Tensor z) {
                return concat({x, y, z}, axis);
              },
              randn(a), randn(b), randn(c)) == "");
  };
  check({1}, {1}, {1}, 0);
  check({2}, {1}, {3}, 0);
  check({2, 3}, {1, 3}, {2, 3}, 0);
  check({2, 3}, {2, 1}, {2, 2}, 1);
  check({2, 3}, {2, 1}, {2, 2}, -1);
  check({2, 1, 2}, {2, 3, 2}, {2, 1, 2}, 1);
  check({1, 2, 2, 1}, {1, 2, 1, 1}, {1, 2, 3, 1}, 2);
  check({1, 2, 1, 2, 1}, {3, 2, 1, 2, 1}, {1, 2, 1, 2, 1}, 0);
  CHECK(gradient_error([](Tensor x) { return concat({x, x * real(2), x}, 0); }, randn({2, 2})) == "");
  CHECK(gradient_error([](Tensor x) { return concat({x}, 0); }, randn({3})) == "");

  for (const Shape& shape : {Shape{}, {1}, {3}, {2, 3}, {1, 1}, {2, 1, 3}, {1, 2, 2, 1}, {2, 1, 1, 2, 2}}) {
    for (int axis = 0; axis <= shape.rank(); ++axis) {
      CAPTURE(shape.str());
      CHECK(gradient_error(
                [=](Tensor x, Tensor y) {
                  return stack({x, y, x}, axis);
                },
                randn(shape), randn(shape)) == "");
    }
  }
  CHECK(directional_error(
            [](Tensor x, Tensor y) {
              return concat({x, y}, 1);
            },
            randn({90, 200}), randn({90, 100})) == "");
}

TEST_CASE("gradient: flip") {
  manual_seed(5);
  for (const Shape& shape : {Shape{4}, Shape{1, 3}, Shape{2, 3, 2}, Shape{2, 1, 2, 3, 1}})
    for (int axis = 0; axis < shape.rank(); ++axis)
      CHECK(gradient_error([=](Tensor x) { return flip(std::move(x), axis); }, randn(shape)) == "");
}

TEST_CASE("gradient: gather") {
  manual_seed(5);
  struct Case {
    Shape shape;
    int axis;
    Labels positions;
  };
  for (const auto& c : {Case{{4}, 0, {2, 0, 3}},
                        {{4}, 0, {1, 1, 1, 0, 1}},
                        {{1}, 0, {0, 0}},
                        {{3, 2}, 0, {2, 2, 0}},
                        {{3, 2}, 1, {1, 0, 1}},
                        {{3, 2}, -1, {1}},
                        {{2, 3, 2}, 1, {0, 2, 2, 1}},
                        {{2, 1, 3}, 1, {0, 0}},
                        {{2, 1, 2, 3, 1}, 3, {2, 1, 2}}}) {
    CAPTURE(c.shape.str());
    CHECK(gradient_error([&](Tensor x) { return gather(std::move(x), c.positions, c.axis); },
                         randn(c.shape)) == "");
  }
  Labels words(3000);
  for (int64_t n = 0; n < words.size(); ++n) words[n] = static_cast<int32_t>(n * n % 50);
  CHECK(directional_error([&](Tensor x) { return gather(std::move(x), words); }, randn({50, 100})) == "");
}

TEST_CASE("gradient: sum, mean and max") {
  manual_seed(6);
  for (const Shape& shape : shapes) {
    CAPTURE(shape.str());
    const Tensor x = distinct(shape);
    CHECK(gradient_error([](Tensor t) { return sum(std::move(t)); }, x) == "");
    CHECK(gradient_error([](Tensor t) { return mean(std::move(t)); }, x) == "");
    CHECK(gradient_error([](Tensor t) { return max(std::move(t)); }, x) == "");
  }
  const auto check = [](const Shape& shape, std::initializer_list<int> axes) {
    const Tensor x = distinct(shape);
    for (const bool keep : {false, true}) {
      CAPTURE(shape.str());
      CAPTURE(keep);
      CHECK(gradient_error([=](Tensor t) { return sum(std::move(t), axes, keep); }, x) == "");
      CHECK(gradient_error([=](Tensor t) { return mean(std::move(t), axes, keep); }, x) == "");
      CHECK(gradient_error([=](Tensor t) { return max(std::move(t), axes, keep); }, x) == "");
    }
  };
  check({1}, {0});
  check({5}, {0});
  check({4, 3}, {0});
  check({4, 3}, {1});
  check({4, 3}, {0, 1});
  check({2, 1, 3}, {1});
  check({2, 3, 4}, {1});
  check({2, 3, 4}, {0, 2});
  check({2, 3, 4}, {-1, -2});
  check({2, 3, 2, 2}, {0, 2, 3});
  check({2, 3, 2, 2}, {1, 3});
  check({2, 1, 2, 3, 1, 2}, {0, 3, 5});
  const auto large = [](const Shape& shape, std::initializer_list<int> axes) {
    CAPTURE(shape.str());
    const auto f = [=](Tensor x) { return sum(x, axes) + mean(x, axes) * real(50) + max(x, axes); };
    CHECK(directional_error(f, randn(shape)) == "");
  };
  large({50000}, {0});
  large({60, 700}, {0});
  large({700, 60}, {1});
  large({20, 50, 40}, {0, 2});
  large({20, 50, 40}, {1});
}

TEST_CASE("gradient: matmul, with leading axes that broadcast") {
  manual_seed(7);
  struct Case {
    Shape a, b;
  };
  for (const auto& c : {Case{{1, 1}, {1, 1}},
                        {{2, 3}, {3, 4}},
                        {{1, 3}, {3, 1}},
                        {{3, 1}, {1, 2}},
                        {{5, 2}, {2, 5}},
                        {{2, 2, 3}, {3, 2}},
                        {{2, 2, 3}, {2, 3, 2}},
                        {{1, 2, 3}, {2, 3, 2}},
                        {{2, 3}, {2, 3, 1}},
                        {{2, 1, 2, 3}, {3, 3, 2}},
                        {{2, 1, 2, 1}, {1, 3, 1, 2}}}) {
    CAPTURE(c.a.str());
    CAPTURE(c.b.str());
    CHECK(gradient_error([](Tensor a, Tensor b) { return matmul(std::move(a), std::move(b)); }, randn(c.a),
                         randn(c.b)) == "");
  }
  CHECK(gradient_error([](Tensor a) { return matmul(a, a); }, randn({3, 3})) == "");
  CHECK(directional_error([](Tensor a, Tensor b) { return matmul(a, b); }, randn({70, 130}),
                          randn({130, 90})) == "");
}

TEST_CASE("gradient: linear") {
  manual_seed(8);
  for (const Shape& shape :
       {Shape{1, 1}, {1, 4}, {3, 1}, {4, 5}, {5}, {2, 3, 4}, {2, 1, 3}, {1, 2, 1, 3}, {6, 2}}) {
    for (const int64_t out : {1, 3}) {
      CAPTURE(shape.str());
      CAPTURE(out);
      const Tensor x = randn(shape), weight = randn({out, shape[-1]}), bias = randn({out});
      CHECK(gradient_error([](Tensor t, Tensor w) { return linear(std::move(t), std::move(w)); }, x,
                           weight) == "");
      CHECK(gradient_error(
                [](Tensor t, Tensor w, Tensor b) { return linear(std::move(t), std::move(w), std::move(b)); },
                x, weight, bias) == "");
    }
  }
  CHECK(directional_error([](Tensor x, Tensor w, Tensor b) { return linear(x, w, b); }, randn({200, 70}),
                          randn({90, 70}), randn({90})) == "");
}

TEST_CASE("gradient: var, min, split, pad") {
  manual_seed(21);
  for (const Shape& shape : {Shape{4}, Shape{2, 3}, Shape{3, 2, 4}}) {
    CAPTURE(shape.str());
    const Tensor x = randn(shape);
    CHECK(gradient_error([](Tensor t) { return var(std::move(t)); }, x) == "");
    CHECK(gradient_error([](Tensor t) { return var(std::move(t), {0}, 0, true); }, x) == "");
    CHECK(gradient_error([](Tensor t) { return min(std::move(t), {-1}); }, x) == "");
    CHECK(gradient_error([](Tensor t) { return pad(std::move(t), -1, 2, 1); }, x) == "");
    CHECK(gradient_error(
              [](Tensor t) {
                const std::vector<Tensor> parts = split(t, 2, -1);
                return sum(pow(parts.front(), 2)) + sum(parts.back());
              },
              x) == "");
  }
}
