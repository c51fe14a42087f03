#pragma once

#include <string>

#include <ballast/layers/analysis/probe.h>

#include "trainer/event_file.h"
#include "trainer/run.h"
#include "trainer/test_report.h"

namespace ballast::app {

/// What --tensorboard writes of a run: scalars of each step (loss of its samples, learning rate) and of each
/// epoch (the figures of metrics.jsonl), histograms of parameters after each epoch and of what --probe looks
/// at, and the most confident mistakes as images.
class TensorBoard {
 public:
  TensorBoard(const Run& run, const std::string& path);
  void step(const Run& run);
  void epoch(Run& run, const EpochMetrics& metrics);
  /// Outputs and gradients of the layers; histograms reach from the first to the last percentile.
  void layers(int64_t step, const Probe& probe);
  /// `test` are the samples of the report.
  void mistakes(const Run& run, const TestReport& report, const Dataset& test);

 private:
  EventFile file_;
  int64_t step_, labels_;  // of the run when its last step was written
  double loss_sum_;
};

}  // namespace ballast::app
