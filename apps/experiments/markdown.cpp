#include <fmt/format.h>

#include <algorithm>

#include "experiments/show.h"

namespace ballast::app::experiments {
namespace {

std::string row(const std::vector<std::string>& cells) {
  std::string text = "|";
  for (const std::string& cell : cells) text += fmt::format(" {} |", cell);
  return text + "\n";
}

std::string table_text(const Table& table) {
  std::string text = table.title.empty() ? "" : fmt::format("{}:\n\n", table.title);
  text += row(table.columns) + "|";
  for (size_t i = 0; i < table.columns.size(); ++i) text += "---|";
  text += "\n";
  for (const std::vector<std::string>& cells : table.rows) text += row(cells);
  return text + "\n" + (table.note.empty() ? "" : table.note + "\n\n");
}

}  // namespace

std::string markdown_of(const Shown& shown, const std::string& picture) {
  const Experiment& e = shown.experiment;
  std::string text = fmt::format("## `{}`: {}\n\n{}. {} Reference: {}. Data: {}; {} seed{}.\n\n", e.name,
                                 heading(shown), e.source, e.setup, e.reference, shown.images.name,
                                 shown.options.seeds, shown.options.seeds == 1 ? "" : "s");
  for (const Table& table : shown.findings.tables) text += table_text(table);
  if (!shown.options.quick) {
    Table checks{"", {"line", "measured", "verdict"}, {}};
    for (const Check& check : shown.findings.checks)
      checks.rows.push_back(
          {check.line + (check.holds || check.why.empty() ? "" : fmt::format(" ({})", check.why)),
           check.measured, check.holds ? "holds" : "**does not hold**"});
    text += table_text(checks);
  }
  if (!picture.empty()) text += fmt::format("![{}]({})\n\n", shown.findings.plots.front().title, picture);
  return text;
}

}  // namespace ballast::app::experiments
