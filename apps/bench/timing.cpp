#include "timing.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>
#include <thread>

namespace bench {
namespace {

constexpr double quiet = 0.06;  // processors that others may use during a clean window

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

rusage usage() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return used;
}

double own_cpu() {
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  const rusage used = usage();
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

/// CPU seconds of all processes since the machine's start, with those that a hypervisor gave to others.
double machine_cpu() {
  std::ifstream file("/proc/stat");
  std::string cpu;
  double user = 0, nice = 0, system = 0, idle = 0, waiting = 0, irq = 0, soft_irq = 0, stolen = 0;
  file >> cpu >> user >> nice >> system >> idle >> waiting >> irq >> soft_irq >> stolen;
  return (user + nice + system + irq + soft_irq + stolen) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

/// How many processors others have used on average since its construction.
class Others {
 public:
  double used() const {
    return (machine_cpu() - machine_ - (own_cpu() - own_)) / std::max(now() - start_, 1e-9);
  }

 private:
  double start_ = now(), machine_ = machine_cpu(), own_ = own_cpu();
};

void wait_for_quiet(double deadline) {
  while (now() < deadline) {
    const Others others;
    std::this_thread::sleep_for(std::chrono::milliseconds(250));  // /proc/stat counts in 10 ms
    if (others.used() < quiet) return;
  }
}

/// The times of at least `least` steps that take `seconds` together.
std::vector<double> run(const std::function<void()>& step, double seconds, size_t least) {
  std::vector<double> times;
  const double start = now();
  for (double last = start; last - start < seconds || times.size() < least;) {
    step();
    const double time = now();
    times.push_back(time - last);
    last = time;
  }
  return times;
}

}  // namespace

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double peak_memory() { return static_cast<double>(usage().ru_maxrss) / 1024; }

Measurement time_steps(const Timing& timing, const std::function<void()>& step) {
  const double deadline = now() + timing.patience;
  const auto wanted = static_cast<size_t>(timing.repetitions);
  wait_for_quiet(deadline);
  run(step, timing.warm_up, 3);
  std::vector<std::vector<double>> clean, disturbed;
  while (clean.size() < wanted && (now() < deadline || clean.size() + disturbed.size() < wanted)) {
    const Others others;
    std::vector<double> window = run(step, timing.seconds, 3);
    const bool alone = others.used() < quiet;
    (alone ? clean : disturbed).push_back(std::move(window));
    if (!alone) wait_for_quiet(deadline);
    if (!alone) run(step, 0, 3);
  }
  Measurement result{.clean = static_cast<int>(clean.size())};
  if (clean.size() < std::min<size_t>(wanted, 2)) std::ranges::move(disturbed, std::back_inserter(clean));
  std::vector<double> all, medians;
  for (const std::vector<double>& window : clean) {
    all.insert(all.end(), window.begin(), window.end());
    medians.push_back(median(window));
  }
  result.windows = static_cast<int>(clean.size());
  result.steps = static_cast<int64_t>(all.size());
  result.least = std::ranges::min(medians);
  result.largest = std::ranges::max(medians);
  result.fastest = std::ranges::min(all);
  result.median = median(std::move(all));
  return result;
}

}  // namespace bench
