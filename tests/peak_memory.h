#pragma once

#include <sys/resource.h>

/// MiB of memory that the process has had at most.
inline double peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}
