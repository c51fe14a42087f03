#include <ballast/data/atomic_file.h>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <vector>

#include "temp_folder.h"

using namespace ballast;

// In place of the C library's, so that a test sees what is synced, and can have it fail.
namespace {
std::vector<std::string> synced;  // "file", "folder"
int fail_sync_with = 0;
}  // namespace

extern "C" int fsync(int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return -1;
  synced.push_back(S_ISDIR(status.st_mode) ? "folder" : "file");
  if (fail_sync_with != 0) {
    errno = fail_sync_with;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_fsync, descriptor));
}

extern "C" int syncfs(int descriptor) {
  synced.emplace_back("file system");
  if (fail_sync_with != 0) {
    errno = fail_sync_with;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_syncfs, descriptor));
}

namespace {

/// The error that writing ends with; fails the test if it succeeds.
std::string failure(const std::string& path, const std::string& content) {
  try {
    write_file_atomically(path, content);
  } catch (const FileError& error) {
    CHECK(error.code == "WRITE");
    return error.what();
  }
  FAIL("written");
  return "";
}

std::vector<std::string> names(const TempFolder& folder) {
  std::vector<std::string> result;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    result.push_back(entry.path().filename().string());
  }
  return result;
}

}  // namespace

TEST_CASE("write_file_atomically: creates and replaces, and leaves nothing else behind") {
  const TempFolder folder;
  write_file_atomically(folder / "a.txt", "one");
  CHECK(read_all(folder / "a.txt") == "one");
  write_file_atomically(folder / "a.txt", {"tw", "", "o", std::string_view("\0\n", 2)});
  CHECK(read_all(folder / "a.txt") == std::string("two\0\n", 5));
  write_file_atomically(folder / "a.txt", "");
  CHECK(read_all(folder / "a.txt").empty());
  CHECK(names(folder) == std::vector<std::string>{"a.txt"});
}

TEST_CASE("write_file_atomically: a reader keeps the old content, the name gets the new") {
  const TempFolder folder;
  write_file_atomically(folder / "a.txt", "old");
  std::ifstream reader(folder / "a.txt");
  write_file_atomically(folder / "a.txt", "new");
  std::string content;
  reader >> content;
  CHECK(content == "old");
  CHECK(read_all(folder / "a.txt") == "new");
}

TEST_CASE("write_file_atomically: syncs the file, then the folder") {
  const TempFolder folder;
  synced.clear();
  write_file_atomically(folder / "a.txt", "one");
  CHECK(synced == std::vector<std::string>{"file", "folder"});
}

TEST_CASE("write_file_atomically: a failed sync leaves the old file and no other") {
  const TempFolder folder;
  write_file_atomically(folder / "a.txt", "old");
  fail_sync_with = ENOSPC;
  const std::string message = failure(folder / "a.txt", "new");
  fail_sync_with = 0;
  CHECK(message == folder / "a.txt" +
                       ": can't write to the disk: No space left on device; free some space "
                       "or choose another folder");
  CHECK(read_all(folder / "a.txt") == "old");
  CHECK(names(folder) == std::vector<std::string>{"a.txt"});
}

TEST_CASE("write_file_atomically: a write that stops halfway leaves the old file and no other") {
  const TempFolder folder;
  write_file_atomically(folder / "a.txt", "old");
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  getrlimit(RLIMIT_FSIZE, &old_limit);
  const rlimit limit{100'000, old_limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  const std::string message = failure(folder / "a.txt", std::string(1 << 20, 'x'));
  setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, old_handler);
  CHECK(message.find("File too large") != std::string::npos);
  CHECK(read_all(folder / "a.txt") == "old");
  CHECK(names(folder) == std::vector<std::string>{"a.txt"});
}

TEST_CASE("write_file_atomically: a killed process's leftover is no obstacle") {
  const TempFolder folder;
  const std::string leftover = folder / ("a.txt." + std::to_string(::getpid()) + ".tmp");
  write_bytes(leftover, "half");
  write_file_atomically(folder / "a.txt", "one");
  CHECK(read_all(folder / "a.txt") == "one");
  CHECK(read_all(leftover) == "half");
}

