#pragma once

#include <csignal>
#include <vector>

namespace ballast::app {

/// While it lives, the first SIGINT, SIGTERM, SIGHUP or SIGPIPE (nobody reads the output any more) is only
/// noted, so that the program can save and end in good order. A second one kills at once, but for SIGPIPE,
/// which follows itself with each line. Signals that were ignored when the program started stay ignored.
class StopSignal {
 public:
  StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;
  ~StopSignal();

  /// The signal that arrived, or 0.
  static int received();

 private:
  struct Old {
    int number;
    struct sigaction action;
  };
  std::vector<Old> old_;
};

/// A file that becomes larger than the limit is an error of that write (EFBIG), with advice, rather than the
/// death of the program.
void ignore_file_size_signal();

}  // namespace ballast::app
