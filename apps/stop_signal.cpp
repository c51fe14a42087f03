#include "stop_signal.h"

namespace ballast::inline BALLAST_PRECISION {
namespace {

volatile std::sig_atomic_t signal_received = 0;

extern "C" void note_signal(int number) {
  signal_received = number;
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

}  // namespace

StopSignal::StopSignal() {
  signal_received = 0;
  struct sigaction note {};
  note.sa_handler = note_signal;
  note.sa_flags = SA_RESTART;
  sigaction(SIGINT, &note, &old_interrupt_);
  sigaction(SIGTERM, &note, &old_terminate_);
}

StopSignal::~StopSignal() {
  sigaction(SIGINT, &old_interrupt_, nullptr);
  sigaction(SIGTERM, &old_terminate_, nullptr);
}

int StopSignal::received() { return signal_received; }

}  // namespace ballast::inline BALLAST_PRECISION
