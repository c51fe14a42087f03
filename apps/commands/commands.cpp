#include "commands/command.h"

namespace ballast::app {

// clang-format off
extern const Command train, eval, predict, compare, report, plot,
    data, summary, models, explain, recalibrate, fold, certify,
    export_weights, import_weights, bench, experiment, demo;
// clang-format on

const std::vector<const Command*>& commands() {
  // clang-format off
  static const std::vector<const Command*> all = {
      &train, &eval, &predict, &compare, &report, &plot,
      &data, &summary, &models, &explain,
      &recalibrate, &fold, &certify,
      &export_weights, &import_weights, &bench, &experiment, &demo,
  };
  // clang-format on
  return all;
}

}  // namespace ballast::app
