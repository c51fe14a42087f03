#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include <ballast/core/ops.h>
#include <ballast/core/parameter.h>
#include <ballast/core/random.h>
#include <ballast/layers/functional.h>

using namespace ballast;

namespace {

constexpr real not_a_number = std::numeric_limits<real>::quiet_NaN();

bool same(const Tensor& a, const Tensor& b) {
  if (!(a.shape() == b.shape())) return false;
  for (int64_t i = 0; i < a.count(); ++i)
    if (a.data()[i] != b.data()[i]) return false;
  return true;
}

bool close(const Tensor& a, const Tensor& b) {
  if (!(a.shape() == b.shape())) return false;
  for (int64_t i = 0; i < a.count(); ++i)
    if (!(std::abs(a.data()[i] - b.data()[i]) <= real(1e-5) * (1 + std::abs(b.data()[i])))) return false;
  return true;
}

// 0, 1, 2, ... in the given shape.
Tensor counted(const Shape& shape) { return reshape(arange(shape.count()), shape); }

Tensor column(std::initializer_list<real> values) {
  return tensor(std::span(values.begin(), values.size()), {static_cast<int64_t>(values.size()), 1});
}

template <class E, class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing thrown";
}

// The gradient of sum(f(x) * weight) by x.
template <class F>
Tensor gradient(Tensor x, const Tensor& weight, F f) {
  Tape tape;
  tape.watch(x);
  tape.backward(f(x), weight);
  return tape.grad(x);
}

}  // namespace

TEST_CASE("arithmetic broadcasts by NumPy's rule") {
  const Tensor m = tensor({{1, 2, 3}, {4, 5, 6}});
  CHECK(same(m + m, tensor({{2, 4, 6}, {8, 10, 12}})));
  CHECK(same(m - 1, tensor({{0, 1, 2}, {3, 4, 5}})));
  CHECK(same(1 - m, tensor({{0, -1, -2}, {-3, -4, -5}})));
  CHECK(same(m * tensor({1, 10, 100}), tensor({{1, 20, 300}, {4, 50, 600}})));
  CHECK(same(tensor({1, 10, 100}) - m, tensor({{0, 8, 97}, {-3, 5, 94}})));
  CHECK(same(m / column({1, 2}), tensor({{1, 2, 3}, {2, 2.5, 3}})));
  CHECK(same(column({10, 20}) + tensor({1, 2}), tensor({{11, 12}, {21, 22}})));
  CHECK(same(-m, tensor({{-1, -2, -3}, {-4, -5, -6}})));
  CHECK(same(Tensor(2) * Tensor(3), Tensor(6)));
}

TEST_CASE("broadcasting walks axes that don't merge") {
  const Tensor x = counted({2, 3, 2, 2}), channel = counted({3, 1, 1}), odd = counted({2, 1, 2, 1});
  const Tensor a = x + channel, b = x * odd;
  for (int n = 0; n < 2; ++n)
    for (int c = 0; c < 3; ++c)
      for (int h = 0; h < 2; ++h)
        for (int w = 0; w < 2; ++w) {
          CHECK(a(n, c, h, w) == x(n, c, h, w) + channel(c, 0, 0));
          CHECK(b(n, c, h, w) == x(n, c, h, w) * odd(n, 0, h, 0));
        }
}

TEST_CASE("broadcasting over more than one chunk finds its place in the middle") {
  const Tensor x = counted({70, 3, 333}), row = counted({3, 1});
  const Tensor y = x - row;
  for (int64_t n = 0; n < 70; ++n)
    for (int64_t c = 0; c < 3; ++c)
      for (int64_t i = 0; i < 333; i += 83) CHECK(y(n, c, i) == x(n, c, i) - static_cast<real>(c));
}

TEST_CASE("broadcasting with sizes 0 and 1") {
  CHECK((Tensor(Shape{0, 3}) + tensor({1, 2, 3})).shape() == Shape{0, 3});
  CHECK((Tensor(Shape{0, 3}) * Tensor(2)).shape() == Shape{0, 3});
  CHECK((ones({1, 1}) + ones({1})).shape() == Shape{1, 1});
  CHECK((Tensor(Shape{0, 1}) + ones({1, 4})).shape() == Shape{0, 4});
  CHECK(message_of<ShapeError>([] {
          ones({2, 3}) + ones({2});
        }) ==
        "a + b: shapes (2, 3) and (2) don't broadcast; matched from the last axis, sizes must agree or be 1");
}

TEST_CASE("gradients of broadcast operands have the operand's shape") {
  const Tensor m = tensor({{1, 2, 3}, {4, 5, 6}}), w = tensor({{1, 0, 2}, {0, 3, 1}});
  CHECK(same(gradient(tensor({7, 8, 9}), w, [&](const Tensor& b) { return m + b; }), tensor({1, 3, 3})));
  CHECK(same(gradient(column({7, 8}), w, [&](const Tensor& b) { return m - b; }), column({-3, -4})));
  CHECK(same(gradient(Tensor(2), w, [&](const Tensor& b) { return m * b; }), Tensor(28)));
  CHECK(same(gradient(Tensor(2), w, [&](const Tensor& b) { return m / b; }), Tensor(-7)));
  CHECK(same(gradient(tensor({3}), tensor({1}), [](const Tensor& x) { return x * x; }), tensor({6})));
  CHECK(same(gradient(tensor({3}), tensor({1}), [](const Tensor& x) { return x + x; }), tensor({2})));
  CHECK(same(gradient(tensor({3}), tensor({1}), [](const Tensor& x) { return x - x; }), tensor({0})));
}

