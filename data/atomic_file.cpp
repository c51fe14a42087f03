#include <ballast/data/atomic_file.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

namespace ballast::inline BALLAST_PRECISION {
namespace {

namespace fs = std::filesystem;

const char* remedy(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "; free some space or choose another folder";
    case EFBIG:
      return "; raise the limit on file sizes or choose another file system";
    case ENOENT:
    case ENOTDIR:
      return "; create the folder first";
    case EACCES:
    case EPERM:
    case EROFS:
      return "; choose a folder you may write to";
    default:
      return "";
  }
}

[[noreturn]] void fail(const std::string& path, const char* step, int error) {
  throw FileError(path, "WRITE",
                  fmt::format("{}: {}{}", step, std::generic_category().message(error), remedy(error)));
}

/// The file that `path` stands for once links are followed, whether it exists yet or not.
fs::path resolve(const std::string& path) {
  std::error_code error;
  fs::path target = fs::weakly_canonical(fs::absolute(path, error), error);
  if (error) fail(path, "can't find the folder", error.value());
  const fs::file_type type = fs::status(target, error).type();
  if (type != fs::file_type::not_found && type != fs::file_type::regular) {
    throw FileError(path, "WRITE", "exists and is not a regular file; choose another name");
  }
  return target;
}

void write_bytes(const std::string& path, int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail(path, "can't write", written < 0 ? errno : ENOSPC);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

/// Whether `name` is still the name of the open file.
bool is_name_of(const std::string& name, int descriptor) {
  struct stat named {
  }, open{};
  return ::stat(name.c_str(), &named) == 0 && ::fstat(descriptor, &open) == 0 &&
         named.st_ino == open.st_ino && named.st_dev == open.st_dev;
}

/// A new file beside the target that disappears again unless it was renamed. It is locked as long as it has
/// its temporary name, so that `remove_abandoned_files` can tell whether its process lives.
class TemporaryFile {
 public:
  TemporaryFile(const std::string& path, const fs::path& target) : path_(path) {
    // A process that was killed may have left a file of this name, and a thread may be writing to the same
    // target.
    for (int attempt = 0; descriptor_ < 0; ++attempt) {
      const std::string suffix = attempt == 0 ? "" : fmt::format("-{}", attempt);
      name_ = fmt::format("{}.{}{}.tmp", target.native(), ::getpid(), suffix);
      descriptor_ = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (descriptor_ < 0 && (errno != EEXIST || attempt == 100))
        fail(path_, "can't create a file beside it", errno);
      if (descriptor_ < 0) continue;
      ::flock(descriptor_, LOCK_EX);
      // Between its creation and the lock it may have been taken for abandoned.
      if (!is_name_of(name_, descriptor_)) ::close(std::exchange(descriptor_, -1));
    }
    lock_ = ::fcntl(descriptor_, F_DUPFD_CLOEXEC, 0);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (!renamed_) ::unlink(name_.c_str());
    if (descriptor_ >= 0) ::close(descriptor_);
    if (lock_ >= 0) ::close(lock_);
  }

  void write(std::string_view bytes) { write_bytes(path_, descriptor_, bytes); }

  void sync_and_rename(const fs::path& target) {
    if (::fsync(descriptor_) != 0) fail(path_, "can't write to the disk", errno);
    // Network file systems report a failed write here at the latest.
    if (::close(std::exchange(descriptor_, -1)) != 0) fail(path_, "can't write to the disk", errno);
    if (::rename(name_.c_str(), target.c_str()) != 0) fail(path_, "can't replace the old file", errno);
    renamed_ = true;
  }

 private:
  const std::string& path_;
  std::string name_;
  int descriptor_ = -1;
  int lock_ = -1;  // keeps the lock between closing and renaming
  bool renamed_ = false;
};

/// Makes the rename itself durable. Some file systems can't sync a folder (EINVAL) and a folder may be
/// unreadable: the new file is complete either way.
void sync_folder(const std::string& path, const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  const int error = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  if (error != 0 && error != EINVAL) fail(path, "is written, but may not survive a power cut", error);
}

/// Whether `name` is one that a TemporaryFile of the target `target` could have.
bool is_temporary(std::string_view name, std::string_view target) {
  constexpr std::string_view end = ".tmp";
  if (name.size() <= target.size() + 1 + end.size() || name.substr(0, target.size()) != target ||
      name[target.size()] != '.' || name.substr(name.size() - end.size()) != end)
    return false;
  const std::string_view middle =
      name.substr(target.size() + 1, name.size() - target.size() - 1 - end.size());
  return middle.find_first_not_of("0123456789-") == std::string_view::npos;
}

}  // namespace

namespace {

/// Takes the lock of a file whose process is dead. One that is just dying closes its files one after the
/// other, so this waits a moment.
bool lock_abandoned(int descriptor) {
  for (int attempt = 0; attempt < 20; ++attempt) {
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace

void remove_abandoned_files(const std::string& path) {
  std::error_code error;
  const fs::path target = fs::weakly_canonical(fs::absolute(path, error), error);
  if (error) return;
  for (fs::directory_iterator entry(target.parent_path(), error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().native();
    if (!is_temporary(entry->path().filename().native(), target.filename().native())) continue;
    const int descriptor = ::open(name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) continue;
    if (lock_abandoned(descriptor) && is_name_of(name, descriptor)) ::unlink(name.c_str());
    //~
    ::close(descriptor);
  }
}

void write_file_atomically(const std::string& path, const std::vector<std::string_view>& parts) {
  const fs::path target = resolve(path);
  TemporaryFile file(path, target);
  for (std::string_view part : parts) file.write(part);
  file.sync_and_rename(target);
  sync_folder(path, target.parent_path());
}

void write_file_unsynced(const std::string& path, std::string_view content) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0) fail(path, "can't create it", errno);
  try {
    write_bytes(path, descriptor, content);
  } catch (...) {
    ::close(descriptor);
    throw;
  }
  if (::close(descriptor) != 0) fail(path, "can't write to the disk", errno);
}

void write_folder_atomically(const std::string& path, const std::function<void(const std::string&)>& fill) {
  std::error_code error;
  fs::path target = fs::absolute(path, error).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();  // "images/"
  const std::string folder = fmt::format("{}.{}.tmp", target.native(), ::getpid());
  struct Removed {
    const std::string& folder;
    ~Removed() {
      std::error_code ignored;
      fs::remove_all(folder, ignored);
    }
  } const removed{folder};
  fs::remove_all(folder, error);  // of a process of this number that was killed
  if (!fs::create_directories(folder, error)) fail(path, "can't make a folder beside it", error.value());
  fill(folder);
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail(path, "can't read what was written", errno);
  const int failed = ::syncfs(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  if (failed != 0) fail(path, "can't write to the disk", failed);
  if (::renameat2(AT_FDCWD, folder.c_str(), AT_FDCWD, target.c_str(), RENAME_NOREPLACE) != 0)
    fail(path, "can't give the new folder its name", errno);
  sync_folder(path, target.parent_path());
}

void write_file_atomically(const std::string& path, std::string_view content) {
  write_file_atomically(path, std::vector<std::string_view>{content});
}

}  // namespace ballast::inline BALLAST_PRECISION
