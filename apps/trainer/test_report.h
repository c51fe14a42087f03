#pragma once

#include <string>
#include <vector>

#include <ballast/data/image.h>

#include "trainer/checkpoint_info.h"
#include "trainer/report.h"

namespace ballast::app {

/// What a network achieves on the samples of a test, by what their targets are.
struct TestReport {
  TargetKind kind = TargetKind::classes;
  Evaluation total;
  ClassReport classes = {};                      // of classes; of positions unless there are too many
  std::vector<real> targets = {}, outputs = {};  // of a regression: (samples, values), standardized; of at
                                                 // most 500 samples, evenly spaced
};

/// The image that was standardized as `x`, of one or three channels.
Image image_of(const std::vector<real>& x, const Shape& shape, const Standardization& standardization);

TestReport test_report(Module& model, const Dataset& test, int64_t batch_size = 256);

/// As members of a JSON object, without its braces' neighbours: loss, accuracy or errors in the units of the
/// targets, figures of each class, the confusion matrix.
std::string to_json(const TestReport& report, const CheckpointInfo& info);

/// The same, and the mistakes made with the highest confidence, with pictures where samples are images, or a
/// regression's targets and what was predicted, in units of the targets. `test` are the samples of the
/// report.
std::string to_json(const TestReport& report, const CheckpointInfo& info, const Dataset& test);

}  // namespace ballast::app
