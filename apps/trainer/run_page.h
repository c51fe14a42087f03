#pragma once

#include <string>
#include <vector>

#include "trainer/saved_run.h"

namespace ballast::app {

/// What the page shows, as JSON: {"groups": [...]}, see runs.js. Throws what `groups_of` throws.
std::string run_figures(const std::vector<SavedRun>& runs);

/// Writes a page that shows a run: how it learned, what it achieves on the test part, its layers, options and
/// machine; or several, which lie over one another. All figures are those of the runs' files. Throws what
/// `groups_of` throws, and FileError.
void write_run_page(const std::vector<SavedRun>& runs, const std::string& path);

}  // namespace ballast::app
