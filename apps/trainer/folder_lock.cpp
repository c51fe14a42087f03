#include "trainer/folder_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <utility>

#include <ballast/core/check.h>

namespace ballast::app {
namespace {

[[noreturn]] void fail(const std::string& folder, int error) {
  throw FileError(
      folder, "WRITE",
      fmt::format("can't lock the folder: {}; choose another one", std::generic_category().message(error)));
}

/// "process 123", as the process that has the lock writes it right after taking it.
std::string owner(int descriptor) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    char text[32] = {};
    const bool read = ::pread(descriptor, text, sizeof text - 1, 0) > 0;
    const auto process = static_cast<pid_t>(read ? std::atoi(text) : 0);
    // The number of one that was killed is about to be replaced.
    if (process > 0 && (::kill(process, 0) == 0 || errno == EPERM)) return fmt::format("process {}", process);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return "another process";
}

/// False if the file was removed, with the folder, before it was locked.
bool is_linked(int descriptor) {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && status.st_nlink > 0;
}

}  // namespace

FolderLock::FolderLock(const std::string& folder) {
  const std::string path = folder + "/" + name;
  while (descriptor_ < 0) {
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail(folder, errno);
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      const std::string other = owner(descriptor_);
      ::close(descriptor_);
      check<ValueError>(error != EWOULDBLOCK,
                        "{}: {} is writing to this folder; wait until it has ended, or choose another folder",
                        folder, other);
      fail(folder, error);
    }
    if (!is_linked(descriptor_)) ::close(std::exchange(descriptor_, -1));
  }
  // Only messages need the number: a disk that is too full for it will be noticed when there is more to
  // write.
  const std::string process = fmt::format("{}", ::getpid());
  if (::ftruncate(descriptor_, 0) == 0) [[maybe_unused]]
    const ssize_t written = ::pwrite(descriptor_, process.data(), process.size(), 0);
}

FolderLock::FolderLock(FolderLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace ballast::app
