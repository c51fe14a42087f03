#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <ballast/core/check.h>

namespace ballast::inline BALLAST_PRECISION {

/// Replaces the file `path` by the concatenated `parts`, all or nothing: whoever reads it, even after a crash
/// or a power cut, finds the old content or the new. Writes `<path>.<process>.tmp`, syncs it, renames it,
/// syncs the folder. Throws FileError WRITE; the old file is then untouched and the temporary one removed. A
/// link is followed.
void write_file_atomically(const std::string& path, const std::vector<std::string_view>& parts);
void write_file_atomically(const std::string& path, std::string_view content);

/// Makes the folder `path`, all or nothing: `fill` gets the name of a new folder beside it,
/// `<path>.<process>.tmp`, and writes into it with `write_file_unsynced`; then all of it is synced at once,
/// which takes seconds where 70,000 files one by one take minutes, and renamed. Throws FileError WRITE, also
/// where `path` exists; if anything throws, nothing is left.
void write_folder_atomically(const std::string& path, const std::function<void(const std::string&)>& fill);
/// Writes a new file. Throws FileError WRITE.
void write_file_unsynced(const std::string& path, std::string_view content);

/// Removes the temporary files that processes which were killed while they wrote `path` have left beside it;
/// those of living processes, on this machine or another, stay. Never throws: what can't be removed stays.
void remove_abandoned_files(const std::string& path);

}  // namespace ballast::inline BALLAST_PRECISION
