// What --tensorboard writes of a run, read back by protobuf and held against the run's own figures.
#include "trainer/tensorboard.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include <ballast/layers/linear.h>

#include "../temp_folder.h"
#include "events.pb.h"
#include "trainer/training.h"

using namespace ballast;
using namespace ballast::app;

namespace {

/// Values by tag and step.
using Events = std::map<std::string, std::map<int64_t, events::Value>>;

Events read_events(const std::string& path) {
  const std::string bytes = read_all(path);
  Events found;
  for (const std::string_view record : unframed(bytes, path)) {
    events::Event event;
    REQUIRE(event.ParseFromArray(record.data(), static_cast<int>(record.size())));
    for (const events::Value& value : event.summary().value()) found[value.tag()][event.step()] = value;
  }
  return found;
}

}  // namespace

TEST_CASE(
    "TensorBoard: losses of the steps have the epoch's loss as their mean, histograms have all values") {
  const TempFolder folder;
  TrainOptions options;
  options.data.train_size = 120;
  options.data.test_size = 20;
  options.model.model = "flatten, linear 8, norm, act, linear";
  options.training.batch_size = 20;
  options.training.accumulate = 2;  // 3 steps per epoch, each of 40 samples
  options.training.epochs = 2;
  options.given = {"model"};
  validate(options);
  Run run(options);
  const std::string path = folder / "events.out.tfevents.test";
  TensorBoard board(run, path);
  run_training(run, {.step = [&](const Trainer&) { board.step(run); },
                     .epoch = [&](Trainer&, const EpochMetrics& m) { board.epoch(run, m); }});
  Events events = read_events(path);
  for (const EpochMetrics& m : run.at.history) {
    double sum = 0;
    for (int64_t step = m.step - 2; step <= m.step; ++step) {
      REQUIRE(events["step/loss"].contains(step));
      sum += double{events["step/loss"][step].simple_value()};
    }
    CHECK(sum / 3 == doctest::Approx(m.train_loss).epsilon(1e-5));
    CHECK(events["loss/train"][m.step].simple_value() == doctest::Approx(m.train_loss));
    CHECK(events["accuracy/val"][m.step].simple_value() == doctest::Approx(m.val_accuracy));
  }
  const Tensor& weight = static_cast<Linear&>(run.model[1]).weight.value();
  const events::HistogramProto& histogram = events["parameters/1.weight"][6].histo();
  double counted = 0;
  for (const double count : histogram.bucket()) counted += count;
  CHECK(counted == 8 * 784);
  CHECK(histogram.num() == 8 * 784);
  CHECK(histogram.min() == double{*std::min_element(weight.values().begin(), weight.values().end())});
  CHECK(histogram.bucket_limit(39) == doctest::Approx(histogram.max()));
}
