#pragma once

#include <functional>
#include <string>
#include <vector>

namespace ballast::app {

/// A command of this program to run as a process of its own.
struct Job {
  std::vector<std::string> arguments;
  std::string log;  // a file for what it prints
};

/// Runs jobs, so many at a time, in their order. `ended` is told the number of each job and its exit code, or
/// 128 + the signal that ended it; `waiting`, some times a second, the numbers of those that run. Once this
/// process is to stop (StopSignal), the jobs that run are told so, too, and no more begin. Throws Error if a
/// process can't be started.
void run_side_by_side(const std::vector<Job>& jobs, int64_t at_a_time,
                      const std::function<void(size_t, int)>& ended,
                      const std::function<void(const std::vector<size_t>&)>& waiting);

}  // namespace ballast::app
