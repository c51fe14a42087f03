#pragma once

#include <functional>

#include "report.h"
#include "timing.h"

namespace bench {

/// Measures what the machine can do: "fma", multiply-adds in registers on one thread and on all;
/// "copy_<size>MB", bytes read plus bytes written by copying within that much memory; "gemm_...", OpenBLAS
/// with its own threads at training shapes. The last of one name is that of all threads.
void measure_peaks(const Timing& timing, int threads, const std::function<void(const Peak&)>& report);

}  // namespace bench
