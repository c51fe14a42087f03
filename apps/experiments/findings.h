#pragma once

#include <string>
#include <vector>

#include "trainer/figure.h"

namespace ballast::app::experiments {

/// A line that the runs are held to.
struct Check {
  std::string line, measured;
  bool holds;
  /// Said of a line that doesn't hold.
  std::string why = {};
};

struct Table {
  std::string title;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
  std::string note = {};
};

/// A part of what an experiment's claim says, in words that stand after "that", and whether the runs agree.
struct Part {
  std::string text;
  bool holds;
};

/// What the runs of an experiment show.
struct Findings {
  std::vector<Table> tables = {};
  std::vector<Check> checks = {};
  std::vector<Plot> plots = {};
  /// If empty, each of the checks is a part.
  std::vector<Part> claim = {};
};

/// Of a claim: "holds", "doesn't hold", "holds in part", and of which parts it doesn't: "holds in part, not
/// that TEXT, nor that TEXT".
std::string verdict(const Findings& findings);

}  // namespace ballast::app::experiments
