#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "trainer/run.h"

namespace ballast::app {

/// The first of some texts that has at most `width` bytes, else the last one cut: what a line says in full,
/// and shorter ways to say it.
std::string fitting(const std::vector<std::string>& texts, int width);

/// A line at the end of standard output that changes while something goes on; nothing where that is no
/// terminal.
class StatusLine {
 public:
  StatusLine();
  /// Whether it is time to show something new, at most ten times a second.
  bool due();
  void show(const std::string& text);
  /// Removes the line, so that a message can be printed.
  void clear();
  /// Columns that a text may have.
  int width() const;

 private:
  bool terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point next_draw_;
};

/// What training shows on standard output: one line per epoch, and on a terminal a bar that fills during the
/// epoch.
class Progress {
 public:
  /// Redraws the bar.
  void step(const Run& run);
  void epoch(const Run& run, const EpochMetrics& metrics);
  /// Removes the bar, so that a message can be printed.
  void clear() { bar_.clear(); }

 private:
  StatusLine bar_;
};

/// "epoch 2/3  [=====>    ]  loss 0.123  accuracy 96.3 %  9876 images/s  0:04 left" in at most `width`
/// columns.
std::string progress_bar(const Run& run, int width);

}  // namespace ballast::app
