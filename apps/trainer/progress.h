#pragma once

#include <chrono>

#include "trainer/run.h"

namespace ballast::app {

/// What training shows on standard output: one line per epoch, and on a terminal a bar that fills during the
/// epoch.
class Progress {
 public:
  Progress();
  /// Redraws the bar, at most ten times a second.
  void step(const Run& run);
  void epoch(const Run& run, const EpochMetrics& metrics);
  /// Removes the bar, so that a message can be printed.
  void clear();

 private:
  bool terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point next_draw_;
};

/// "epoch 2/3  [=====>    ]  loss 0.123  accuracy 96.3 %  9876 images/s  0:04 left" in at most `width`
/// columns.
std::string progress_bar(const Run& run, int width);

}  // namespace ballast::app
