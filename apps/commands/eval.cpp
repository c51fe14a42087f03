#include <fmt/format.h>

#include <filesystem>

#include <ballast/data/evaluate.h>
#include <ballast/data/safetensors.h>

#include "commands/command.h"
#include "options/options.h"
#include "output.h"
#include "trainer/text.h"
#include "trainer/trained.h"

namespace ballast::app {
namespace {

struct EvalOptions {
  TrainedOptions trained;
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

int run(const EvalOptions& options) {
  use_threads(options.trained.threads);
  for (const std::string& path : checkpoints(options.trained.path)) {
    Trained trained = load_trained(path, options.trained, options.given);
    const Dataset test = data_for(trained, Needs::test, options.given).test;
    const Evaluation result = evaluate(trained.model, test, options.trained.batch_size);
    say("{}{}: {}\n", path, trained.described ? fmt::format(", epoch {}", trained.info.epoch) : "",
        test_text(result, test.kind, trained.info.target_standardization));
  }
  return 0;
}

OptionList list(EvalOptions& o) {
  return options_of(o.trained, "images at a time; the accuracy doesn't depend on it");
}

}  // namespace

extern const Command eval;
const Command eval{
    "eval", "measure a trained network's test accuracy",
    "Measures the test accuracy of a trained network: of a run's last and best epoch, or of a checkpoint.\n"
    "It needs no options: the checkpoint knows its model and its data. Those given win.",
    "Examples:\n"
    "  ballast eval runs/group                        the accuracy that training printed, last and best "
    "epoch\n"
    "  ballast eval best.safetensors --data mnist/    on other data\n"
    "  ballast eval torch.safetensors --model mlp --hidden 256 --norm none    a file that PyTorch wrote",
    invocation(list, run)};

}  // namespace ballast::app
