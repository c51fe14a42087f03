#pragma once

#include <utility>
#include <vector>

#include <ballast/core/module.h>

namespace ballast::app {

/// A copy of the values of some parts: parameters, buffers and counters. The parts must outlive it.
class Snapshot {
 public:
  explicit Snapshot(Parts& parts);
  /// Gives the parts their values back.
  void restore() const;

 private:
  std::vector<std::pair<Parameter*, Tensor>> parameters_;
  std::vector<std::pair<Buffer*, Tensor>> buffers_;
  std::vector<std::pair<Counter*, Counter>> counters_;
};

}  // namespace ballast::app
