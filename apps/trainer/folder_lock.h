#pragma once

#include <string>

namespace ballast::app {

/// The right to write to a folder, which one process has at a time. It ends with the object, and with the
/// process however that ends: the system releases the lock on the file `.lock` in the folder (flock), which
/// stays there.
class FolderLock {
 public:
  /// Throws ValueError, which names the process that has the lock, and FileError WRITE if the folder can't be
  /// written to.
  explicit FolderLock(const std::string& folder);
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock();

  static constexpr const char* name = ".lock";

 private:
  int descriptor_ = -1;
};

}  // namespace ballast::app
