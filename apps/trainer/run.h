#pragma once

#include <memory>
#include <optional>

#include <ballast/layers/sequential.h>
#include <ballast/optim/optimizer.h>

#include "options/options.h"
#include "trainer/checkpoint_info.h"
#include "trainer/trainer.h"

namespace ballast::app {

/// Whether a layer has running statistics, which can be frozen.
bool keeps_statistics(Module& layer);

/// What a run consists of, as its options say.
struct RunParts {
  RunParts(const TrainOptions& options, const LoadedData& data);
  /// As the model takes it.
  Dataset prepared(const Dataset& part) const;

  TrainOptions options;
  Fingerprint fingerprint;
  Standardization standardization;
  Standardization target_standardization;  // of a regression's targets
  TableSchema schema;
  Dataset test;
  Sequential model;
  std::optional<Sequential> average;  // of the model's weights, with --ema
  std::unique_ptr<Optimizer> optimizer;
};

/// A training run: everything in it follows from the options and the position.
class Run : public RunParts, public Trainer {
 public:
  /// At the beginning of training. Throws the errors of bad options and bad data.
  explicit Run(const TrainOptions& options);
  CheckpointInfo info() const;

 private:
  Run(const TrainOptions& options, const LoadedData& data);
};

}  // namespace ballast::app
