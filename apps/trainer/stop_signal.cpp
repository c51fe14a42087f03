#include "trainer/stop_signal.h"

namespace ballast::app {
namespace {

volatile std::sig_atomic_t signal_received = 0;

extern "C" void note_signal(int number) {
  if (signal_received == 0) signal_received = number;
  if (number == SIGPIPE) return;
  for (const int other : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction now {};
    sigaction(other, nullptr, &now);
    if (now.sa_handler == note_signal) std::signal(other, SIG_DFL);
  }
}

}  // namespace

StopSignal::StopSignal() {
  signal_received = 0;
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) {
    Old old{number, {}};
    sigaction(number, nullptr, &old.action);
    if (old.action.sa_handler == SIG_IGN) continue;
    struct sigaction note {};
    note.sa_handler = note_signal;
    note.sa_flags = SA_RESTART;
    sigaction(number, &note, nullptr);
    old_.push_back(old);
  }
}

StopSignal::~StopSignal() {
  for (const Old& old : old_) sigaction(old.number, &old.action, nullptr);
}

int StopSignal::received() { return signal_received; }

void ignore_file_size_signal() { std::signal(SIGXFSZ, SIG_IGN); }

}  // namespace ballast::app
