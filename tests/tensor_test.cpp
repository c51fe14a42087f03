// How tensors are made, and what no tensor is.
#include <doctest/doctest.h>

#include <ballast/ballast.h>

using namespace ballast;

TEST_CASE("braces hold sizes, whatever the integer type") {
  const int64_t n = 5;
  const int k = 5;
  CHECK(Tensor({n}).shape() == Shape{5});
  CHECK(Tensor({k}).shape() == Shape{5});
  CHECK(Tensor({n, 2}).shape() == Shape{5, 2});
  CHECK(Tensor(Shape{n}).shape() == Shape{5});
  CHECK(Tensor(real(5)).item() == 5);
  CHECK((ones({2}) * 2)(1) == 2);
}

TEST_CASE("no tensor and no parameter have no elements") {
  CHECK(Tensor().count() == 0);
  CHECK(Parameter().count() == 0);
  Tensor x = ones({3});
  const Tensor y = std::move(x);
  CHECK(x.count() == 0);
  CHECK(y.count() == 3);
  CHECK(Tensor(real(1)).count() == 1);
}
