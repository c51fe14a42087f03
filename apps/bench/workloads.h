#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cost.h"
#include "timing.h"

namespace bench {

/// What a workload did.
struct Result {
  int64_t batch = 0;  // samples, or operations, per step
  Cost cost;          // of a step
  Measurement time;
};

struct Workload {
  std::string name, description;
  std::function<Result(const Timing&)> run;
};

/// All of them. The first 16 are those of the comparison, which the reference program has under the same
/// names.
const std::vector<Workload>& workloads();
constexpr size_t compared_workloads = 16;

}  // namespace bench
