#pragma once

#include <string>

#include "experiments/experiment.h"

namespace ballast::app::experiments {

/// An experiment that has been run.
struct Shown {
  const Experiment& experiment;
  const Images& images;
  const GridOptions& options;
  const Results& results;
  Findings findings;
};

/// "lr-tolerance: CLAIM: holds in part"; without a verdict if it was a quick look.
std::string heading(const Shown& shown);

/// Tables and verdicts for the terminal.
std::string text_of(const Shown& shown);

/// The page for a browser: verdicts, tables and plots.
void write_report(const std::string& path, const Shown& shown);

/// A section of Markdown; `picture` is the address of its first plot, or "".
std::string markdown_of(const Shown& shown, const std::string& picture);

/// The plot as a picture that stands alone (SVG).
std::string svg_of(const Plot& plot);

}  // namespace ballast::app::experiments
