#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ballast/data/evaluate.h>

#include "trainer/folder_lock.h"
#include "trainer/run.h"

namespace ballast::app {

/// The folder of a run and the files in it, each replaced as a whole:
///   config.toml        the options, which `ballast train --config` reads
///   metrics.jsonl      one line per epoch, see EpochMetrics; metrics.csv is the same as a table
///   summary.json       the figures of the last and of the best epoch; at the end those of the test
///   test.json          how the best epoch does on the test part, at the end: see TestReport
///   layers.jsonl       what --probe sees, see LayerRecord
///   layers.safetensors the weights that it saw last, for resuming
///   report.html        a page that shows all of it
///   last.safetensors   the weights after the last epoch, and what `ballast eval` needs to know
///   best.safetensors   those of the epoch that did best on the validation part
///   state.safetensors  all that resuming needs
///   .lock              see FolderLock
/// It belongs to one process, as long as the object lives. Temporary files of processes that were killed are
/// removed.
class RunFolder {
 public:
  /// Makes the folder `out`, which must be empty or absent, or, if `out` is "", a new runs/<name>-<number>.
  /// Throws ValueError.
  static RunFolder create(const std::string& out, const std::string& name);
  /// The folder of a run that began before. Throws FileError if it has no saved state, and ValueError if
  /// another process writes to it.
  static RunFolder open(const std::string& path);
  /// Throws ValueError if `out` holds anything: it might be a run.
  static void check_free(const std::string& out);
  /// Removes what `create` has made, if there is nothing else in it.
  void discard() const;

  const std::string& path() const { return path_; }
  std::string file(const char* name) const { return path_ + "/" + name; }

  void write_config(const TrainOptions& options) const;
  void write_metrics(const std::vector<EpochMetrics>& history) const;
  /// `test` is what the best epoch achieves on the test part, at the end.
  void write_summary(Run& run, const std::optional<Evaluation>& test = {}) const;
  void write_test(const std::string& json) const;
  /// The weights as last.safetensors, and as best.safetensors if the last epoch is the best one.
  void write_weights(Run& run) const;

  void save_state(Run& run) const;
  /// The run as it was when its state was saved, with the options that resuming may change taken from
  /// `given`. Reads state.safetensors alone. Says so if its bits can't be the same on this processor. Throws
  /// FileError and ValueError.
  std::unique_ptr<Run> resume(const TrainOptions& given) const;

 private:
  RunFolder(std::string path, bool made);

  std::string path_;
  bool made_;  // the folder wasn't there before
  FolderLock lock_;
};

/// The lines of metrics.jsonl of the run in `folder`. Throws FileError OPEN, or METRICS for a line that isn't
/// one.
std::vector<EpochMetrics> read_metrics(const std::string& folder);

}  // namespace ballast::app
