#pragma once

#include <string>
#include <vector>

#include "trainer/run.h"
#include "trainer/test_report.h"

namespace ballast::app {

/// Whether the last epoch is the best one and its validation loss is at least 2 % below that of each before.
bool still_improving(const std::vector<EpochMetrics>& history);

/// Whether a network does no better than one that always gives the most frequent class of the test samples
/// or, of a regression, their mean.
bool no_better_than_guessing(const TestReport& test);

/// What a finished run's figures say about how to do better, a line each; most often nothing. Few steps, or a
/// loss that still falls: more epochs. Few steps in each epoch: smaller batches. No better than guessing:
/// another learning rate. `folder` is the run's.
std::vector<std::string> hints(const Run& run, const TestReport& test, const std::string& folder);

}  // namespace ballast::app