TEST_CASE("unary functions") {
  CHECK(close(exp(tensor({0, 1})), tensor({1, real(2.718281828)})));
  CHECK(same(log(tensor({1, 0})), tensor({0, -std::numeric_limits<real>::infinity()})));
  CHECK(same(sqrt(tensor({4, 9})), tensor({2, 3})));
  CHECK(same(pow(tensor({2, -3}), 2), tensor({4, 9})));
  CHECK(same(pow(tensor({2, -3}), 3), tensor({8, -27})));
  CHECK(same(abs(tensor({-2, 0, 3})), tensor({2, 0, 3})));
  CHECK(same(clamp(tensor({-2, 0, 3}), -1, 2), tensor({-1, 0, 2})));
  CHECK(message_of<ValueError>([] { clamp(ones({1}), 2, 1); }) ==
        "clamp: the lower limit 2 is above the upper limit 1");

  const Tensor one = ones({3});
  CHECK(same(gradient(tensor({-2, 0, 3}), one, [](const Tensor& x) { return abs(x); }), tensor({-1, 0, 1})));
  CHECK(same(gradient(tensor({-1, 0, 3}), one, [](const Tensor& x) { return clamp(x, -1, 2); }),
             tensor({1, 1, 0})));
  CHECK(same(gradient(tensor({0, 1, 2}), one, [](const Tensor& x) { return pow(x, 0); }), tensor({0, 0, 0})));
  CHECK(
      same(gradient(tensor({0, 1, 2}), one, [](const Tensor& x) { return pow(x, 3); }), tensor({0, 3, 12})));
}

