#include <ballast/core/detail/processors.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include <ballast/core/check.h>

#ifdef __linux__
#include <sched.h>
#endif

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

int in_affinity_mask() {
#ifdef __linux__
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) return CPU_COUNT(&mask);
#endif
  return static_cast<int>(std::thread::hardware_concurrency());
}

int rounded_up(double quota, double period) {
  return quota > 0 && period > 0 ? static_cast<int>((quota + period - 1) / period) : 0;
}

// The limit of a single group in version 2: its file has "<quota or max> <period>" in microseconds.
int limit_v2(const std::string& group) {
  std::string quota;
  double period = 0;
  std::ifstream(group + "/cpu.max") >> quota >> period;
  return rounded_up(std::atof(quota.c_str()), period);
}

// The same in version 1, where each number has its own file; a quota of -1 means that there is none.
int limit_v1(const std::string& group) {
  double quota = 0, period = 0;
  std::ifstream(group + "/cpu.cfs_quota_us") >> quota;
  std::ifstream(group + "/cpu.cfs_period_us") >> period;
  return rounded_up(quota, period);
}

// The least limit of a group and its ancestors. In a container the path may be the host's and not exist: the
// container's own limits are at the root.
int least_limit(const std::string& root, std::string path, int (*limit)(const std::string&)) {
  int least = 0;
  for (;;) {
    const int here = limit(root + path);
    if (here > 0) least = least == 0 ? here : std::min(least, here);
    if (path.empty()) return least;
    path.resize(std::min(path.rfind('/'), path.size() - 1));
  }
}

}  // namespace

int cgroup_quota(const std::string& membership, const std::string& root) {
  std::istringstream lines(membership);
  int least = 0;
  for (std::string line; std::getline(lines, line);) {  // hierarchy:controllers:path
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    std::string path = line.substr(second + 1);
    if (path == "/") path.clear();
    int here = 0;
    if (controllers == ",,") here = least_limit(root, path, limit_v2);
    if (controllers.find(",cpu,") != std::string::npos) here = least_limit(root + "/cpu", path, limit_v1);
    if (here > 0) least = least == 0 ? here : std::min(least, here);
  }
  return least;
}

int usable_processors() {
  std::ifstream file("/proc/self/cgroup");
  const std::string membership{std::istreambuf_iterator<char>(file), {}};
  const int allowed = in_affinity_mask(), quota = cgroup_quota(membership, "/sys/fs/cgroup");
  return std::max(1, quota > 0 ? std::min(allowed, quota) : allowed);
}

int number_from_environment(const char* variable, int least, int most, int otherwise) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return otherwise;
  int number = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, number);
  check<ValueError>(
      error == std::errc() && stop == end && number >= least && number <= most,
      "the environment variable {} is '{}'; set it to a whole number from {} to {}, or unset it", variable,
      text, least, most);
  return number;
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
