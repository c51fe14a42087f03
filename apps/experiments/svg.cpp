#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "experiments/show.h"

namespace ballast::app::experiments {
namespace {

constexpr double width = 760, height = 400, left = 64, right = 190, top = 34, bottom = 48;
constexpr std::array colors = {"#4269d0", "#efb118", "#ff725c", "#3ca951",
                               "#a463f2", "#9c6b4e", "#6cc5b0", "#97bbf5"};

/// From numbers to places along one axis.
class Scale {
 public:
  Scale(const Axis& axis, double least, double most, double from, double to)
      : log_(axis.log), from_(from), to_(to) {
    if (axis.least) least = *axis.least;
    if (axis.most) most = *axis.most;
    if (!(least < most)) most = least + 1;
    least_ = place(least), most_ = place(most);
  }
  double operator()(double value) const {
    return std::clamp(from_ + (place(value) - least_) / (most_ - least_) * (to_ - from_),
                      std::min(from_, to_), std::max(from_, to_));
  }
  /// Round numbers: steps of 1, 2 or 5 times a power of ten; of logarithms powers of ten, and 2 and 5 times
  /// them where few would be seen.
  std::vector<double> ticks() const {
    if (log_ && most_ - least_ < 2) return close_ticks();
    std::vector<double> all;
    const double span = most_ - least_, power = std::pow(10, std::floor(std::log10(span / 4)));
    double step = 10 * power;
    for (const double times : {5.0, 2.0, 1.0})
      if (span / (times * power) >= 4) {
        step = times * power;
        break;
      }
    if (log_) step = std::max(1.0, std::ceil(step));
    for (double at = std::ceil(least_ / step) * step; at <= most_ + 1e-9 * span; at += step)
      all.push_back(log_ ? std::pow(10, at) : std::abs(at) < 1e-9 * span ? 0 : at);
    return all;
  }

 private:
  std::vector<double> close_ticks() const {
    std::vector<double> all;
    for (double power = std::floor(least_); power <= most_; ++power)
      for (const double times : {1.0, 2.0, 5.0}) {
        const double at = power + std::log10(times);
        if (at >= least_ - 1e-9 && at <= most_ + 1e-9) all.push_back(std::pow(10, power) * times);
      }
    return all;
  }
  double place(double value) const { return log_ ? std::log10(value) : value; }

  bool log_;
  double from_, to_, least_ = 0, most_ = 1;
};

bool drawable(const Axis& axis, double value) { return std::isfinite(value) && (!axis.log || value > 0); }

Scale scale_of(const Axis& axis, const std::vector<const std::vector<double>*>& lists, double from,
               double to) {
  double least = HUGE_VAL, most = -HUGE_VAL;
  for (const std::vector<double>* list : lists)
    for (const double value : *list)
      if (drawable(axis, value)) least = std::min(least, value), most = std::max(most, value);
  return {axis, least, most, from, to};
}

std::string escaped(std::string text) {
  for (size_t at = 0; (at = text.find_first_of("&<", at)) != std::string::npos; ++at)
    text.replace(at, 1, text[at] == '&' ? "&amp;" : "&lt;");
  return text;
}

std::string words(double x, double y, const std::string& text, const char* attributes) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, attributes, escaped(text));
}

/// The points of a line, in parts between those that can't be drawn.
std::string path(const Plot& plot, const Scale& x, const Scale& y, const std::vector<double>& xs,
                 const std::vector<double>& ys) {
  std::string text;
  bool pen_down = false;
  for (size_t i = 0; i < std::min(xs.size(), ys.size()); ++i) {
    const bool there = drawable(plot.x, xs[i]) && drawable(plot.y, ys[i]);
    if (there) text += fmt::format("{}{:.1f} {:.1f}", pen_down ? "L" : "M", x(xs[i]), y(ys[i]));
    pen_down = there;
  }
  return text;
}

std::string band(const Plot& plot, const Scale& x, const Scale& y, const Series& series) {
  std::string there, back;
  for (size_t i = 0; i < series.low.size(); ++i) {
    if (!drawable(plot.x, series.x[i]) || !drawable(plot.y, series.low[i]) ||
        !drawable(plot.y, series.high[i]))
      continue;
    there += fmt::format("{:.1f},{:.1f} ", x(series.x[i]), y(series.low[i]));
    back = fmt::format("{:.1f},{:.1f} ", x(series.x[i]), y(series.high[i])) + back;
  }
  return there + back;
}

std::string axes(const Plot& plot, const Scale& x, const Scale& y) {
  std::string text;
  for (const double tick : x.ticks())
    text += words(x(tick), height - bottom + 18, fmt::format("{:g}", tick), "text-anchor=\"middle\"");
  for (const double tick : y.ticks()) {
    text += fmt::format("<path d=\"M{} {:.1f}H{}\" stroke=\"#ddd\"/>\n", left, y(tick), width - right);
    text += words(left - 8, y(tick) + 4, fmt::format("{:g}", tick), "text-anchor=\"end\"");
  }
  text += words((left + width - right) / 2, height - 10, plot.x.label, "text-anchor=\"middle\"");
  return text + fmt::format(
                    "<text transform=\"translate(16 {:.1f}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
                    (top + height - bottom) / 2, escaped(plot.y.label));
}

}  // namespace

std::string svg_of(const Plot& plot) {
  std::vector<const std::vector<double>*> xs, ys;
  for (const Series& series : plot.series) {
    xs.push_back(&series.x);
    for (const std::vector<double>* list : {&series.y, &series.low, &series.high}) ys.push_back(list);
  }
  const Scale x = scale_of(plot.x, xs, left, width - right), y = scale_of(plot.y, ys, height - bottom, top);
  std::string text = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" font-family=\"sans-serif\" "
      "font-size=\"12\">\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n",
      width, height);
  text += words(left, 20, plot.title, "font-size=\"14\"") + axes(plot, x, y);
  for (size_t i = 0; i < plot.series.size(); ++i) {
    const Series& series = plot.series[i];
    const char* color = colors.at(i % colors.size());
    const char* dashes = series.dashed ? " stroke-dasharray=\"5 4\"" : "";
    if (!series.low.empty())
      text += fmt::format("<polygon points=\"{}\" fill=\"{}\" opacity=\"0.2\"/>\n", band(plot, x, y, series),
                          color);
    text += fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"{}/>\n",
                        path(plot, x, y, series.x, series.y), color, dashes);
    for (size_t k = 0; series.points && k < series.x.size(); ++k)
      if (drawable(plot.x, series.x[k]) && drawable(plot.y, series.y[k]))
        text += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n", x(series.x[k]),
                            y(series.y[k]), color);
    const double at = top + 10 + 20 * static_cast<double>(i);
    text += fmt::format("<path d=\"M{} {}h22\" stroke=\"{}\" stroke-width=\"2\"{}/>\n", width - right + 10,
                        at, color, dashes);
    text += words(width - right + 38, at + 4, series.name, "");
  }
  return text + "</svg>\n";
}

}  // namespace ballast::app::experiments
