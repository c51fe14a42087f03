// What is said of a finished run that could do better, and when nothing is.
#include "trainer/hints.h"

#include <doctest/doctest.h>

#include <cmath>

using namespace ballast;
using namespace ballast::app;

namespace {

/// An epoch for each of these figures of the validation part.
std::vector<EpochMetrics> history(const std::vector<std::pair<double, double>>& losses_and_accuracies) {
  std::vector<EpochMetrics> epochs;
  for (const auto& [loss, accuracy] : losses_and_accuracies)
    epochs.push_back({.epoch = std::ssize(epochs) + 1, .val_loss = loss, .val_accuracy = accuracy});
  return epochs;
}

/// Of two classes with 6 and 4 samples, of which so many are met.
TestReport met(int64_t first, int64_t second) {
  TestReport test{.total = {.correct = first + second, .size = 10}};
  test.classes.classes = 2;
  test.classes.confusion = {first, 6 - first, 4 - second, second};
  return test;
}

struct Case {
  TrainOptions options;

  Case() {
    options.data.train_size = 200;
    options.data.test_size = 20;
    options.model = {.model = "mlp", .norm = "none", .hidden = {8}};
    options.training.batch_size = 20;
    options.training.epochs = 3;
    options.training.lr = 1e-3;
    options.training.weight_decay = 0;
  }

  std::string after(const std::vector<EpochMetrics>& epochs, int64_t steps, const TestReport& test) {
    Run run(options);
    run.at.history = epochs;
    run.at.epoch = std::ssize(epochs);
    run.at.step = steps;
    std::string all;
    for (const std::string& line : hints(run, test, "runs/a b")) all += line + "\n";
    return all;
  }
};

}  // namespace

TEST_CASE("hints: the loss still falls if the last epoch is the best by 2 %") {
  CHECK(still_improving(history({{1, 0.5}, {0.9, 0.6}})));
  CHECK(!still_improving(history({{1, 0.5}, {0.99, 0.6}})));
  CHECK(!still_improving(history({{1, 0.5}, {0.9, 0.4}})));
  CHECK(!still_improving(history({{1, 0.5}, {0.5, 0.6}, {0.7, 0.7}})));
  CHECK(!still_improving(history({{1, 0.5}})));
  CHECK(!still_improving(history({{NAN, NAN}, {NAN, NAN}})));
  CHECK(still_improving(history({{1, NAN}, {0.9, NAN}})));
}

TEST_CASE("hints: guessing is always giving the most frequent class, or the mean") {
  CHECK(no_better_than_guessing(met(6, 0)));
  CHECK(no_better_than_guessing(met(2, 4)));
  CHECK(!no_better_than_guessing(met(5, 2)));
  CHECK(no_better_than_guessing({.kind = TargetKind::values, .total = {.r2 = -0.1}}));
  CHECK(!no_better_than_guessing({.kind = TargetKind::values, .total = {.r2 = 0.1}}));
}

TEST_CASE("hints: what would help, and nothing where nothing is to be said") {
  const std::vector<EpochMetrics> falling = history({{1, 0.5}, {0.8, 0.6}, {0.6, 0.7}}),
                                  settled = history({{1, 0.5}, {0.6, 0.7}, {0.6, 0.7}});
  CHECK(Case().after(falling, 3, met(6, 2)) ==
        "only 3 steps were taken; more epochs will most likely do better: ballast train --config 'runs/a b' "
        "--epochs 30\n");
  CHECK(Case().after(falling, 300, met(6, 2)) ==
        "the last epoch was the best, and the loss still fell; more epochs may do better: ballast train "
        "--config "
        "'runs/a b' --epochs 6\n");
  CHECK(Case().after(settled, 300, met(6, 2)).empty());
  CHECK(Case().after(falling, 99, met(6, 2)).starts_with("only 99 steps were taken"));
  CHECK(Case().after(settled, 60, met(6, 2)).empty());
  CHECK(Case().after(settled, 19, met(6, 2)).starts_with("only 19 steps were taken"));
  CHECK(Case().after(falling, 3, met(6, 4)).empty());
  CHECK(Case().after(settled, 300, met(6, 0)) ==
        "this is no better than always guessing the most frequent class; look for another learning rate than "
        "0.001: "
        "ballast train --config 'runs/a b' --lr-find\n");
  CHECK(Case().after(falling, 3, met(6, 0)).find("lr-find") == std::string::npos);
  Case large;
  large.options.training.batch_size = 90;
  CHECK(large.after(settled, 60, met(6, 2)) ==
        "an epoch has only 3 steps; smaller batches take more and may do better: ballast train --config "
        "'runs/a b' "
        "--batch-size 16\n");
  CHECK(large.after(settled, 19, met(6, 2)).find("batch") == std::string::npos);
  CHECK(large.after(settled, 60, met(6, 4)).empty());
  CHECK(large.after(settled, 300, met(6, 2)).empty());
  Case high;
  high.options.training.lr = 100;
  CHECK(high.after(falling, 3, met(6, 0)).find("than 100: ") != std::string::npos);
  Case constant;
  constant.options.training.schedule = "constant";
  CHECK(constant.after(falling, 300, met(6, 2)).find("ballast train --resume 'runs/a b' --epochs 6") !=
        std::string::npos);
  Case one_batch;
  one_batch.options.training.overfit_one_batch = true;
  CHECK(one_batch.after(falling, 3, met(6, 0)).empty());
}
