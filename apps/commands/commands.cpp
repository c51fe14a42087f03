#include "commands/command.h"

namespace ballast::app {

extern const Command train, eval, predict, data, summary, models, recalibrate, fold, certify, export_weights,
    import_weights, bench;

const std::vector<const Command*>& commands() {
  static const std::vector<const Command*> all = {&train,   &eval,           &predict,        &data,
                                                  &summary, &models,         &recalibrate,    &fold,
                                                  &certify, &export_weights, &import_weights, &bench};
  return all;
}

}  // namespace ballast::app
