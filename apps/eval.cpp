#include <fmt/format.h>

#include <filesystem>

#include <ballast/data/evaluate.h>
#include <ballast/data/safetensors.h>

#include "commands.h"
#include "text.h"
#include "trained.h"

namespace ballast::inline BALLAST_PRECISION {
namespace {

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

}  // namespace

int eval(const EvalOptions& options) {
  use_threads(options.threads);
  for (const std::string& path : checkpoints(options.path)) {
    Trained trained = load_trained(path, options);
    const Dataset test = data_for(trained, Needs::test).test;
    const Evaluation result = evaluate(trained.model, test, options.batch_size);
    fmt::print("{}{}: test accuracy {}, loss {:.4f}\n", path,
               trained.described ? fmt::format(", epoch {}", trained.info.epoch) : "",
               accuracy_text(result.correct, result.size), result.loss);
  }
  return 0;
}

}  // namespace ballast::inline BALLAST_PRECISION