TEST_CASE("all_finite sees one NaN or infinity anywhere, and nothing in large or small numbers") {
  using Limits = std::numeric_limits<real>;
  Tensor x = full({40'001}, Limits::max());
  x(3) = -Limits::max(), x(4) = Limits::denorm_min(), x(5) = 0, x(6) = real(-0.0);
  CHECK(all_finite(x));
  for (const int64_t at : {0, 1, 16'384, 40'000})
    for (const real bad : {not_a_number, -not_a_number, Limits::infinity(), -Limits::infinity()}) {
      Tensor y = x.clone();
      y(at) = bad;
      CHECK_FALSE(all_finite(y));
    }
}

TEST_CASE("where picks and routes, and never mixes") {
  const Tensor a = tensor({1, not_a_number, 3}), condition = tensor({1, 0, 1});
  CHECK(same(where(condition, a, 9), tensor({1, 9, 3})));
  CHECK(same(where(column({1, 0}), tensor({1, 2}), tensor({5, 6})), tensor({{1, 2}, {5, 6}})));
  CHECK(same(gradient(tensor({7, 7, 7}), tensor({1, not_a_number, 3}),
                      [&](const Tensor& x) { return where(condition, x, 0); }),
             tensor({1, 0, 3})));
  CHECK(same(gradient(Tensor(7), tensor({not_a_number, 2, not_a_number}),
                      [&](const Tensor& x) { return where(condition, 0, x); }),
             Tensor(2)));
}

TEST_CASE("maximum, minimum and comparisons, with NaN as in PyTorch") {
  const Tensor a = tensor({1, 5, 3, not_a_number}), b = tensor({2, 4, 3, 0});
  CHECK(std::isnan(maximum(a, b)(3)));
  CHECK(std::isnan(minimum(b, a)(3)));
  CHECK(same(slice(maximum(a, b), 0, 0, 3), tensor({2, 5, 3})));
  CHECK(same(slice(minimum(a, b), 0, 0, 3), tensor({1, 4, 3})));
  CHECK(same(a > b, tensor({0, 1, 0, 0})));
  CHECK(same(a >= b, tensor({0, 1, 1, 0})));
  CHECK(same(a < b, tensor({1, 0, 0, 0})));
  CHECK(same(a <= b, tensor({1, 0, 1, 0})));
  CHECK(same(a == b, tensor({0, 0, 1, 0})));
  CHECK(same(a != b, tensor({1, 1, 0, 1})));
  CHECK(same(tensor({{1, 2}, {3, 4}}) > tensor({2, 3}), tensor({{0, 0}, {1, 1}})));
  CHECK(same(tensor({real(1e-42), 0}) > 0, tensor({1, 0})));  // a denormal number isn't 0
  // Equals share the gradient.
  CHECK(same(gradient(slice(a, 0, 0, 3), ones({3}), [&](Tensor x) { return maximum(x, slice(b, 0, 0, 3)); }),
             tensor({0, 1, real(0.5)})));
  CHECK(same(gradient(slice(b, 0, 0, 3), ones({3}), [&](Tensor x) { return minimum(slice(a, 0, 0, 3), x); }),
             tensor({0, 1, real(0.5)})));
}

TEST_CASE("x += y makes x a new value, and copies keep the old one") {
  Tensor x = tensor({1, 2});
  const Tensor copy = x;
  x += tensor({10, 20});
  x *= 2;
  x -= 1;
  x /= tensor({3, 1});
  CHECK(same(x, tensor({7, 43})));
  CHECK(same(copy, tensor({1, 2})));
  CHECK(same(gradient(tensor({1, 2}), ones({2}),
                      [](Tensor t) {
                        Tensor y = t;
                        y *= t;
                        return y;
                      }),
             tensor({2, 4})));
}

TEST_CASE("min, var, split, pad and one_hot") {
  const Tensor x = tensor({{4, 1, 7}, {2, 8, 3}});
  CHECK(min(x).item() == 1);
  CHECK(same(min(x, {1}), tensor({1, 2})));
  CHECK(same(min(x, {0}, true), tensor({{2, 1, 3}})));
  CHECK(var(x).item() == doctest::Approx(233.0 / 30));  // 143 - 25^2 / 6, over 5
  CHECK(close(var(x, {1}), tensor({9, real(31.0 / 3)})));
  CHECK(close(var(x, {1}, 0), tensor({6, real(62.0 / 9)})));
  CHECK(var(x, {0, 1}, 0, true).shape() == Shape{1, 1});
  CHECK(std::isnan(var(Tensor(Shape{0})).item()));
  CHECK(std::isnan(var(Tensor(Shape{0, 2}), {0})(0)));
  const std::vector<Tensor> parts = split(x, 2, 1);
  REQUIRE(parts.size() == 2);
  CHECK(same(parts[0], tensor({{4, 1}, {2, 8}})));
  CHECK(same(parts[1], tensor({{7}, {3}})));
  CHECK(same(pad(tensor({{1}, {2}}), 1, 1, 2, 9), tensor({{9, 1, 9, 9}, {9, 2, 9, 9}})));
  CHECK(same(gradient(tensor({1, 2}), tensor({5, 6, 7}), [](Tensor t) { return pad(std::move(t), 0, 1, 0); }),
             tensor({6, 7})));
  CHECK(same(one_hot({2, 0}, 3), tensor({{0, 0, 1}, {1, 0, 0}})));
  CHECK(message_of<ValueError>([] { one_hot({3}, 3); }).find("label 3 at index 0 is not in 0 ... 2") !=
        std::string::npos);
}

TEST_CASE("nll_loss of log_softmax is cross_entropy") {
  manual_seed(12);
  for (const Shape& shape : {Shape{5, 4}, Shape{2, 4, 3}}) {
    const Tensor x = randn(shape), weights = tensor({1, 2, 0, 3});
    const Labels labels = shape.rank() == 2 ? Labels{0, 3, -100, 1, 2} : Labels{0, 3, -100, 1, 2, 1};
    for (const Reduction reduction : {Reduction::mean, Reduction::sum, Reduction::none}) {
      const CrossEntropyOptions options{.weights = weights, .reduction = reduction};
      const Tensor expected = cross_entropy(x, labels, options);
      CHECK(close(nll_loss(log_softmax(x, 1), labels, options), expected));
      const Tensor dy = randn(expected.shape());
      CHECK(close(gradient(x, dy, [&](Tensor t) { return nll_loss(log_softmax(t, 1), labels, options); }),
                  gradient(x, dy, [&](Tensor t) { return cross_entropy(t, labels, options); })));
    }
  }
}

TEST_CASE("activations") {
  const Tensor x = tensor({-2, 0, 3});
  CHECK(same(relu(x), tensor({0, 0, 3})));
  CHECK(same(leaky_relu(x, real(0.5)), tensor({-1, 0, 3})));
  CHECK(close(sigmoid(tensor({0, -1000, 1000})), tensor({0.5, 0, 1})));
  CHECK(close(tanh(tensor({0, 20})), tensor({0, 1})));
  CHECK(close(silu(x), tensor({real(-0.238405844), 0, real(2.857722380)})));
  CHECK(close(gelu(x), tensor({real(-0.045500264), 0, real(2.995950306)})));
  CHECK(same(gradient(x, ones({3}), [](const Tensor& v) { return relu(v); }), tensor({0, 0, 1})));
  CHECK(std::isnan(relu(tensor({not_a_number})).item()));
  CHECK(message_of<ValueError>([] { leaky_relu(ones({1}), -1); }) ==
        "leaky_relu: the slope is -1; it must not be negative");
}

TEST_CASE("softmax along any axis, of any size of logits") {
  const Tensor x = log(tensor({{1, 3}, {3, 1}}));
  CHECK(close(softmax(x), tensor({{0.25, 0.75}, {0.75, 0.25}})));
  CHECK(close(log_softmax(x), log(tensor({{0.25, 0.75}, {0.75, 0.25}}))));
  const Tensor y = log(tensor({{1, 4}, {3, 1}}));
  CHECK(close(softmax(y, 0), tensor({{0.25, real(0.8)}, {0.75, real(0.2)}})));
  CHECK(close(exp(log_softmax(y, 0)), tensor({{0.25, real(0.8)}, {0.75, real(0.2)}})));
  CHECK(close(softmax(tensor({1000, 1000})), tensor({0.5, 0.5})));
  CHECK(close(log_softmax(tensor({0, -5000})), tensor({0, -5000})));
}

TEST_CASE("reductions") {
  const Tensor x = counted({2, 3, 2});
  CHECK(sum(x).item() == 66);
  CHECK(mean(x).item() == 5.5);
  CHECK(max(x).item() == 11);
  CHECK(same(sum(x, {1}), tensor({{6, 9}, {24, 27}})));
  CHECK(same(sum(x, {0, 2}), tensor({14, 22, 30})));
  CHECK(same(sum(x, {-1, 0}, true), reshape(tensor({14, 22, 30}), {1, 3, 1})));
  CHECK(same(mean(x, {1, 2}), tensor({2.5, 8.5})));
  CHECK(same(max(x, {0, 2}), tensor({7, 9, 11})));
  CHECK(same(sum(x, {}), x));
  CHECK(sum(Tensor(5)).item() == 5);
  CHECK(same(sum(Tensor(Shape{0, 2}), {0}), zeros({2})));
  CHECK(std::isnan(mean(Tensor(Shape{0})).item()));
  const Tensor of_nothing = mean(Tensor(Shape{0, 2}), {0});
  CHECK(of_nothing.shape() == Shape{2});
  CHECK(std::isnan(of_nothing(0)));
  CHECK(std::isnan(of_nothing(1)));
  CHECK(mean(Tensor(Shape{0, 2}), {1}).count() == 0);
  CHECK(message_of<ShapeError>([&] {
          sum(x, {1, -2});
        }) == "sum: axis -2 of a tensor of shape (2, 3, 2) is listed twice");
  CHECK(message_of<ShapeError>([&] { mean(x, {3}); }) ==
        "mean: axis 3 of a tensor of shape (2, 3, 2), which has 3 axes");
  CHECK(message_of<ShapeError>([] { max(Tensor(Shape{0})); }) ==
        "max: a tensor of shape (0) has no largest element");
}

TEST_CASE("reductions of many blocks of rows and columns") {
  const int64_t rows = 1000, columns = 300;
  const Tensor x = counted({rows, columns}) / static_cast<real>(rows * columns);
  double total = 0;
  Tensor by_column = zeros({columns});
  for (int64_t c = 0; c < columns; ++c) {
    double sum = 0;
    for (int64_t r = 0; r < rows; ++r) sum += x(r, c);
    by_column(c) = static_cast<real>(sum);
    total += sum;
  }
  CHECK(close(sum(x, {0}), by_column));
  CHECK(close(sum(x), Tensor(static_cast<real>(total))));
  CHECK(close(sum(reshape(x, {rows, 100, 3}), {0, 1}), sum(reshape(by_column, {100, 3}), {0})));
  CHECK(sum(full({40'000'000 / 8}, real(0.1))).item() ==
        doctest::Approx(5'000'000 * static_cast<double>(real(0.1))).epsilon(1e-7));
}

TEST_CASE("the gradient of max goes to the first largest") {
  const Tensor x = tensor({{1, 5, 5}, {5, 0, 5}});
  CHECK(same(gradient(x, Tensor(2), [](const Tensor& v) { return max(v); }), tensor({{0, 2, 0}, {0, 0, 0}})));
  CHECK(same(gradient(x, tensor({1, 2, 3}), [](const Tensor& v) { return max(v, {0}); }),
             tensor({{0, 2, 3}, {1, 0, 0}})));
  CHECK(same(gradient(x, tensor({1, 2}), [](const Tensor& v) { return max(v, {1}); }),
             tensor({{0, 1, 0}, {2, 0, 0}})));
  CHECK(same(gradient(x, Tensor(1), [](const Tensor& v) { return sum(max(v, {1}) + max(v, {1})); }),
             tensor({{0, 2, 0}, {2, 0, 0}})));
}

TEST_CASE("argmax finds the first largest, and NaN") {
  const Labels found = argmax(tensor({{1, 3, 3}, {5, 0, 5}, {1, not_a_number, 7}}));
  CHECK(found[0] == 1);
  CHECK(found[1] == 0);
  CHECK(found[2] == 1);
}

TEST_CASE("reshape and flatten share the elements") {
  const Tensor x = counted({2, 3, 2});
  CHECK(reshape(x, {3, -1}).shape() == Shape{3, 4});
  CHECK(reshape(x, {3, 4}).data() == x.data());
  CHECK(flatten(x).shape() == Shape{2, 6});
  CHECK(flatten(x, 0).shape() == Shape{12});
  CHECK(message_of<ShapeError>([&] {
          reshape(x, {5, 2});
        }) == "reshape: a tensor of shape (2, 3, 2) has 12 elements; shape (5, 2) needs 10");
  CHECK_THROWS_AS(reshape(x, {5, -1}), ShapeError);
  CHECK_THROWS_AS(reshape(x, {-1, -1}), ShapeError);
  CHECK_THROWS_AS(reshape(x, {-2, 6}), ShapeError);
  CHECK_THROWS_AS(reshape(Tensor(Shape{0}), {0, -1}), ShapeError);
}

TEST_CASE("permute moves axes") {
  CHECK(same(transpose(tensor({{1, 2, 3}, {4, 5, 6}})), tensor({{1, 4}, {2, 5}, {3, 6}})));
  const Tensor x = counted({3, 40, 2, 70});
  const Tensor channels_last = permute(x, {0, 2, 3, 1}), last_kept = permute(x, {2, 1, 0, 3});
  const Tensor reversed = permute(x, {3, 2, 1, 0});
  bool right = true;
  for (int64_t a = 0; a < 3; ++a)
    for (int64_t b = 0; b < 40; ++b)
      for (int64_t c = 0; c < 2; ++c)
        for (int64_t d = 0; d < 70; ++d) {
          const real v = x(a, b, c, d);
          right = right && channels_last(a, c, d, b) == v && last_kept(c, b, a, d) == v;
          right = right && reversed(d, c, b, a) == v;
        }
  CHECK(right);
  CHECK(permute(counted({1, 5, 1}), {2, 1, 0}).shape() == Shape{1, 5, 1});
  CHECK(same(permute(counted({2, 1, 3}), {1, 0, 2}), counted({1, 2, 3})));
  CHECK(permute(Tensor(Shape{0, 2, 3}), {2, 0, 1}).shape() == Shape{3, 0, 2});
  const Tensor dy = counted({4, 2, 3});
  CHECK(same(gradient(counted({2, 3, 4}), dy,
                      [](const Tensor& v) {
                        return permute(v, {2, 0, 1});
                      }),
             permute(dy, {1, 2, 0})));
  CHECK(message_of<ShapeError>([&] {
          permute(x, {0, 1, 1, 2});
        }) == "permute: axis 1 of a tensor of shape (3, 40, 2, 70) is listed twice");
  CHECK_THROWS_AS(permute(x, {0, 1}), ShapeError);
}

TEST_CASE("slice, concat and stack") {
  const Tensor x = tensor({{1, 2, 3}, {4, 5, 6}});
  CHECK(same(slice(x, 1, 1, 3), tensor({{2, 3}, {5, 6}})));
  CHECK(same(slice(x, 1, -1, 3), column({3, 6})));
  CHECK(same(slice(x, 0, 0, -1), tensor({{1, 2, 3}})));
  CHECK(slice(x, 0, 1, 1).shape() == Shape{0, 3});
  CHECK(message_of<ValueError>([&] { slice(x, 1, 2, 4); }) ==
        "slice: positions 2 to 4 on axis 1 of a tensor of shape (2, 3); they must be in order, and from 0 to "
        "3");
  CHECK(same(gradient(x, column({1, 2}), [](const Tensor& v) { return slice(v, 1, 1, 2); }),
             tensor({{0, 1, 0}, {0, 2, 0}})));
  CHECK(same(gradient(x, tensor({{1, 1}, {2, 2}}),
                      [](const Tensor& v) { return slice(v, 1, 0, 2) + slice(v, 1, 1, 3); }),
             tensor({{1, 2, 1}, {2, 4, 2}})));

  CHECK(same(concat({x, column({7, 8})}, -1), tensor({{1, 2, 3, 7}, {4, 5, 6, 8}})));
  CHECK(same(concat({x, tensor({{7, 8, 9}})}, 0), tensor({{1, 2, 3}, {4, 5, 6}, {7, 8, 9}})));
  CHECK(same(concat({x, Tensor(Shape{2, 0})}, 1), x));
  CHECK(same(gradient(x, tensor({{1, 2, 3, 4, 5, 6}, {7, 8, 9, 10, 11, 12}}),
                      [](const Tensor& v) {
                        return concat({v, v}, 1);
                      }),
             tensor({{5, 7, 9}, {17, 19, 21}})));
  CHECK(message_of<ShapeError>([&] {
          concat({x, ones({3, 2})}, 0);
        }) == "concat: shapes (2, 3) and (3, 2) differ in more than axis 0");
  CHECK_THROWS_AS(concat({}, 0), ShapeError);

  CHECK(same(stack({tensor({1, 2}), tensor({3, 4})}), tensor({{1, 2}, {3, 4}})));
  CHECK(same(stack({tensor({1, 2}), tensor({3, 4})}, -1), tensor({{1, 3}, {2, 4}})));
  CHECK(same(stack({Tensor(1), Tensor(2)}), tensor({1, 2})));
  CHECK(same(gradient(tensor({1, 2}), tensor({{1, 2}, {3, 4}}),
                      [](const Tensor& v) {
                        return stack({v, zeros({2})}, 1);
                      }),
             tensor({1, 3})));
  CHECK_THROWS_AS(stack({ones({2}), ones({3})}), ShapeError);
}

TEST_CASE("gather repeats slices and adds their gradients") {
  const Tensor table = tensor({{1, 2}, {3, 4}, {5, 6}});
  CHECK(same(gather(table, {2, 0, 2}), tensor({{5, 6}, {1, 2}, {5, 6}})));
  CHECK(same(gather(table, {1, 1}, 1), tensor({{2, 2}, {4, 4}, {6, 6}})));
  CHECK(same(gradient(table, tensor({{1, 2}, {3, 4}, {5, 6}}),
                      [](const Tensor& t) {
                        return gather(t, {2, 0, 2});
                      }),
             tensor({{3, 4}, {0, 0}, {6, 8}})));
  CHECK(message_of<ValueError>([&] {
          gather(table, {0, 3});
        }) == "gather: position 3 at index 1 is not in 0 ... 2");
}

TEST_CASE("flip reverses the positions of an axis, and their gradients") {
  const Tensor x = tensor({{1, 2, 3}, {4, 5, 6}});
  CHECK(same(flip(x, 0), tensor({{4, 5, 6}, {1, 2, 3}})));
  CHECK(same(flip(x, -1), tensor({{3, 2, 1}, {6, 5, 4}})));
  CHECK(same(gradient(x, tensor({{1, 2, 3}, {0, 0, 1}}), [](const Tensor& t) { return flip(t, 1); }),
             tensor({{3, 2, 1}, {1, 0, 0}})));
  CHECK(flip(Tensor(Shape{0, 3}), 0).shape() == Shape{0, 3});
  CHECK_THROWS_AS(flip(x, 2), ShapeError);
  const Tensor y = flip(counted({70, 3, 333}), 1), z = flip(counted({3, 40'001}), 1);  // more than one chunk
  for (int64_t n = 0; n < 70; ++n)
    for (int64_t c = 0; c < 3; ++c)
      for (int64_t i = 0; i < 333; i += 83) CHECK(y(n, c, i) == static_cast<real>((n * 3 + 2 - c) * 333 + i));
  for (int64_t i = 0; i < 40'001; i += 997) CHECK(z(1, i) == static_cast<real>(80'001 - i));
}

TEST_CASE("rows of every length are padded, cut out and gathered") {
  // Rows of 1 to 4 elements, and of more; paddings that are few elements and many, of 0 and of another value.
  for (const int64_t inner : {1, 2, 3, 4, 5, 70}) {
    for (const real value : {real(0), real(7)}) {
      CAPTURE(inner);
      constexpr int64_t outer = 3, size = 4, before = 2, after = 65;
      const Tensor x = counted({outer, size, inner});
      const Tensor padded = pad(x, 1, before, after, value), weight = counted(padded.shape());
      const Tensor by_pad =
          gradient(x, weight, [&](const Tensor& t) { return pad(t, 1, before, after, value); });
      const Tensor by_slice =
          gradient(padded, x, [&](const Tensor& t) { return slice(t, 1, before, before + size); });
      const Labels positions{3, 0, 3, 1, 3};
      const Tensor gathered = gather(x, positions, 1), dy = counted(gathered.shape());
      const Tensor by_gather = gradient(x, dy, [&](const Tensor& t) { return gather(t, positions, 1); });
      bool right = true;
      for (int64_t a = 0; a < outer; ++a)
        for (int64_t i = 0; i < inner; ++i) {
          for (int64_t p = 0; p < before + size + after; ++p) {
            const bool inside = p >= before && p < before + size;
            right = right && padded(a, p, i) == (inside ? x(a, p - before, i) : value);
            right = right && by_slice(a, p, i) == (inside ? x(a, p - before, i) : 0);
          }
          for (int64_t p = 0; p < size; ++p) right = right && by_pad(a, p, i) == weight(a, p + before, i);
          for (int64_t p = 0; p < positions.size(); ++p)
            right = right && gathered(a, p, i) == x(a, positions[p], i);
          right = right && by_gather(a, 0, i) == dy(a, 1, i) && by_gather(a, 1, i) == dy(a, 3, i);
          right = right && by_gather(a, 2, i) == 0;
          right = right && by_gather(a, 3, i) == dy(a, 0, i) + dy(a, 2, i) + dy(a, 4, i);
        }
      CHECK(right);
    }
  }
}

TEST_CASE("matrices of few rows or columns are transposed in more than one part") {
  for (const int64_t few : {1, 2, 3, 4, 5}) {
    CAPTURE(few);
    const Tensor tall = counted({2, 33333, few}), wide = transpose(tall);
    bool right = true;
    for (int64_t n = 0; n < 2; ++n)
      for (int64_t row = 0; row < 33333; ++row)
        for (int64_t column = 0; column < few; ++column)
          right = right && wide.data()[(n * few + column) * 33333 + row] ==
                               tall.data()[(n * 33333 + row) * few + column];
    CHECK(right);
    CHECK(same(transpose(wide), tall));
  }
}

TEST_CASE("matmul, also batched") {
  const Tensor a = tensor({{1, 2}, {3, 4}}), b = tensor({{5, 6}, {7, 8}});
  const Tensor ab = tensor({{19, 22}, {43, 50}}), ba = tensor({{23, 34}, {31, 46}});
  CHECK(same(matmul(a, b), ab));
  CHECK(same(matmul(stack({a, b}), b), stack({ab, matmul(b, b)})));
  CHECK(same(matmul(a, stack({b, a})), stack({ab, matmul(a, a)})));
  CHECK(same(matmul(stack({a, b}), stack({b, a})), stack({ab, ba})));
  CHECK(same(matmul(reshape(stack({a, b}), {2, 1, 2, 2}), stack({b, a})),
             reshape(stack({ab, matmul(a, a), matmul(b, b), ba}), {2, 2, 2, 2})));
  CHECK(matmul(Tensor(Shape{0, 3}), ones({3, 2})).shape() == Shape{0, 2});
  CHECK(same(matmul(Tensor(Shape{2, 0}), Tensor(Shape{0, 3})), zeros({2, 3})));
  CHECK(same(gradient(b, ones({2, 2, 2}),
                      [&](const Tensor& v) {
                        return matmul(stack({a, a}), v);
                      }),
             tensor({{8, 8}, {12, 12}})));
  CHECK(same(gradient(a, ones({2, 2, 2}),
                      [&](const Tensor& v) {
                        return matmul(v, stack({b, b}));
                      }),
             tensor({{22, 30}, {22, 30}})));
  CHECK_THROWS_AS(matmul(ones({2, 3}), ones({2, 3})), ShapeError);
  CHECK_THROWS_AS(matmul(ones({3}), ones({3, 1})), ShapeError);
  CHECK_THROWS_AS(matmul(ones({2, 2, 2}), ones({3, 2, 2})), ShapeError);
}

TEST_CASE("linear, and gradients that accumulate in the parameters") {
  const Parameter w(tensor({{1, 2}, {3, 4}, {5, 6}})), b(tensor({10, 20, 30}));
  const Tensor x = tensor({{1, 1}, {2, 0}});
  CHECK(same(linear(x, w, b), tensor({{13, 27, 41}, {12, 26, 40}})));
  CHECK(same(linear(x, w), tensor({{3, 7, 11}, {2, 6, 10}})));
  CHECK(same(linear(tensor({1, 1}), w, b), tensor({13, 27, 41})));
  CHECK(linear(ones({4, 5, 2}), w, b).shape() == Shape{4, 5, 3});
  CHECK(linear(Tensor(Shape{0, 2}), w, b).shape() == Shape{0, 3});
  for (real times : {real(1), real(2)}) {
    Tape tape;
    tape.backward(linear(x, w, b), tensor({{1, 0, 2}, {0, 1, 0}}));
    CHECK(same(w.grad(), tensor({{1, 1}, {2, 0}, {2, 2}}) * times));
    CHECK(same(b.grad(), tensor({1, 1, 2}) * times));
  }
  CHECK(same(gradient(x, tensor({{1, 0, 2}, {0, 1, 0}}), [&](const Tensor& v) { return linear(v, w, b); }),
             tensor({{11, 14}, {3, 4}})));
  CHECK(message_of<ShapeError>([&] {
          linear(ones({32, 783}), ones({10, 784}));
        }) == "linear: x is (32, 783); its last dimension must be 784");
  CHECK(message_of<ShapeError>([&] {
          linear(ones({2, 1, 28, 28}), ones({10, 784}));
        }) == "linear: x is (2, 1, 28, 28); its last dimension must be 784, as that of flatten(x) is");
  CHECK(message_of<ShapeError>([&] { linear(x, w, ones({2})); }) == "linear: bias is (2); it must be (3)");
}

TEST_CASE("dropout scales what it keeps, repeats its mask backward, and rests in evaluation") {
  const Tensor x = ones({100, 100});
  CHECK(dropout(x, 0.3).data() == x.data());
  manual_seed(1);
  Tape tape;
  Tensor watched = x;
  tape.watch(watched);
  const Tensor y = dropout(watched, 0.25);
  int64_t kept = 0;
  for (real v : y.values()) {
    CHECK((v == 0 || v == real(1 / 0.75)));
    kept += v != 0;
  }
  CHECK(std::abs(static_cast<double>(kept) - 7500) < 250);
  CHECK_FALSE(same(dropout(x, 0.25), y));
  CHECK(dropout(x, 0).data() == x.data());
  CHECK(same(dropout(x, 1), zeros({100, 100})));
  CHECK(message_of<ValueError>([&] { dropout(x, 1.5); }) == "dropout: p is 1.5; it must be from 0 to 1");
  tape.backward(y, ones({100, 100}));
  CHECK(same(tape.grad(watched), y));
}

TEST_CASE("cross-entropy") {
  const Tensor logits = log(tensor({{1, 3}, {4, 1}}));  // probabilities 1/4, 3/4 and 4/5, 1/5
  const double right = (-std::log(0.75) - std::log(0.2)) / 2, wrong = (-std::log(0.25) - std::log(0.8)) / 2;
  CHECK(cross_entropy(logits, {1, 1}).item() == doctest::Approx(right));
  CHECK(cross_entropy(logits, {1, 1}, {.label_smoothing = real(0.2)}).item() ==
        doctest::Approx(0.9 * right + 0.1 * wrong));
  CHECK(close(gradient(logits, Tensor(2),
                       [](const Tensor& x) {
                         return cross_entropy(x, {1, 1});
                       }),
              tensor({{0.25, -0.25}, {real(0.8), real(-0.8)}})));
  CHECK(close(gradient(logits, Tensor(2),
                       [](const Tensor& x) {
                         return cross_entropy(x, {1, 1}, {.label_smoothing = real(0.2)});
                       }),
              tensor({{real(0.15), real(-0.15)}, {real(0.7), real(-0.7)}})));
  CHECK(cross_entropy(tensor({{10000, 0}}), {1}).item() == 10000);
  CHECK(cross_entropy(tensor({{0, -std::numeric_limits<real>::infinity()}}), {0}).item() == 0);
  CHECK(std::isnan(cross_entropy(tensor({{0, 1}, {not_a_number, 1}}), {0, 1}).item()));
  CHECK(std::isnan(cross_entropy(tensor({{0, 1}, {0, not_a_number}}), {0, 0}).item()));

  CHECK(message_of<ValueError>([] {
          cross_entropy(ones({5, 10}), {0, 1, 2, 12, 4});
        }) == "cross_entropy: label 12 of sample 3 is not in 0 ... 9, nor -100, which is ignored");
  CHECK_THROWS_AS(cross_entropy(ones({1, 10}), {-1}), ValueError);
  CHECK_THROWS_AS(cross_entropy(ones({2, 10}), {1}), ShapeError);
  CHECK_THROWS_AS(cross_entropy(Tensor(Shape{0, 10}), Labels(0)), ShapeError);
  CHECK_THROWS_AS(cross_entropy(ones({1, 10}), {1}, {.label_smoothing = 2}), ValueError);
  CHECK(accuracy(tensor({{1, 2}, {2, 1}, {3, 1}, {0, 1}}), {1, 0, 1, 1}) == 0.75);
}

// The figures are PyTorch's.
TEST_CASE("cross-entropy with class weights is a weighted mean") {
  const Tensor logits = tensor({{1, -2, 0.5}, {0, 3, -1}, {2, 2, -4}, {real(0.3), real(-0.1), real(0.2)}});
  const Labels labels = {0, 2, 1, 2};
  const Tensor weights = tensor({real(0.5), 2, real(1.25)});
  const auto check_loss = [&](real smoothing, real expected, const Tensor& gradient) {
    Parameter x(logits);
    Tape tape;
    const Tensor loss = cross_entropy(x, labels, {.label_smoothing = smoothing, .weights = weights});
    CHECK(close(loss, expected));
    tape.backward(loss);
    CHECK(close(x.grad(), gradient));
  };
  check_loss(0, real(1.6061626527),
             tensor({{real(-0.0396251), real(0.0030059), real(0.0366192)},
                     {real(0.0116532), real(0.2340599), real(-0.245713)},
                     {real(0.1997524), real(-0.2002476), real(0.0004951)},
                     {real(0.0970814), real(0.0650756), real(-0.1621571)}}));
  check_loss(real(0.3), real(1.7211221522),
             tensor({{real(0.0075436), real(-0.0356415), real(0.0280979)},
                     {real(0.0016532), real(0.1940599), real(-0.195713)},
                     {real(0.1672803), real(-0.1427197), real(-0.0245606)},
                     {real(0.0870814), real(0.0250756), real(-0.1121571)}}));
  CHECK(close(cross_entropy(logits, labels, {.label_smoothing = real(0.3), .weights = ones({3})}),
              cross_entropy(logits, labels, {.label_smoothing = real(0.3)})));
  CHECK_THROWS_AS(cross_entropy(logits, labels, {.weights = ones({2})}), ShapeError);
  CHECK_THROWS_AS(cross_entropy(logits, labels, {.weights = tensor({0, 1, 0}) * real(-1)}), ValueError);
  CHECK_THROWS_AS(cross_entropy(logits, Labels{0, 0, 0, 0}, {.weights = tensor({0, 1, 1})}), ValueError);
}

// The figures are PyTorch's.
TEST_CASE("cross-entropy of positions, without those of an ignored label, and of probabilities") {
  const Tensor logits = tensor({1, -2, 0, 3, real(0.5), 1, real(-1), 2, real(0.3), 4, 1, 0});
  const Tensor maps = reshape(logits, {2, 3, 2});
  const Labels labels{2, -100, 0, 1};
  CHECK(close(cross_entropy(maps, labels), real(1.270986298)));
  CHECK(
      close(cross_entropy(maps, labels, {.label_smoothing = real(0.1), .weights = tensor({1, 2, real(0.5)})}),
            real(1.001150092)));
  CHECK(close(cross_entropy(maps, labels, {.reduction = Reduction::none}),
              tensor({{real(1.180269671), 0}, {real(2.489757595), real(0.142931628)}})));
  const Tensor p = reshape(
      tensor({1, 0, 0, real(0.3), 0, real(0.7), real(0.2), 0, real(0.2), real(0.5), real(0.6), real(0.5)}),
      {2, 3, 2});
  CHECK(close(soft_cross_entropy(maps, p), real(1.346451032)));
  CHECK(close(
      soft_cross_entropy(
          maps, p,
          {.label_smoothing = real(0.1), .weights = tensor({1, 2, real(0.5)}), .reduction = Reduction::sum}),
      real(4.115670928)));
  CHECK_THROWS_AS(cross_entropy(maps, Labels{-100, -100, -100, -100}), ValueError);
}

TEST_CASE("losses of elements") {
  const Tensor x = tensor({1, 5, 2}), target = tensor({2, 2, 2});
  CHECK(mse_loss(x, target).item() == doctest::Approx(10.0 / 3));
  CHECK(l1_loss(x, target).item() == doctest::Approx(4.0 / 3));
  CHECK(huber_loss(x, target).item() == doctest::Approx(1.0));
  CHECK(
      same(gradient(x, Tensor(3), [&](const Tensor& v) { return mse_loss(v, target); }), tensor({-2, 6, 0})));
  CHECK(
      same(gradient(x, Tensor(3), [&](const Tensor& v) { return l1_loss(v, target); }), tensor({-1, 1, 0})));
  CHECK(same(gradient(x, Tensor(3), [&](const Tensor& v) { return huber_loss(v, target); }),
             tensor({-1, 1, 0})));
  CHECK(
      same(gradient(target, Tensor(3), [&](const Tensor& t) { return mse_loss(x, t); }), tensor({2, -6, 0})));
  CHECK(binary_cross_entropy_with_logits(tensor({0, -1000, 1000}), tensor({1, 0, 1})).item() ==
        doctest::Approx(std::log(2.0) / 3));
  CHECK(binary_cross_entropy_with_logits(tensor({1000, 0}), tensor({0, 0.5})).item() ==
        doctest::Approx((1000 + std::log(2.0)) / 2));
  CHECK(message_of<ShapeError>([&] {
          mse_loss(x, ones({3, 1}));
        }) == "mse_loss: x is (3) and the target (3, 1); the shapes must agree");
  CHECK_THROWS_AS(l1_loss(Tensor(Shape{0}), Tensor(Shape{0})), ShapeError);
}

TEST_CASE("an operation overwrites only what nobody else holds") {
  const auto each = [](auto&& call) {
    call([](Tensor x) { return relu(std::move(x)); });
    call([](Tensor x) { return leaky_relu(std::move(x)); });
    call([](Tensor x) { return exp(std::move(x)); });
    call([](Tensor x) { return -std::move(x); });
    call([](Tensor x) { return std::move(x) + 1; });
    call([](Tensor x) { return 1 - std::move(x); });
    call([](Tensor x) { return where(zeros({2}), std::move(x), 0); });
    call([](Tensor x) { return softmax(std::move(x)); });
    call([](Tensor x) { return log_softmax(std::move(x)); });
  };
  each([](auto op) {  // a tensor that the caller still holds
    const Tensor x = tensor({-1, 2});
    op(x);
    op(reshape(x, {2}));
    op(x.detach());
    CHECK(same(x, tensor({-1, 2})));
  });
  each([](auto op) {  // a parameter, and what is left of one under another shape
    const Parameter p(tensor({-1, 2}));
    op(p);
    Tape tape;
    op(p);
    CHECK(same(p, tensor({-1, 2})));
  });
  each([](auto op) {  // a temporary is reused
    Tensor x = tensor({-1, 2});
    const real* memory = x.data();
    CHECK(op(std::move(x)).data() == memory);
  });
}

TEST_CASE("what backward needs is not overwritten") {
  Tape tape;
  Tensor x = tensor({1, 2});
  tape.watch(x);
  Tensor y = exp(x);
  const real* memory = y.data();
  Tensor z = relu(std::move(y));  // exp has saved y
  CHECK(z.data() != memory);
  const Tensor loss = sum(std::move(z) * 3);
  tape.backward(loss, Keep{});
  const Tensor once = tape.grad(x).clone();
  CHECK(close(once, exp(x.detach()) * 3));
  tape.backward(loss);
  CHECK(same(tape.grad(x), once));
}

TEST_CASE("cross-entropy leaves logits that somebody holds alone") {
  const Tensor logits = tensor({{1, 2}});
  cross_entropy(logits, {0});
  CHECK(same(logits, tensor({{1, 2}})));
}