TEST_CASE("write_file_atomically: says what is in the way") {
  const TempFolder folder;
  CHECK(failure(folder / "none/a.txt", "x").ends_with("No such file or directory; create the folder first"));
  std::filesystem::create_directory(folder / "sub");
  CHECK(failure(folder / "sub", "x").ends_with("is not a regular file; choose another name"));
  // Renaming over a device would replace it.
  CHECK(failure("/dev/null", "x").ends_with("is not a regular file; choose another name"));
  CHECK(std::filesystem::is_character_file("/dev/null"));
}

TEST_CASE("write_file_atomically: a link stays a link") {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "sub");
  write_bytes(folder / "sub/a.txt", "old");
  std::filesystem::create_symlink("sub/a.txt", folder / "link");
  write_file_atomically(folder / "link", "new");
  CHECK(std::filesystem::is_symlink(folder / "link"));
  CHECK(read_all(folder / "sub/a.txt") == "new");
}

TEST_CASE("write_file_atomically: a name without a folder means the current one") {
  const TempFolder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  write_file_atomically("a.txt", "one");
  std::filesystem::current_path(before);
  CHECK(read_all(folder / "a.txt") == "one");
}

TEST_CASE("remove_abandoned_files: takes what killed processes left, and nothing else") {
  const TempFolder folder;
  const auto make = [&](const char* name) {
    const int descriptor = ::open((folder / name).c_str(), O_WRONLY | O_CREAT, 0666);
    REQUIRE(descriptor >= 0);
    return descriptor;
  };
  for (const char* name : {"a.txt.123.tmp", "a.txt.123-4.tmp", "a.txt", "a.txt.notes.tmp", "b.txt.123.tmp"})
    ::close(make(name));
  const int living = make("a.txt.456.tmp");
  REQUIRE(::flock(living, LOCK_EX) == 0);
  remove_abandoned_files(folder / "a.txt");
  std::vector<std::string> left = names(folder);
  std::sort(left.begin(), left.end());
  CHECK(left == std::vector<std::string>{"a.txt", "a.txt.456.tmp", "a.txt.notes.tmp", "b.txt.123.tmp"});
  ::close(living);
  remove_abandoned_files(folder / "a.txt");
  CHECK(!std::filesystem::exists(folder / "a.txt.456.tmp"));
  remove_abandoned_files("no such folder/a.txt");
}

TEST_CASE("write_folder_atomically: there is the whole folder or none, and one sync for all of its files") {
  const TempFolder folder;
  const std::string path = folder / "many";
  const auto fill = [](const std::string& inside) {
    std::filesystem::create_directory(inside + "/a");
    for (const char* name : {"/a/1", "/2"}) write_file_unsynced(inside + name, name);
  };
  synced.clear();
  write_folder_atomically(path + "/", fill);
  CHECK(synced == std::vector<std::string>{"file system", "folder"});
  CHECK(read_all(path + "/a/1") == "/a/1");
  CHECK(read_all(path + "/2") == "/2");
  CHECK_THROWS_WITH_AS(write_folder_atomically(path, fill), doctest::Contains("File exists"), FileError);
  CHECK_THROWS_AS(write_file_unsynced(path + "/2", "again"), FileError);
  CHECK_THROWS_WITH_AS(write_folder_atomically(folder / "other",
                                               [](const std::string& inside) {
                                                 write_file_unsynced(inside + "/1", "x");
                                                 throw FileError(inside, "WRITE", "as if the disk were full");
                                               }),
                       doctest::Contains("full"), FileError);
  fail_sync_with = EIO;
  CHECK_THROWS_AS(write_folder_atomically(folder / "other", fill), FileError);
  fail_sync_with = 0;
  CHECK(names(folder) == std::vector<std::string>{"many"});
}
