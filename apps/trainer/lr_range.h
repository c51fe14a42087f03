#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "trainer/figure.h"
#include "trainer/run.h"

namespace ballast::app {

/// A step of the range test.
struct LrTrial {
  double lr = 0;
  double loss = 0;      // of the step's samples, before the step
  double smoothed = 0;  // its exponential moving average, without the bias towards 0 at the beginning
};

struct LrRangeOptions {
  double from = 1e-7, to = 10;  // the rates of the first and the last step
  int64_t steps = 100;
  double smoothing = 0.9;  // what the average keeps of its value in a step
  double most_loss = 4;    // the test ends where the smoothed loss exceeds its least value so many times
};

/// The learning rate range test (Smith 2015, arXiv:1506.01186, section 3.3) as fastai does it: trains while
/// the rate grows exponentially and the loss is smoothed. `step` trains with a rate and returns the loss
/// before that. The test ends early where the loss isn't finite, which is then no trial, or grows large.
std::vector<LrTrial> lr_range(const std::function<double(double lr)>& step,
                              const LrRangeOptions& options = {});

/// Of a run, epoch after epoch if need be. Afterwards the run and the random state are what they were.
std::vector<LrTrial> lr_range(Run& run, const LrRangeOptions& options = {});

/// The trial with the least smoothed loss. Throws ValueError if there is none, or if it is the first one:
/// then no rate made the loss fall.
const LrTrial& least_loss(const std::vector<LrTrial>& trials);

/// A third of the rate at which the smoothed loss is least, on two digits. The average lags some steps behind
/// the loss, and what a short test bears may be too much for a long training.
double suggested_lr(const std::vector<LrTrial>& trials);

/// Every sixth trial and the one with the least loss, as lines of a table.
std::string table_of(const std::vector<LrTrial>& trials);

/// Loss and smoothed loss by rate, and where the suggestion is.
Plot plot_of(const std::vector<LrTrial>& trials);

}  // namespace ballast::app
