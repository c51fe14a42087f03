#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include <ballast/data/evaluate.h>
#include <ballast/data/safetensors.h>

#include "commands/command.h"
#include "options/options.h"
#include "output.h"
#include "trainer/report.h"
#include "trainer/text.h"
#include "trainer/trained.h"

namespace ballast::app {
namespace {

struct EvalOptions {
  TrainedOptions trained;
  bool json = false;
  Given given;
};

/// The checkpoints meant by `path`: the file itself, or a run's last one, and its best one where that is
/// another.
std::vector<std::string> checkpoints(const std::string& path) {
  const std::string last = checkpoint_of(path), best = path + "/best.safetensors";
  const auto epoch = [](const std::string& file) {
    const auto info = checkpoint_info(file, SafetensorsFile(file).metadata());
    return info ? info->epoch : -1;
  };
  if (last == path || !std::filesystem::exists(best) || epoch(best) == epoch(last)) return {last};
  return {last, best};
}

using Json = nlohmann::ordered_json;

/// Adds figures of classes.
void add_report(Json& json, const ClassReport& report, const std::vector<std::string>& names) {
  json["expected_calibration_error"] = report.calibration_error;
  for (int64_t k = 0; k < report.classes; ++k) {
    const ClassFigures figures = report.of(k);
    json["classes"].push_back({{"name", names[static_cast<size_t>(k)]},
                               {"precision", figures.precision()},
                               {"recall", figures.recall()},
                               {"f1", figures.f1()},
                               {"samples", figures.samples()}});
    const auto row = report.confusion.begin() + k * report.classes;
    json["confusion"].push_back(std::vector<int64_t>(row, row + report.classes));
  }
}

Json json_of(const Trained& trained, const Evaluation& result, TargetKind kind) {
  Json json = {{"checkpoint", trained.path}};
  if (trained.described) json["epoch"] = trained.info.epoch;
  json["loss"] = result.loss;
  if (kind != TargetKind::values) {
    json["accuracy"] = result.accuracy();
    json["correct"] = result.correct;
    json["labels"] = result.size;
    return json;
  }
  json["r2"] = result.r2;
  const std::vector<double>& units = trained.info.target_standardization.std;
  if (units.size() == 1) {
    json["mean_absolute_error"] = result.absolute_error * units[0];
    json["root_mean_squared_error"] = std::sqrt(result.loss) * units[0];
  }
  return json;
}

void print_evaluation(Trained& trained, const Dataset& test, const EvalOptions& options) {
  const bool classes = test.kind == TargetKind::classes;
  ClassReport report;
  if (classes) report = report_on(trained.model, test, options.trained.batch_size);
  const Evaluation result =
      classes ? report.total : evaluate(trained.model, test, options.trained.batch_size);
  const std::vector<std::string> names = output_names(trained.info);
  if (options.json) {
    Json json = json_of(trained, result, test.kind);
    if (classes) add_report(json, report, names);
    say("{}\n", json.dump(-1, ' ', false, Json::error_handler_t::replace));
    return;
  }
  say("{}{}: {}\n", trained.path, trained.described ? fmt::format(", epoch {}", trained.info.epoch) : "",
      test_text(result, test.kind, trained.info.target_standardization));
  if (classes) say("{}", report_text(report, names));
}

int run(const EvalOptions& options) {
  use_threads(options.trained.threads);
  for (const std::string& path : checkpoints(options.trained.path)) {
    Trained trained = load_trained(path, options.trained, options.given);
    const Dataset test = data_for(trained, Needs::test, options.given).test;
    print_evaluation(trained, test, options);
  }
  return 0;
}

OptionList list(EvalOptions& o) {
  return joined(
      options_of(o.trained, "images at a time; the accuracy doesn't depend on it"),
      {{.name = "json",
        .value = &o.json,
        .help = "print a JSON object per checkpoint, with the confusion matrix (rows are true classes)"}});
}

}  // namespace

extern const Command eval;
const Command eval{
    "eval", "measure a trained network's test accuracy",
    "Measures the test accuracy of a trained network: of a run's last and best epoch, or of a checkpoint;\n"
    "precision, recall and F1 of each class; how often each is taken for each (of up to 20 classes); and "
    "the\n"
    "expected calibration error, by which probabilities differ from the share that is right (15 bins of "
    "equal\n"
    "width; Guo et al. 2017, arXiv:1706.04599). Of a regression, R2 and errors.\n"
    "It needs no options: the checkpoint knows its model and its data. Those given win.",
    "Examples:\n"
    "  ballast eval runs/group                        the accuracy that training printed, last and best "
    "epoch\n"
    "  ballast eval best.safetensors --data mnist/    on other data\n"
    "  ballast eval torch.safetensors --model mlp --hidden 256 --norm none    a file that PyTorch wrote",
    invocation(list, run)};

}  // namespace ballast::app
