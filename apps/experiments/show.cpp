#include "experiments/show.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "page/page.h"

namespace ballast::app::experiments {
namespace {

using Json = nlohmann::ordered_json;

const char* sign(bool holds) { return holds ? "holds" : "does not hold"; }

std::string aligned(const Table& table) {
  std::vector<std::vector<std::string>> lines = {table.columns};
  lines.insert(lines.end(), table.rows.begin(), table.rows.end());
  std::vector<size_t> widths;
  const auto width = [](const std::string& text) {  // UTF-8: bytes that begin a character
    return static_cast<size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
  };
  for (const auto& line : lines) {
    widths.resize(std::max(widths.size(), line.size()));
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], width(line[i]));
  }
  std::string text = table.title.empty() ? "" : table.title + "\n";
  for (const auto& line : lines) {
    std::string row = " ";
    for (size_t i = 0; i < line.size(); ++i) {
      const std::string blanks(widths[i] - width(line[i]), ' ');
      row += i == 0 ? " " + line[i] + blanks : "  " + blanks + line[i];
    }
    text += row.substr(0, row.find_last_not_of(' ') + 1) + "\n";
  }
  return text + (table.note.empty() ? "" : "  " + table.note + "\n");
}

std::string seeds_text(int64_t seeds) { return fmt::format("{} seed{}", seeds, seeds == 1 ? "" : "s"); }

double seconds_of(const Results& results) {
  double sum = 0;
  for (const Outcome& outcome : results.all()) sum += outcome.seconds;
  return sum;
}

Json json_of(const Axis& axis) {
  Json json = {{"label", axis.label}, {"log", axis.log}};
  if (axis.least) json["min"] = *axis.least;
  if (axis.most) json["max"] = *axis.most;
  return json;
}

Json json_of(const Plot& plot) {
  Json json = {{"type", "lines"},
               {"title", plot.title},
               {"x", json_of(plot.x)},
               {"y", json_of(plot.y)},
               {"note", plot.note}};
  for (const Series& series : plot.series) {
    Json line = {{"name", series.name},
                 {"x", series.x},
                 {"y", series.y},
                 {"points", series.points},
                 {"dashed", series.dashed}};
    if (!series.low.empty()) line["low"] = series.low, line["high"] = series.high;
    json["series"].push_back(std::move(line));
  }
  return json;
}

Json checks_block(const Findings& findings) {
  Json rows = Json::array();
  for (const Check& check : findings.checks) {
    std::string line = check.line;
    if (!check.holds && !check.why.empty()) line += " (" + check.why + ")";
    rows.push_back(
        {line, check.measured, {{"text", sign(check.holds)}, {"verdict", check.holds ? "better" : "worse"}}});
  }
  return {{"type", "table"},
          {"title", "Expected and found"},
          {"columns", {"line", "measured", "verdict"}},
          {"rows", rows}};
}

}  // namespace

std::string heading(const Shown& shown) {
  const std::string& claim = shown.experiment.claim;
  return shown.options.quick ? claim : fmt::format("{}: {}", claim, verdict(shown.findings));
}

std::string text_of(const Shown& shown) {
  const Experiment& e = shown.experiment;
  std::string text =
      fmt::format("{}: {}\n{}\n{}\nReference: {}. Data: {}; {}.\n\n", e.name, heading(shown), e.source,
                  e.setup, e.reference, shown.images.name, seeds_text(shown.options.seeds));
  for (const Table& table : shown.findings.tables) text += aligned(table) + "\n";
  if (shown.options.quick) return text + "no verdict: this was a quick look\n";
  for (const Check& check : shown.findings.checks) {
    text += fmt::format("{:<14} {}: {}\n", sign(check.holds), check.line, check.measured);
    if (!check.holds && !check.why.empty()) text += fmt::format("{:<14} why: {}\n", "", check.why);
  }
  return text;
}

void write_report(const std::string& path, const Shown& shown) {
  const Experiment& e = shown.experiment;
  Json found = {{"title", "Measured"}, {"blocks", Json::array()}};
  if (!shown.options.quick) found["blocks"].push_back(checks_block(shown.findings));
  for (const Table& table : shown.findings.tables)
    found["blocks"].push_back({{"type", "table"},
                               {"title", table.title},
                               {"columns", table.columns},
                               {"rows", table.rows},
                               {"note", table.note}});
  Json drawn = {{"title", "Drawn"},
                {"text", "Lines are means over seeds, bands reach from the least to the largest."},
                {"blocks", Json::array()}};
  for (const Plot& plot : shown.findings.plots) drawn["blocks"].push_back(json_of(plot));
  // An array of pairs; braces alone would make an object of them.
  const Json facts = {
      {"type", "facts"},
      {"facts",
       Json::array({Json::array({"source", e.source}), Json::array({"reference", e.reference}),
                    Json::array({"data", shown.images.name}),
                    Json::array({"seeds", fmt::format("{}", shown.options.seeds)}),
                    Json::array({"runs", fmt::format("{}, {:.0f} s of computing", shown.results.all().size(),
                                                     seconds_of(shown.results))})})}};
  const Json page = {
      {"summary", heading(shown) + "."},
      {"sections", {{{"title", "Set-up"}, {"text", e.setup}, {"blocks", {facts}}}, found, drawn}}};
  write_page(path, "sections", "ballast experiment " + e.name, page.dump());
}

}  // namespace ballast::app::experiments
