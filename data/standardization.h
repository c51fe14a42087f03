#pragma once

#include <vector>

#include <ballast/data/dataset.h>

namespace ballast::inline BALLAST_PRECISION {

/// What samples are shifted and scaled by: one mean and one standard deviation for all values, as is usual
/// for MNIST (0.1307, 0.3081), or one of each per channel, which is the first axis of a sample (the colours
/// of an image, the columns of a table).
struct Standardization {
  std::vector<double> mean = {0}, std = {1};
};

/// Over all values of all samples; the biased deviation. The same bits on any number of threads. Throws
/// ValueError without values.
Standardization measure(const Dataset& dataset);
/// The same for each channel. The deviation of a constant channel is given as 1, so that its values become 0.
Standardization measure_channels(const Dataset& dataset);

/// Reads (x - mean) / std. Throws ValueError unless each std > 0 and there is one, or one per channel.
Dataset standardized(Dataset dataset, const Standardization& standardization);

/// Mean and biased deviation of each column of a regression's targets, 1 where that is 0. With targets
/// (y - mean) / std a model begins near them whatever their unit, and columns of different units count alike.
/// Throws UsageError where targets are labels.
Standardization measure_targets(const Dataset& dataset);
/// Gives targets (y - mean) / std. Throws ValueError unless each std > 0 and there is one per column, and
/// UsageError where targets are labels.
Dataset standardized_targets(Dataset dataset, const Standardization& standardization);

}  // namespace ballast::inline BALLAST_PRECISION
