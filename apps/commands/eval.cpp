#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "commands/command.h"
#include "options/options.h"
#include "output.h"
#include "trainer/test_report.h"
#include "trainer/text.h"
#include "trainer/trained.h"

namespace ballast::app {
namespace {

struct EvalOptions {
  TrainedOptions trained;
  bool json = false;
  Given given;
};

void print_evaluation(Trained& trained, const Dataset& test, const EvalOptions& options) {
  const TestReport report = test_report(trained.model, test, options.trained.batch_size);
  if (options.json) {
    using Json = nlohmann::ordered_json;
    Json json = {{"checkpoint", trained.path}};
    if (trained.described) json["epoch"] = trained.info.epoch;
    json.update(Json::parse(to_json(report, trained.info)));
    say("{}\n", json.dump(-1, ' ', false, Json::error_handler_t::replace));
    return;
  }
  say("{}{}: {}\n", trained.path, trained.described ? fmt::format(", epoch {}", trained.info.epoch) : "",
      test_text(report.total, report.kind, trained.info.target_standardization));
  if (report.classes.classes > 0) say("{}", report_text(report.classes, output_names(trained.info)));
}

int run(const EvalOptions& options) {
  use_threads(options.trained.threads);
  Trained trained = load_trained(checkpoint_of(options.trained.path), options.trained, options.given);
  const Dataset test = data_for(trained, Needs::test, options.given).test;
  print_evaluation(trained, test, options);
  return 0;
}

OptionList list(EvalOptions& o) {
  return joined(options_of(o.trained, "samples at a time; the accuracy doesn't depend on it"),
                {{.name = "json",
                  .value = &o.json,
                  .help = "print a JSON object, with the confusion matrix (rows are true classes)"}});
}

}  // namespace

extern const Command eval;
const Command eval{
    "eval", "measure a trained network's test accuracy",
    "Measures the test accuracy of a trained network: of a run's best epoch, or of a checkpoint;\n"
    "precision, recall and F1 of each class; how often each is taken for each (of up to 20 classes); and "
    "the\n"
    "expected calibration error, by which probabilities differ from the share that is right (15 bins of "
    "equal\n"
    "width; Guo et al. 2017, arXiv:1706.04599). Of a class for each pixel also the intersection over union, "
    "\n"
    "tp / (tp + fp + fn), of each class and their mean. Of a regression, R2 and errors.\n"
    "It needs no options: the checkpoint knows its model and its data. Those given win.",
    "Examples:\n"
    "  ballast eval runs/group                        the accuracy that training printed, of the best epoch\n"
    "  ballast eval runs/group/last.safetensors       that of the last epoch\n"
    "  ballast eval best.safetensors --data mnist/    on other data\n"
    "  ballast eval torch.safetensors --model mlp --hidden 256 --norm none    a file that PyTorch wrote",
    invocation(list, run)};

}  // namespace ballast::app
