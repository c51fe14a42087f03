#pragma once

#include <ctime>

namespace ballast::app::experiments {

/// The processor time since the clock was made, which other processes leave alone: of this thread, or of all
/// threads of the process.
template <clockid_t id>
class ProcessorClock {
 public:
  double seconds() const { return now() - start_; }

 private:
  static double now() {
    timespec time{};
    clock_gettime(id, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  }

  double start_ = now();
};

using ThreadClock = ProcessorClock<CLOCK_THREAD_CPUTIME_ID>;
using ProcessClock = ProcessorClock<CLOCK_PROCESS_CPUTIME_ID>;

}  // namespace ballast::app::experiments
