#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include <ballast/layers/analysis/probe.h>

#include "trainer/run.h"

namespace ballast::app {

/// Looks at the layers of a network while it is trained: every so many steps a copy of it, with the weights
/// of that moment, goes forward and backward on a batch that is always the same, and what `Probe` sees is a
/// line of the file. Training isn't touched.
///
/// The first line says what the layers are:
///
///   {"samples": 128, "values": 8192, "channels": 32, "percentiles": [1, 25, 50, 75, 99],
///    "layers": [{"path", "layer"}, ...]}
///
/// and each other one is of a step (0 is before the first):
///
///   {"step", "loss", "lr", "layers": [{...}, ...]}   in the same order, with the members of LayerProbe that
///   apply: output, input and gradient as {"mean", "deviation", "percentiles", "histogram"}, ...
class LayerRecord {
 public:
  /// Begins the file, or goes on with that of a run that is resumed: lines of steps to come are removed.
  /// `seen` is told of each look.
  LayerRecord(Run& run, std::string path, int64_t every,
              std::function<void(int64_t step, const Probe&)> seen = {});
  /// Where the run has done another `every` steps. Throws FileError WRITE.
  void step(const Run& run);
  /// Keeps the weights of the last look, in layers.safetensors beside the file, with which a resumed run goes
  /// on as if it hadn't been stopped: drift and angle are changes since then. Call it before the run is
  /// saved.
  void save() const;

 private:
  void look_again(const Run& run);
  Tensor look(double lr);
  void record(const Run& run);
  std::string weights() const;

  std::string path_;
  int64_t every_, last_ = -1;
  std::function<void(int64_t, const Probe&)> seen_;
  Batch batch_;
  Sequential model_;  // the copy
  std::optional<Probe> probe_;
};

/// The file as JSON, {"about": the first line, "records": [...]}, with at most so many records, evenly
/// spaced, and of many layers fewer: about 5,000 layers in all, which are 2 MB in a page. "" if there is no
/// such file. A last line that was cut, by a crash, is left out. Throws FileError LAYERS.
std::string read_layer_record(const std::string& path, int64_t most);

}  // namespace ballast::app
