#pragma once

#include <vector>

#include "trainer/run.h"

namespace ballast::app {

/// All values that a run saves: of the model, the optimizer and averages.
inline std::vector<real> state_of(Run& run) {
  std::vector<real> all;
  const auto add = [&](const Tensor& t) { all.insert(all.end(), t.values().begin(), t.values().end()); };
  for (const Named<Parts>& named : run.state()) {
    for_each_parameter(named.parts, [&](const std::string&, Parameter& p) { add(p); });
    for_each_buffer(named.parts, [&](const std::string&, Buffer& b) { add(b); });
    for_each_counter(named.parts,
                     [&](const std::string&, Counter& c) { all.push_back(static_cast<real>(c.value)); });
  }
  return all;
}

}  // namespace ballast::app
