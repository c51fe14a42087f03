#include "trainer/snapshot.h"

#include <string>

namespace ballast::app {

Snapshot::Snapshot(Parts& parts) {
  for_each_parameter(
      parts, [&](const std::string&, Parameter& p) { parameters_.emplace_back(&p, p.value().clone()); });
  for_each_buffer(parts,
                  [&](const std::string&, Buffer& b) { buffers_.emplace_back(&b, b.value().clone()); });
  for_each_counter(parts, [&](const std::string&, Counter& c) { counters_.emplace_back(&c, c); });
}

void Snapshot::restore() const {
  for (const auto& [part, value] : parameters_) part->assign(value);
  for (const auto& [part, value] : buffers_) part->assign(value);
  //~
  for (const auto& [part, value] : counters_) *part = value;
}

}  // namespace ballast::app
