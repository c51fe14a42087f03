#pragma once

#include <optional>
#include <string>
#include <vector>

namespace ballast::app {

struct Axis {
  std::string label;
  bool log = false;
  std::optional<double> least = {}, most = {};
};

/// A line through (x, y), and where `low` and `high` are given a band. What isn't finite is left out.
struct Series {
  std::string name;
  std::vector<double> x = {}, y = {}, low = {}, high = {};
  bool points = false, dashed = false;
};

struct Plot {
  std::string title;
  Axis x, y;
  std::vector<Series> series = {};
  std::string note = {};
};

/// Throws ValueError unless `path` ends in .svg or .png. `option` is what it was given by, for the message.
void check_figure_path(const std::string& option, const std::string& path);

/// Draws the plot into an SVG or PNG file, by the program gnuplot; more than two series of which every second
/// is dashed have a colour for each two. Throws ValueError if gnuplot isn't there, FileError WRITE if the
/// file can't be written.
void draw(const Plot& plot, const std::string& path);

}  // namespace ballast::app
