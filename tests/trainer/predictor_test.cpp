// What a trained network says, beside the same steps one by one.
#include "trainer/predictor.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <ballast/core/ops.h>
#include <ballast/core/predict.h>
#include <ballast/data/checkpoint.h>
#include <ballast/layers/functional.h>
#include <ballast/layers/linear.h>

#include "../count_allocations.h"
#include "../same_bits.h"
#include "../temp_folder.h"
#include "../thrown.h"
#include "trainer/models.h"
#include "trainer/run.h"
#include "trainer/training.h"

using namespace ballast;
using namespace ballast::app;

namespace {

/// A checkpoint of a few steps, in whose batch norms statistics aren't what they began with.
std::string trained(const TempFolder& folder, const std::string& model, const std::string& data = "digits") {
  TrainOptions options;
  options.data.data = data;
  if (data != "digits") options.data.task = "regression";
  options.data.train_size = 200;
  options.data.test_size = 20;
  options.model.model = model;
  options.training.epochs = 1;
  options.training.lr = 1e-2;
  options.training.weight_decay = 0;
  options.given = {"model"};
  Run run(options);
  run_training(run, {});
  const std::string path = folder / "model.safetensors";
  save(path, run.model, to_metadata(run.info(), path));
  return path;
}

}  // namespace

TEST_CASE("predictor: standardized samples through the network, then softmax") {
  const TempFolder folder;
  const std::string path = trained(folder, "conv 4 3 pad=1, norm, act, maxpool 4, flatten, linear");
  const Predictor predict(path);
  CHECK(predict.names() == std::vector<std::string>{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
  manual_seed(1);
  const Tensor x = rand({5, 1, 28, 28});

  const CheckpointInfo& info = predict.info();
  Sequential model = make_model(info.model, info.sample_shape, info.outputs);
  load(path, model);
  const Tensor standardized =
      (x - static_cast<real>(info.standardization.mean[0])) / static_cast<real>(info.standardization.std[0]);
  const Tensor expected = softmax(ballast::predict(model, standardized));
  CHECK(max(abs(predict(x) - expected)).item() < real(1e-5));
  const std::string error = thrown<ShapeError>([&] { predict(rand({5, 28, 28})); });
  CHECK(error ==
        "Predictor: x is (5, 28, 28); it must be (N, 1, 28, 28), samples as the model was trained on");
}

TEST_CASE("predictor: values of a regression are in the units of the table, for inputs in its units") {
  const TempFolder folder;
  std::string table = "a,b,y\n";
  for (int i = 0; i < 60; ++i) table += fmt::format("{},{},{}\n", i, i % 7, 1000 + 50 * i);
  write_bytes(folder / "table.csv", table);
  const Predictor predict(trained(folder, "linear", folder / "table.csv"));
  CHECK(predict.names() == std::vector<std::string>{"y"});
  const Tensor x = tensor({{10, 3}, {50, 1}});
  const Tensor y = predict(x), output = predict.output(x);
  for (int64_t n = 0; n < 2; ++n) {
    const double expected = output.data()[n] * predict.info().target_standardization.std[0] +
                            predict.info().target_standardization.mean[0];
    CHECK(y.data()[n] == doctest::Approx(expected));
    CHECK(predict.in_units(output.data()[n], 0) == doctest::Approx(expected));
  }
}

TEST_CASE("predictor: no allocation in the steady state, and the same bits in four threads") {
  const TempFolder folder;
  const Predictor predict(
      trained(folder, "conv 4 3 pad=1, norm, act, maxpool 4, flatten, linear 16, norm, act, linear"));
  manual_seed(2);
  const Tensor x = rand({3, 1, 28, 28});
  const Tensor expected = predict(x);
  for (int i = 0; i < 5; ++i) predict(x);
  const int64_t before = allocations;
  for (int i = 0; i < 1000; ++i) predict(x);
  CHECK(allocations - before == 0);

  std::atomic<int> different = 0;
  std::vector<std::thread> threads(4);
  for (std::thread& thread : threads)
    thread = std::thread([&] {
      for (int i = 0; i < 50; ++i) different += !same_bits(predict(x), expected);
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(different == 0);
}

TEST_CASE("predictor: a checkpoint that doesn't say what it is") {
  const TempFolder folder;
  Sequential model(Linear(2, 2));
  save(folder / "plain.safetensors", model);
  const std::string error = thrown<Error>([&] { Predictor(folder / "plain.safetensors"); });
  CHECK(error.find("plain.safetensors") != std::string::npos);
}
