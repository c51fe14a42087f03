#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "commands/command.h"
#include "options/choice.h"
#include "output.h"
#include "trainer/figure.h"
#include "trainer/run_page.h"

namespace ballast::app {
namespace {

using Json = nlohmann::ordered_json;

struct PlotOptions {
  std::vector<std::string> folders;
  std::string what = "loss", out;
  int64_t layer = 2;
  Given given;
};

/// NaN where there is no value.
std::vector<double> numbers(const Json& values, double factor = 1) {
  std::vector<double> found;
  for (const Json& value : values) found.push_back(value.is_number() ? value.get<double>() * factor : NAN);
  return found;
}

/// Training and validation of each group.
Plot curves(const Json& groups, const std::string& what) {
  const bool loss = what == "loss";
  Plot plot{"", {"epoch"}, {loss ? "loss" : "accuracy, %", loss}};
  for (const Json& group : groups)
    for (const char* part : {"val", "train"}) {
      const Json& curve = group["curves"][fmt::format("{}_{}", part, what)];
      const double factor = loss ? 1 : 100;
      const bool training = part == std::string("train");
      plot.series.push_back({.name = fmt::format("{}, {}", group["name"].get<std::string>(),
                                                 training ? "training" : "validation"),
                             .x = numbers(group["curves"]["epoch"]),
                             .y = numbers(curve["y"], factor),
                             .low = numbers(curve.value("low", Json::array()), factor),
                             .high = numbers(curve.value("high", Json::array()), factor),
                             .dashed = training});
    }
  return plot;
}

Plot learning_rates(const Json& groups) {
  Plot plot{"", {"step"}, {"learning rate"}};
  for (const Json& group : groups)
    plot.series.push_back(
        {group["name"], numbers(group["learning_rate"]["step"]), numbers(group["learning_rate"]["lr"])});
  return plot;
}

/// What --probe has seen of the chosen layer of weights, of each group's first run.
Plot layers(const Json& groups, const PlotOptions& options) {
  const bool activations = options.what == "activations";
  Plot plot{"",
            {"step"},
            {activations ? fmt::format("input of layer {}: median, 1 to 99 %", options.layer)
                         : fmt::format("gradient norm of layer {}", options.layer),
             !activations}};
  for (const Json& group : groups) {
    Json x = Json::array(), y = Json::array(), low = Json::array(), high = Json::array();
    check<ValueError>(group["layers_over_time"].is_object() && !group["layers_over_time"]["records"].empty(),
                      "--what {}: {} was trained without --probe; train it with --probe 50", options.what,
                      group["runs"][0].get<std::string>());
    for (const Json& record : group["layers_over_time"]["records"]) {
      std::vector<const Json*> weighted;
      for (const Json& layer : record["layers"])
        if (layer.contains("input")) weighted.push_back(&layer);
      check<ValueError>(options.layer <= std::ssize(weighted), "--layer {}: {} has {} layers with weights",
                        options.layer, group["runs"][0].get<std::string>(), weighted.size());
      const Json& layer = *weighted[static_cast<size_t>(options.layer - 1)];
      x.push_back(record["step"]);
      if (!activations) {
        y.push_back(layer.value("gradient_norm", Json()));
        continue;
      }
      const Json& percentiles = layer["input"]["percentiles"];
      low.push_back(percentiles.empty() ? Json() : percentiles.front());
      y.push_back(percentiles.empty() ? Json() : percentiles[percentiles.size() / 2]);
      high.push_back(percentiles.empty() ? Json() : percentiles.back());
    }
    plot.series.push_back({group["name"], numbers(x), numbers(y), numbers(low), numbers(high)});
  }
  return plot;
}

int run(const PlotOptions& options) {
  check_figure_path("out", options.out);
  const bool of_layer = options.what == "activations" || options.what == "gradients";
  check<ValueError>(of_layer || !options.given.contains("layer"), "--layer has no effect with --what {}",
                    options.what);
  const Json groups = Json::parse(run_figures(read_runs(options.folders)))["groups"];
  check<ValueError>(options.what != "accuracy" || groups[0]["task"] == "classes",
                    "--what accuracy: the targets are numbers; draw the loss");
  draw(of_layer               ? layers(groups, options)
       : options.what == "lr" ? learning_rates(groups)
                              : curves(groups, options.what),
       options.out);
  say("written: {}\n", options.out);
  return 0;
}

OptionList list(PlotOptions& o) {
  return {
      {.name = "RUNS",
       .value = &o.folders,
       .help = "folders of runs, or one that has runs in it, as of compare",
       .positional = true,
       .required = true},
      {.name = "what",
       .value = &o.what,
       .help = "loss, accuracy, lr (learning rate), or of what --probe has seen of a layer activations (its "
               "input) or gradients",
       .choices = {"loss", "accuracy", "lr", "activations", "gradients"}},
      {.name = "layer",
       .value = &o.layer,
       .help = "number of the layer, of those with weights, from 1",
       .least = 1,
       .most = 1e6},
      {.name = "out",
       .value = &o.out,
       .help = "file to write, .svg or .png",
       .placeholder = "FILE",
       .required = true}};
}

}  // namespace

extern const Command plot;
const Command plot{
    "plot", "draw a figure of runs as a file, for a paper",
    "Draws curves of runs into an SVG or PNG file, by gnuplot. Runs that differ in the seed alone are one\n"
    "line, their mean, with a band from the least to the largest; training is dashed.",
    "Examples:\n"
    "  ballast plot runs/a runs/b --what accuracy -o accuracy.svg\n"
    "  ballast plot runs/a runs/b --what gradients --layer 3 -o gradients.png",
    invocation(list, run)};

}  // namespace ballast::app
