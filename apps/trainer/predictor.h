#pragma once

#include <string>
#include <vector>

#include <ballast/layers/sequential.h>

#include "trainer/checkpoint_info.h"
#include "trainer/inputs.h"

namespace ballast::app {

struct Trained;

/// A network that `ballast train` wrote, with all that it takes to use it:
///
///   const Predictor predict("runs/digits/best.safetensors");
///   const Tensor p = predict(predict.read("seven.png").x);  // (1, 10)
///   fmt::print("{}\n", predict.names()[static_cast<size_t>(argmax(p)[0])]);
///
/// Batch norms are folded into the layers before them, which moves results by rounding errors. After the
/// first calls with a batch size, none allocates memory. Several threads may use one Predictor at a time.
class Predictor {
 public:
  /// From a checkpoint or the folder of a run, which stands for its best.safetensors. Throws FileError for a
  /// file that is no checkpoint of `ballast train`, and ValueError for a folder without one.
  explicit Predictor(const std::string& path);

  /// Of samples (N, ...) with the values that files have, such as pixels from 0 to 1: probabilities of the
  /// classes (N, classes) by softmax, for each position (N, classes, positions ...); of a regression the
  /// values (N, K), in the units of the training data. Throws ShapeError for samples of another shape.
  Tensor operator()(Tensor x) const;
  /// What the network itself gives for them: logits, or standardized values.
  Tensor output(Tensor x) const;
  /// Value k of a regression in the units of the training data, from the standardized one. (In double: a time
  /// in seconds has more digits than float.)
  double in_units(double value, int64_t k) const;

  /// The samples in a file: an image, a table, an array; see `read_inputs`.
  Inputs read(const std::string& file) const { return read_inputs(file, info_); }
  /// Of the classes or of the values; "0", "1", ... where the training data had no names.
  const std::vector<std::string>& names() const { return names_; }
  const CheckpointInfo& info() const { return info_; }

 private:
  Tensor standardized(Tensor x) const;
  explicit Predictor(Trained trained);

  CheckpointInfo info_;
  std::vector<std::string> names_;
  mutable Sequential model_;     // evaluating it changes nothing
  Tensor shift_, scale_;         // of the inputs, for each channel or for all
  std::vector<double> offsets_;  // of a regression's values
};

}  // namespace ballast::app
