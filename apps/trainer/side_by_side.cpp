#include "trainer/side_by_side.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <map>
#include <thread>

#include <ballast/core/check.h>

#include "trainer/stop_signal.h"

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace ballast::app {
namespace {

pid_t start(const Job& job) {
  std::vector<char*> words = {const_cast<char*>("ballast")};
  for (const std::string& argument : job.arguments) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 1, job.log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  // In a group of its own: Ctrl-C is for this process, which passes it on once; a second one would kill.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  pid_t process = 0;
  const int error = posix_spawn(&process, "/proc/self/exe", &files, &attributes, words.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  check<Error>(error == 0, "can't start a process that writes to {}: {}", job.log, std::strerror(error));
  return process;
}

int exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

}  // namespace

void run_side_by_side(const std::vector<Job>& jobs, int64_t at_a_time,
                      const std::function<void(size_t, int)>& ended,
                      const std::function<void(const std::vector<size_t>&)>& waiting) {
  std::map<pid_t, size_t> running;
  bool told = false;
  for (size_t next = 0; next < jobs.size() || !running.empty();) {
    const int signal = StopSignal::received();
    if (signal != 0) next = jobs.size();
    if (signal != 0 && !told)
      for (const auto& [process, job] : running) kill(process, SIGTERM);
    told |= signal != 0;
    while (next < jobs.size() && static_cast<int64_t>(running.size()) < at_a_time) {
      running[start(jobs[next])] = next;
      ++next;
    }
    int status = 0;
    const pid_t process = waitpid(-1, &status, WNOHANG);
    if (const auto found = running.find(process); found != running.end()) {
      const size_t job = found->second;
      running.erase(found);
      ended(job, exit_code(status));
    } else {
      std::vector<size_t> numbers;
      numbers.reserve(running.size());
      for (const auto& [running_process, job] : running) numbers.push_back(job);
      std::ranges::sort(numbers);
      waiting(numbers);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }
}

}  // namespace ballast::app
