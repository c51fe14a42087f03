#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "commands/command.h"
#include "options/choice.h"
#include "output.h"
#include "trainer/run_page.h"

namespace ballast::app {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct PlotOptions {
  std::vector<std::string> folders;
  std::string what = "loss", out;
  int64_t layer = 2;
  Given given;
};

/// A line with, or without, a band from low to high; null where there is no value.
struct Line {
  std::string name;
  Json x, y, low = {}, high = {};
  bool dashed = false;
};

struct Plot {
  std::string x, y;  // labels
  bool log = false;
  std::vector<Line> lines = {};
};

Json scaled(Json values, double factor) {
  for (Json& value : values)
    if (value.is_number()) value = value.get<double>() * factor;
  return values;
}

/// Training and validation of each group.
Plot curves(const Json& groups, const std::string& what) {
  const bool loss = what == "loss";
  Plot plot{"epoch", loss ? "loss" : "accuracy, %", loss};
  for (const Json& group : groups)
    for (const char* part : {"val", "train"}) {
      const Json& curve = group["curves"][fmt::format("{}_{}", part, what)];
      const double factor = loss ? 1 : 100;
      plot.lines.push_back({fmt::format("{}, {}", group["name"].get<std::string>(),
                                        part == std::string("val") ? "validation" : "training"),
                            group["curves"]["epoch"], scaled(curve["y"], factor),
                            scaled(curve.value("low", Json::array()), factor),
                            scaled(curve.value("high", Json::array()), factor),
                            part == std::string("train")});
    }
  return plot;
}

Plot learning_rates(const Json& groups) {
  Plot plot{"step", "learning rate"};
  for (const Json& group : groups)
    plot.lines.push_back({group["name"], group["learning_rate"]["step"], group["learning_rate"]["lr"]});
  return plot;
}

/// What --probe has seen of the chosen layer of weights, of each group's first run.
Plot layers(const Json& groups, const PlotOptions& options) {
  const bool activations = options.what == "activations";
  Plot plot{"step",
            activations ? fmt::format("input of layer {}: median, 1 to 99 %", options.layer)
                        : fmt::format("gradient norm of layer {}", options.layer),
            !activations};
  for (const Json& group : groups) {
    Line line{group["name"], Json::array(), Json::array(), Json::array(), Json::array()};
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
      line.x.push_back(record["step"]);
      if (!activations) {
        line.y.push_back(layer.value("gradient_norm", Json()));
        continue;
      }
      const Json& percentiles = layer["input"]["percentiles"];
      line.low.push_back(percentiles.empty() ? Json() : percentiles.front());
      line.y.push_back(percentiles.empty() ? Json() : percentiles[percentiles.size() / 2]);
      line.high.push_back(percentiles.empty() ? Json() : percentiles.back());
    }
    plot.lines.push_back(std::move(line));
  }
  return plot;
}

std::string quoted(const std::string& text) {
  std::string escaped;
  for (const char c : text) escaped += (c == '"' || c == '\\') ? std::string{'\\', c} : std::string{c};
  return '"' + escaped + '"';
}

std::string number(const Json& value) {
  return value.is_number() ? fmt::format("{}", value.get<double>()) : "NaN";
}

/// As gnuplot reads it: the data, then what is drawn of them. Colours as on the pages (Okabe & Ito 2008).
std::string script_of(const Plot& plot, const std::string& out, bool png) {
  const std::vector<std::string> colors = {"#0072b2", "#d55e00", "#00805c", "#b3528a",
                                           "#9a6a00", "#2b8cc4", "#555555", "#7a3e9d"};
  std::string text = fmt::format(
      "set terminal {}\nset output {}\nset encoding utf8\nset termoption noenhanced\n",
      png ? "pngcairo size 1280,860 fontscale 1.6" : "svg size 640,430 dynamic background \"white\"",
      quoted(out));
  text += fmt::format(
      "set xlabel {}\nset ylabel {}\nset grid lc rgb \"#d5dae0\"\nset key outside bottom center "
      "horizontal\n{}",
      quoted(plot.x), quoted(plot.y), plot.log ? "set logscale y\n" : "");
  if (plot.x == "epoch" && !plot.lines.empty() && plot.lines[0].y.size() < 15) text += "set xtics 1\n";
  std::vector<std::string> bands, lines;
  // A figure of several groups has one colour for each group's two lines.
  const size_t per_color = plot.lines.size() > 2 && plot.lines[1].dashed ? 2 : 1;
  for (size_t i = 0; i < plot.lines.size(); ++i) {
    const Line& line = plot.lines[i];
    const bool band = !line.low.empty();
    text += fmt::format("$d{} << END\n", i);
    for (size_t k = 0; k < line.y.size(); ++k)
      text += fmt::format("{} {} {} {}\n", number(line.x[k]), number(line.y[k]),
                          band ? number(line.low[k]) : "NaN", band ? number(line.high[k]) : "NaN");
    text += "END\n";
    const std::string& color = colors[i / per_color % colors.size()];
    if (band)
      bands.push_back(fmt::format(
          "$d{} using 1:3:4 with filledcurves fs transparent solid 0.2 lc rgb \"{}\" notitle", i, color));
    lines.push_back(fmt::format("$d{} using 1:2 with {} lw 2 dt {} lc rgb \"{}\" title {}", i,
                                line.y.size() < 25 ? "linespoints pt 7 ps 0.5" : "lines", line.dashed ? 2 : 1,
                                color, quoted(line.name)));
  }
  bands.insert(bands.end(), lines.begin(), lines.end());
  return text + fmt::format("plot {}\n", fmt::join(bands, ", "));
}

/// Files beside the plot, which aren't left behind.
struct Temporary {
  std::string path;
  explicit Temporary(std::string p) : path(std::move(p)) {}
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() {
    std::error_code error;
    fs::remove(path, error);
  }
};

void draw(const Plot& plot, const std::string& path) {
  const Temporary script(fmt::format("{}.{}.gnuplot", path, getpid())),
      drawn(fmt::format("{}.{}.tmp", path, getpid()));
  std::ofstream file(script.path);
  file << script_of(plot, drawn.path, path.ends_with(".png"));
  file.close();
  if (!file) throw FileError(path, "WRITE", "can't write to its folder");
  std::string shell;
  for (const char c : script.path) shell += c == '\'' ? std::string("'\\''") : std::string{c};
  const int status = std::system(fmt::format("gnuplot -- '{}' >/dev/null 2>&1", shell).c_str());
  check<ValueError>(status != 127 * 256,
                    "plots are drawn by gnuplot, which isn't here: apt-get install gnuplot-nox");
  std::error_code error;
  if (status == 0) fs::rename(drawn.path, path, error);
  if (status != 0 || error) throw FileError(path, "WRITE", "gnuplot couldn't draw it");
}

int run(const PlotOptions& options) {
  check<ValueError>(options.out.ends_with(".svg") || options.out.ends_with(".png"),
                    "--out \"{}\": give a file that ends in .svg or .png", options.out);
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
      {.name = "RUNS", .value = &o.folders, .help = "folders of runs", .positional = true, .required = true},
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
    "line, their mean, with a band of one standard deviation; training is dashed.",
    "Examples:\n"
    "  ballast plot runs/a runs/b --what accuracy -o accuracy.svg\n"
    "  ballast plot runs/a runs/b --what gradients --layer 3 -o gradients.png",
    invocation(list, run)};

}  // namespace ballast::app
