#pragma once

#include <optional>
#include <string>
#include <vector>

#include "options/options.h"
#include "trainer/checkpoint_info.h"
#include "trainer/mean.h"
#include "trainer/run.h"

namespace ballast::app {

/// A run as its folder tells it; nothing is trained or evaluated to know this.
struct SavedRun {
  std::string folder;
  TrainOptions options;               // of config.toml
  std::vector<EpochMetrics> history;  // of metrics.jsonl, at least one epoch
  std::string summary, test, layers;  // JSON of the files of these names, "" where there is none (yet)
  std::string checkpoint;             // best.safetensors, or "" of a run that diverged in its first epoch
  std::optional<CheckpointInfo> info;
  std::optional<double> test_score;  // of the best epoch on the test part: accuracy or, of values, R2

  const EpochMetrics& best() const { return *best_epoch(history); }
};

/// With at most so many records of its layers. Throws FileError for a folder that isn't a run, or one of
/// whose files was cut or edited.
SavedRun read_run(const std::string& folder, int64_t layer_records = 100);
/// Several, with so many records that a page of them stays small; a folder of runs, such as `compare` leaves,
/// stands for those in it.
std::vector<SavedRun> read_runs(const std::vector<std::string>& folders);

/// Runs whose options are the same but for the seed, and what sets them apart from the other groups.
struct RunGroup {
  std::string name;  // "norm batch, lr 0.01"
  std::vector<const SavedRun*> runs;
};

/// The groups in the order of their first run. A run that is alone is called by its model. Throws ValueError
/// for runs that were measured on different test samples.
std::vector<RunGroup> groups_of(const std::vector<SavedRun>& runs);

}  // namespace ballast::app
