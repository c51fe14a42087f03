// Which name was meant by one that was mistyped.
#include <doctest/doctest.h>

#include <ballast/data/detail/nearest.h>

using namespace ballast::detail;

TEST_CASE("nearest: one mistake is forgiven, another word is not") {
  const std::vector<std::string> known = {"mlp", "lenet", "cnn", "one-cycle", "--batch-size"};
  CHECK(nearest("mpl", known) == "mlp");
  CHECK(nearest("MPL", known) == "mlp");
  CHECK(nearest("lenett", known) == "lenet");
  CHECK(nearest("onecycle", known) == "one-cycle");
  CHECK(nearest("--batchsize", known) == "--batch-size");
  CHECK(nearest("MLP", known) == "mlp");
  CHECK(nearest("transformer", known).empty());
  CHECK(nearest("x", known).empty());
  CHECK(nearest("LeNet", known) == "lenet");
  CHECK(nearest("Batch_Size", known) == "--batch-size");
  CHECK(suggestion("lenett", known) == "; did you mean lenet?");
  CHECK(suggestion("x", known).empty());
}

TEST_CASE("nearest: what other frameworks call it") {
  const std::vector<std::string> norms = {"none", "batch", "layer", "group", "instance"},
                                 words = {"conv",    "linear",         "batchnorm", "layernorm",  "norm",
                                          "dropout", "channeldropout", "maxpool",   "leaky_relu", "silu"},
                                 options = {"--help", "--lr", "--shape", "--batch-size", "--clip"};
  CHECK(nearest("batchnorm", norms) == "batch");
  CHECK(nearest("BatchNorm2d", norms) == "batch");
  CHECK(nearest("layernorm", norms) == "layer");
  CHECK(nearest("InstanceNorm1d", norms) == "instance");
  CHECK(nearest("BatchNorm2d", words) == "batchnorm");
  CHECK(nearest("bn", words) == "batchnorm");
  CHECK(nearest("Conv2d", words) == "conv");
  CHECK(nearest("Dense", words) == "linear");
  CHECK(nearest("fc", words) == "linear");
  CHECK(nearest("MaxPool2D", words) == "maxpool");
  CHECK(nearest("MaxPooling2D", words) == "maxpool");
  CHECK(nearest("Dropout2d", words) == "channeldropout");
  CHECK(nearest("Dropout", words) == "dropout");
  CHECK(nearest("LeakyReLU", words) == "leaky_relu");
  CHECK(nearest("swish", words) == "silu");
  CHECK(nearest("padding", {"pad", "stride"}) == "pad");
  CHECK(nearest("dense", norms).empty());
  CHECK(nearest("--learning-rate", options) == "--lr");
  CHECK(nearest("learning_rate", {"lr", "epochs"}) == "lr");
  CHECK(nearest("--batch", options) == "--batch-size");
  CHECK(nearest("--imgsz", options) == "--shape");
}
