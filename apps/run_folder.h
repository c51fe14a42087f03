#pragma once

#include <string>
#include <vector>

#include "run.h"

namespace ballast::inline BALLAST_PRECISION {

/// The folder of a run and the files in it, each replaced as a whole:
///   config.toml        the options, which `ballast train --config` reads
///   metrics.jsonl      one line per epoch, see EpochMetrics
///   summary.json       the figures of the last and of the best epoch
///   last.safetensors   the weights after the last epoch, and what `ballast eval` needs to know
///   best.safetensors   those of the epoch with the best test accuracy
///   state.safetensors  all that resuming needs
class RunFolder {
 public:
  explicit RunFolder(std::string path) : path_(std::move(path)) {}

  /// Makes the folder `out`, which must be empty or absent, or, if `out` is "", a new runs/<name>-<number>.
  /// Throws ValueError.
  static RunFolder create(const std::string& out, const std::string& name);
  /// Throws ValueError if `out` holds anything: it might be a run.
  static void check_free(const std::string& out);

  const std::string& path() const { return path_; }
  std::string file(const char* name) const { return path_ + "/" + name; }

  void write_config(const TrainOptions& options) const;
  void write_metrics(const std::vector<EpochMetrics>& history) const;
  void write_summary(Run& run) const;
  /// The weights as last.safetensors, and as best.safetensors if the last epoch is the best one.
  void write_weights(Run& run) const;

  void save_state(Run& run) const;
  /// The run as it was when its state was saved, with the options that resuming may change taken from
  /// `given`. Reads state.safetensors alone. Throws FileError and ValueError.
  Run resume(const TrainOptions& given) const;

 private:
  std::string path_;
};

}  // namespace ballast::inline BALLAST_PRECISION
