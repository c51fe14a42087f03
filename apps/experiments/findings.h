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

/// What the runs of an experiment show.
struct Findings {
  std::vector<Table> tables = {};
  std::vector<Check> checks = {};
  std::vector<Plot> plots = {};
  /// What the experiment's claim says, part by part, and whether the runs agree; if empty, the checks.
  std::vector<bool> claim = {};
};

/// "holds", "holds in part", "doesn't hold".
std::string verdict(const std::vector<bool>& parts);

}  // namespace ballast::app::experiments
