// Which name was meant by one that was mistyped.
#include <doctest/doctest.h>

#include <ballast/data/detail/nearest.h>

using namespace ballast::detail;

TEST_CASE("nearest: one mistake is forgiven, another word is not") {
  const std::vector<std::string> known = {"mlp", "lenet", "cnn", "one-cycle", "--batch-size"};
  CHECK(nearest("mpl", known) == "mlp");
  CHECK(nearest("lenett", known) == "lenet");
  CHECK(nearest("onecycle", known) == "one-cycle");
  CHECK(nearest("--batchsize", known) == "--batch-size");
  CHECK(nearest("MLP", known) == "mlp");
  CHECK(nearest("transformer", known).empty());
  CHECK(nearest("x", known).empty());
  CHECK(suggestion("lenett", known) == "; did you mean lenet?");
  CHECK(suggestion("x", known).empty());
}
