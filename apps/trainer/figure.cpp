#include "trainer/figure.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include <ballast/core/check.h>

#include "trainer/programs.h"

namespace ballast::app {
namespace {

namespace fs = std::filesystem;

std::string quoted(const std::string& text) {
  std::string escaped;
  for (const char c : text) escaped += (c == '"' || c == '\\') ? std::string{'\\', c} : std::string{c};
  return '"' + escaped + '"';
}

std::string number(double value) { return std::isfinite(value) ? fmt::format("{}", value) : "NaN"; }

std::string axis_text(char name, const Axis& axis) {
  const auto limit = [](const std::optional<double>& value) {
    return value ? fmt::format("{}", *value) : "*";
  };
  return fmt::format("set {0}label {1}\nset {0}range [{2}:{3}]\n{4}", name, quoted(axis.label),
                     limit(axis.least), limit(axis.most),
                     axis.log ? fmt::format("set logscale {0}\nset format {0} \"%g\"\n", name) : "");
}

/// As gnuplot reads it: the data, then what is drawn of them. Colours as on the pages (Okabe & Ito 2008).
std::string script_of(const Plot& plot, const std::string& out, bool png) {
  const std::vector<std::string> colors = {"#0072b2", "#d55e00", "#00805c", "#b3528a",
                                           "#9a6a00", "#2b8cc4", "#555555", "#7a3e9d"};
  std::string text = fmt::format(
      "set terminal {}\nset output {}\nset encoding utf8\nset termoption noenhanced\n",
      png ? "pngcairo size 1280,860 fontscale 1.6" : "svg size 640,430 dynamic background \"white\"",
      quoted(out));
  if (!plot.title.empty()) text += fmt::format("set title {}\n", quoted(plot.title));
  text += axis_text('x', plot.x) + axis_text('y', plot.y) +
          "set grid lc rgb \"#d5dae0\"\nset key outside top center horizontal\n";
  if (plot.x.label == "epoch" && !plot.series.empty() && plot.series[0].y.size() < 15)
    text += "set xtics 1\n";
  std::vector<std::string> bands, lines;
  // A figure of several groups has one colour for each group's two lines.
  const size_t per_color = plot.series.size() > 2 && plot.series[1].dashed ? 2 : 1;
  for (size_t i = 0; i < plot.series.size(); ++i) {
    const Series& line = plot.series[i];
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

}  // namespace

void check_figure_path(const std::string& option, const std::string& path) {
  check<ValueError>(path.ends_with(".svg") || path.ends_with(".png"),
                    "--{} \"{}\": give a file that ends in .svg or .png", option, path);
}

void draw(const Plot& plot, const std::string& path) {
  const TemporaryFile script(fmt::format("{}.{}.gnuplot", path, getpid())),
      drawn(fmt::format("{}.{}.tmp", path, getpid()));
  std::ofstream file(script.path);
  file << script_of(plot, drawn.path, path.ends_with(".png"));
  file.close();
  if (!file) throw FileError(path, "WRITE", "can't write to its folder");
  const int status = run_program({"gnuplot", "--", script.path}, "gnuplot-nox", true);
  std::error_code error;
  if (status == 0) fs::rename(drawn.path, path, error);
  if (status != 0 || error) throw FileError(path, "WRITE", "gnuplot couldn't draw it");
}

}  // namespace ballast::app
