#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace bench {

/// How long to measure.
struct Timing {
  int repetitions = 5;   // windows wanted
  double seconds = 2;    // length of a window
  double warm_up = 1;    // seconds of steps before the first
  double patience = 90;  // seconds after which windows disturbed by other processes count as well
};

/// Seconds per step over `windows` windows, `clean` of which had the machine to themselves.
struct Measurement {
  double median = 0, fastest = 0;  // of all steps
  double least = 0, largest = 0;   // of the windows' medians
  int64_t steps = 0;
  int clean = 0, windows = 0;
};

/// Calls `step` again and again, and times each call. A window is clean when other processes used less than
/// 0.06 processors during it; others are measured again while patience lasts.
Measurement time_steps(const Timing& timing, const std::function<void()>& step);

/// The median of a list that isn't empty.
double median(std::vector<double> values);

/// The largest memory this process has had resident, in MB.
double peak_memory();

}  // namespace bench
