#pragma once

#include <string>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// How many processors this process may keep busy: those of its affinity mask, or fewer where a control group
/// grants it less time than that (cgroup's CPU quota, version 1 or 2). At least 1.
int usable_processors();

/// Processors' worth of time that control groups grant, rounded up, or 0 where there is no limit.
/// `membership` is what /proc/self/cgroup says, and `root` where the groups' files are, usually
/// /sys/fs/cgroup. A group's ancestors limit it too.
int cgroup_quota(const std::string& membership, const std::string& root);

/// The whole number that an environment variable is set to, or `otherwise` if it isn't set. Throws ValueError
/// unless it is one from `least` to `most`.
int number_from_environment(const char* variable, int least, int most, int otherwise);

}  // namespace ballast::inline BALLAST_PRECISION::detail
