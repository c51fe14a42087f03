#include <algorithm>
#include <cmath>

#include <ballast/layers/batch_norm.h>
#include <ballast/layers/conv2d.h>
#include <ballast/layers/group_norm.h>
#include <ballast/optim/sgd.h>

#include "experiments/training.h"

namespace ballast::app::experiments {
namespace {

const GridAxis norms{"norm", {"batch", "group"}}, sizes{"N", {"16", "4", "1"}};
constexpr int64_t channels = 16, train_images = 4'000, test_images = 500;

Sequential network(const std::string& norm) {
  Sequential net;
  for (const int64_t in : {int64_t{1}, channels, channels}) {
    net.add(Conv2d(in, channels, 3, {.padding = 1}));
    if (norm == "batch")
      net.add(BatchNorm2d(channels));
    else
      net.add(GroupNorm(4, channels));
    net.add(ReLU());
  }
  net.add(Conv2d(channels, 2, 1));
  return net;
}

/// Digits under different light, and with noise; the pixels that belong to the digit are of class 1.
Dataset lit(const Dataset& data, int64_t most) {
  const int64_t count = std::min(most, data.size);
  Loader loader(subset(data, 0, count), {.batch_size = count, .shuffle = false});
  const Tensor x = loader.begin()->x.clone();
  Labels y(x.count());
  for (int64_t i = 0; i < x.count(); ++i) y[i] = x.data()[i] > real(0.5) ? 1 : 0;
  return augmented(from_tensors(x, y, {28, 28}), [](RandomStream& random, const Shape& shape, real* image) {
    const double contrast = random.uniform(0.3, 1.5), brightness = random.uniform(-1, 1);
    for (int64_t i = 0; i < shape.count(); ++i)
      image[i] =
          static_cast<real>(contrast * static_cast<double>(image[i]) + brightness + random.normal(0, 0.1));
  });
}

/// Percent: pixels of digits that are found, by all that belong to one or are taken for it. `alone`: each
/// image is normalized by its own statistics.
double overlap(const Sequential& net, const Dataset& data, bool alone) {
  Sequential copy = net;
  Loader loader(data, {.batch_size = alone ? 1 : 50, .shuffle = false});
  int64_t both = 0, either = 0;
  for (const Batch& batch : loader) {
    Tensor logits;
    if (alone) {
      const StatisticsScope scope;
      logits = copy(batch.x);
    } else {
      logits = copy(batch.x);
    }
    constexpr int64_t pixels = 784;
    for (int64_t i = 0; i < batch.size() * pixels; ++i) {
      const real* image = logits.data() + i / pixels * 2 * pixels;
      const bool found = image[pixels + i % pixels] > image[i % pixels], there = batch.y[i] == 1;
      both += found && there, either += found || there;
    }
  }
  return 100 * static_cast<double>(both) / static_cast<double>(std::max<int64_t>(either, 1));
}

Figures run(const Trial& trial) {
  const std::string& norm = trial.setting["norm"];
  const auto size = static_cast<int64_t>(trial.setting.number("N"));
  Sequential net = network(norm);
  SGD optimizer(net, {.lr = 0.02 * static_cast<double>(size) / 16, .momentum = 0.9});
  const Split& data = trial.images.pixels;
  const Dataset some = lit(data.train, train_images), test = lit(data.test, test_images);
  train(net, optimizer,
        {.data = some, .steps = trial.steps(some.size / size), .batch_size = size, .seed = trial.seed});
  Figures figures{{{"overlap", overlap(net, test, false)}}, {}};
  if (norm == "batch") figures.values["alone"] = overlap(net, test, true);
  return figures;
}

Findings judge(const Results& results) {
  Findings findings;
  Table table = table_of(results, {.title = "Intersection over union of digits' pixels on test images, %",
                                   .rows = norms,
                                   .columns = sizes,
                                   .value = "overlap",
                                   .decimals = 1});
  Table alone = table_of(
      results, {.title = "", .rows = {"norm", {"batch"}}, .columns = sizes, .value = "alone", .decimals = 1});
  alone.rows[0][0] = "batch, each test image by its own statistics";
  table.rows.push_back(alone.rows[0]);
  findings.tables.push_back(std::move(table));
  const auto of = [&](const char* norm, const char* size, const char* figure = "overlap") {
    return results.mean({{"norm", norm}, {"N", size}}, figure);
  };
  OverSeeds group;
  for (const std::string& size : sizes.values) group.all.push_back(of("group", size.c_str()));
  const double many = of("batch", "16"), one = of("batch", "1"), own = of("batch", "1", "alone");
  findings.checks = {
      {"batch norm: images one by one cost at least 5 points against batches of 16",
       fmt::format("{:.1f} and {:.1f} %", one, many), many - one >= 5},
      {"group norm's result differs by at most 2 points between batch sizes",
       fmt::format("{:.1f} points", group.largest() - group.least()), group.largest() - group.least() <= 2},
      {"trained one by one, normalizing each test image by its own statistics recovers at least half of the "
       "loss",
       fmt::format("{:.1f} %, of {:.1f} % by running statistics", own, one),
       own - one >= 0.5 * (many - one)}};
  Plot plot{"Intersection over union by batch size", {"images in a batch", true}, {"%", false, 0, 100}, {}};
  for (const std::string& norm : norms.values)
    plot.series.push_back(along(results, {{"norm", norm}}, sizes, "overlap", norm));
  plot.series.push_back(along(results, {{"norm", "batch"}}, sizes, "alone", "batch, own statistics"));
  findings.plots.push_back(std::move(plot));
  return findings;
}

}  // namespace

extern const Experiment segmentation;
const Experiment segmentation{
    .name = "segmentation",
    .claim =
        "Small batches harm batch normalization in segmentation too, though each image has hundreds of "
        "pixels",
    .source =
        "Wu & He 2018 (arXiv:1803.08494), section 4.2, on detection and segmentation; no figures for this "
        "set-up",
    .setup =
        "Three convolutions of 3 x 3 with 16 channels, norm and ReLU, and one of 1 x 1, tell for each pixel "
        "whether it belongs to the digit (was above 0.5). Every reading of an image x gives a x + b and "
        "noise "
        "of deviation 0.1, a in 0.3 to 1.5 and b in -1 to 1. 4,000 training images once, SGD with momentum "
        "0.9, learning rate 0.02 N / 16; 500 test images. Group norm has four groups.",
    .reference = "nobody has published figures; expected before the first run were the lines below",
    .settings = grid({norms, sizes}),
    .run = run,
    .judge = judge};

}  // namespace ballast::app::experiments
