#include "trainer/programs.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <ballast/core/check.h>

#include "output.h"

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace ballast::app {

int run_program(const std::vector<std::string>& words, const std::string& package, bool quiet) {
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  for (const int output : {1, 2})
    if (quiet) posix_spawn_file_actions_addopen(&files, output, "/dev/null", O_WRONLY, 0);
  flush_output();
  pid_t process = 0;
  const int error = posix_spawnp(&process, arguments[0], &files, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  check<ValueError>(error != ENOENT, "the program {} is needed, which isn't here: apt-get install {}",
                    words[0], package);
  check<Error>(error == 0, "can't start {}: {}", words[0], std::strerror(error));
  int status = 0;
  while (waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TemporaryFile::~TemporaryFile() {
  std::error_code error;
  std::filesystem::remove(path, error);
}

}  // namespace ballast::app
