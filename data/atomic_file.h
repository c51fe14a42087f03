#pragma once

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

/// Removes the temporary files that processes which were killed while they wrote `path` have left beside it;
/// those of living processes, on this machine or another, stay. Never throws: what can't be removed stays.
void remove_abandoned_files(const std::string& path);

}  // namespace ballast::inline BALLAST_PRECISION
