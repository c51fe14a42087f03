#include <algorithm>
#include <cmath>

#include <ballast/optim/adam.h>

#include "experiments/training.h"

namespace ballast::app::experiments {
namespace {

const GridAxis norms{"norm", {"none", "batch", "layer", "group", "instance"}};

/// A change of all pixels of an image, x becomes contrast x + brightness, that training never saw.
struct Style {
  const char* name;
  double contrast, brightness;
};
const std::vector<Style> styles = {
    {"as trained", 1, 0},       {"contrast 0.25", 0.25, 0}, {"contrast 0.5", 0.5, 0},
    {"contrast 2", 2, 0},       {"contrast 4", 4, 0},       {"brightness -0.5", 1, -0.5},
    {"brightness 0.5", 1, 0.5}, {"brightness 1", 1, 1},     {"contrast 0.5, brightness 0.5", 0.5, 0.5}};

Figures run(const Trial& trial) {
  Sequential net = net_of("conv 16 3, norm, act, maxpool 2, conv 32 3, norm, act, maxpool 2, flatten, linear",
                          {.norm = trial.setting["norm"]});
  Adam optimizer(net, {.lr = 1e-3});
  const Split& data = trial.images.pixels;
  const Dataset some = subset(data.train, 0, std::min<int64_t>(10'000, data.train.size)),
                test = subset(data.test, 0, std::min<int64_t>(2'000, data.test.size));
  train(net, optimizer,
        {.data = some, .steps = trial.steps(2 * (some.size / 64)), .batch_size = 64, .seed = trial.seed});
  Figures figures;
  for (const Style& style : styles) {
    const auto contrast = static_cast<real>(style.contrast), brightness = static_cast<real>(style.brightness);
    figures.values[style.name] =
        test_accuracy(net, augmented(test, [=](RandomStream&, const Shape& shape, real* x) {
                        for (int64_t i = 0; i < shape.count(); ++i) x[i] = contrast * x[i] + brightness;
                      }));
  }
  return figures;
}

Findings judge(const Results& results) {
  Findings findings;
  Table table{"Test accuracy, %", {""}, {}};
  table.columns.insert(table.columns.end(), norms.values.begin(), norms.values.end());
  for (const Style& style : styles) {
    table.rows.push_back({style.name});
    for (const std::string& norm : norms.values)
      table.rows.back().push_back(results.of({{"norm", norm}}, style.name).text(1));
  }
  findings.tables.push_back(std::move(table));
  const auto accuracy = [&](const std::string& norm, const char* style) {
    return results.mean({{"norm", norm}}, style);
  };
  /// The points that the worst of some styles costs.
  const auto worst = [&](const std::string& norm, auto counts) {
    double most = 0;
    for (const Style& style : styles)
      if (counts(style)) most = std::max(most, accuracy(norm, "as trained") - accuracy(norm, style.name));
    return most;
  };
  const auto any = [](const Style&) { return true; };
  const auto contrast_alone = [](const Style& style) { return style.brightness == 0; };
  const double instance = worst("instance", any), batch = worst("batch", any), none = worst("none", any),
               layer_contrast = worst("layer", contrast_alone), layer = worst("layer", any),
               same = accuracy("instance", "as trained") - accuracy("batch", "as trained");
  const auto points = [](double lost) { return fmt::format("{:.1f} points", lost); };
  findings.checks = {
      {"with instance norm no change costs more than 0.5 points", points(instance), instance <= 0.5},
      {"with batch norm, and without norm, one costs at least 10",
       fmt::format("{:.1f} and {:.1f} points", batch, none), batch >= 10 && none >= 10},
      {"with layer norm contrast alone costs at most 2 points", points(layer_contrast), layer_contrast <= 2},
      {"but brightness, or both, at least 10", points(layer), layer >= 10},
      {"on images as trained instance norm is at most 1 point behind batch norm",
       fmt::format("{:+.2f} points", same), same >= -1}};
  const std::vector<double> contrasts = {0.25, 0.5, 1, 2, 4};
  Plot plot{"Test accuracy by contrast", {"contrast", true}, {"test accuracy, %", false, 0, 100}, {}};
  for (const std::string& norm : norms.values) {
    Series series{norm, contrasts, {}, {}, {}, true};
    for (const char* style : {"contrast 0.25", "contrast 0.5", "as trained", "contrast 2", "contrast 4"})
      series.y.push_back(accuracy(norm, style));
    plot.series.push_back(std::move(series));
  }
  findings.plots.push_back(std::move(plot));
  return findings;
}

}  // namespace

extern const Experiment style;
const Experiment style{
    .name = "style",
    .claim =
        "Instance normalization removes contrast and brightness, and so generalizes to ones never seen; "
        "batch "
        "normalization does not",
    .source = "Ulyanov et al. 2016 (arXiv:1607.08022), section 1, on contrast; no figures for classification",
    .setup =
        "Two convolutions of 3 x 3 without padding (16 and 32 channels), each with norm, ReLU and pooling, "
        "and a linear layer; 10,000 training images, two epochs of Adam at 0.001 in batches of 64, pixels of "
        "0 to 1. A style changes every pixel x of 2,000 test images to contrast x + brightness. Without "
        "padding an instance norm behind the first convolution removes both exactly, but for eps.",
    .reference = "nobody has published figures; expected before the first run were the lines below",
    .settings = grid({norms}),
    .run = run,
    .judge = judge};

}  // namespace ballast::app::experiments
