#include "experiments/experiment.h"

namespace ballast::app::experiments {

extern const Experiment lr_tolerance, landscape;

const std::vector<const Experiment*>& all_experiments() {
  static const std::vector<const Experiment*> all = {&lr_tolerance, &landscape};
  return all;
}

}  // namespace ballast::app::experiments
