#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ballast/data/dataset.h>

#include "experiments/results.h"

namespace ballast::app::experiments {

/// What the experiments are run on. All runs share it.
struct Images {
  Split pixels = {};        // (1, 28, 28), 0 to 1
  Split standardized = {};  // by mean and deviation of all training pixels
  std::string name = {};    // for the reader
  std::string fingerprint = {};
  /// Where they are from, to be read again: a folder, or "digits".
  std::string source = {};
  /// The folder of programs to compare with; "": none.
  std::string reference = {};
};

/// MNIST or what is laid out like it, from a folder; "digits": the built-in ones, few of them for a quick
/// look. Throws FileError, and ValueError for images that experiments are not set up for.
Split read_source(const std::string& source, bool quick);
/// The same in memory, of MNIST too but few for a quick look.
Images load_images(const std::string& data, bool quick);

/// One run: a setting and a seed. The thread's random numbers begin at that seed.
struct Trial {
  const Setting& setting;
  uint64_t seed;
  const Images& images;
  bool quick;

  /// So many steps, or few for a quick look.
  int64_t steps(int64_t full) const { return quick ? std::min<int64_t>(full, 30) : full; }
  /// The steps of so many epochs of the training images.
  int64_t epochs(int64_t count, int64_t batch_size) const;
};

/// A claim, and what tests it.
struct Experiment {
  std::string name, claim = {}, source = {};
  /// What is trained and measured, and what was chosen where the source leaves it open.
  std::string setup = {};
  /// Where the reference figures are from; or, where nobody has published any, what was expected before the
  /// first run.
  std::string reference = {};
  std::vector<Setting> settings = {};
  /// More of them, which run programs to compare with: only where there are any.
  std::vector<Setting> compared = {};
  std::function<Figures(const Trial&)> run = {};
  std::function<Findings(const Results&)> judge = {};
  int64_t seeds = 3;
  /// Its runs measure time: one after the other, on all threads.
  bool alone = false;
  /// Raised whenever the runs would measure something else than before: kept ones are of no use then.
  int64_t revision = 1;
};

/// All of them, in the order of `ballast experiment list`.
const std::vector<const Experiment*>& all_experiments();

struct GridOptions {
  std::string folder;  // keeps the runs
  int64_t seeds = 3;
  bool quick = false;
};

/// Runs every setting with every seed, but for those that the folder holds. Each has a thread of its own, as
/// many side by side as there are threads to compute with, so that it has the same bits whatever the others
/// do. Each is kept as soon as it is done, in a line of metrics.jsonl; config.json says of what they are.
/// Throws ValueError if the folder's runs are of something else, and what a run throws.
Results run_grid(const Experiment& experiment, const Images& images, const GridOptions& options);

}  // namespace ballast::app::experiments
