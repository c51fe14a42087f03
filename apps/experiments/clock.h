#pragma once

#include <ctime>

namespace ballast::app::experiments {

/// The processor time of this thread since the clock was made, which other processes leave alone.
class ThreadClock {
 public:
  double seconds() const { return now() - start_; }

 private:
  static double now() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  }

  double start_ = now();
};

}  // namespace ballast::app::experiments
