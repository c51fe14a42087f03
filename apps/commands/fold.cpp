#include <ballast/layers/analysis/fold.h>

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <map>

#include <ballast/core/ops/reduce.h>
#include <ballast/core/predict.h>
#include <ballast/data/checkpoint.h>
#include <ballast/data/loader.h>

#include "commands/command.h"
#include "options/options.h"
#include "output.h"
#include "trainer/models.h"
#include "trainer/text.h"
#include "trainer/trained.h"

namespace ballast::app {
namespace {

struct FoldOptions {
  TrainedOptions trained;
  std::string out;
  Given given;
};

using Names = std::map<std::string, std::string>;  // path -> "path (Layer)"

Names layer_names(Module& model) {
  Names names;
  for_each_module(model, [&](const std::string& path, Module& part) {
    names[path] = fmt::format("{} ({})", path, part.describe());
  });
  return names;
}

/// How far the outputs of two networks are apart over a data set.
struct Comparison {
  int64_t size = 0, equal_predictions = 0;  // of classes; a regression has no predictions that could be equal
  double difference = 0, largest = 0;       // infinite where an output isn't finite
};

Comparison compare(Module& a, Module& b, const Dataset& data, int64_t batch_size) {
  Comparison found;
  for (const Batch& batch : Loader(data, {.batch_size = batch_size, .shuffle = false})) {
    const Tensor logits = predict(a, batch.x), others = predict(b, batch.x);
    for (int64_t i = 0; i < logits.count(); ++i) {
      const double value = logits.data()[i], difference = std::abs(value - others.data()[i]);
      found.largest = std::max(found.largest, std::abs(value));
      found.difference = std::max(found.difference, std::isnan(difference) ? INFINITY : difference);
    }
    found.size += batch.size();
    if (batch.kind != TargetKind::classes) continue;
    const Labels predicted = argmax(logits), other = argmax(others);
    for (int64_t n = 0; n < predicted.size(); ++n) found.equal_predictions += predicted[n] == other[n];
  }
  return found;
}

double seconds_of(Module& model, const Tensor& x) {
  const auto start = std::chrono::steady_clock::now();
  predict(model, x);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Images per second of inference, alternating between both, best of 25 runs.
std::pair<double, double> images_per_s(Module& a, Module& b, const Dataset& data, int64_t batch_size) {
  Loader loader(data, {.batch_size = batch_size, .shuffle = false});
  const Tensor x = (*loader.begin()).x;
  double best_a = INFINITY, best_b = INFINITY;
  for (int round = 0; round < 25; ++round) {
    best_a = std::min(best_a, seconds_of(a, x));
    best_b = std::min(best_b, seconds_of(b, x));
  }
  const double images = static_cast<double>(x.size(0));
  return {images / best_a, images / best_b};
}

void check_folded(const FoldReport& report, const Names& names, const std::string& path) {
  std::string kept;
  for (const FoldReport::Kept& k : report.kept) kept += fmt::format("; {}: {}", names.at(k.norm), k.reason);
  check<ValueError>(report.kept.empty(), "{}: can't be folded{}", path, kept);
  check<ValueError>(
      !report.folded.empty(),
      "{}: there is nothing to fold: the network has no batch norm (other norms depend on the sample, "
      "and no layer can do their work)",
      path);
}

int run(const FoldOptions& options) {
  use_threads(options.trained.threads);
  Trained trained = load_trained(checkpoint_of(options.trained.path), options.trained, options.given);
  const std::string out = new_file(options.out, trained.path, "folded");
  Sequential folded = trained.model;
  const Names names = layer_names(folded);
  const FoldReport report = fold(folded);
  check_folded(report, names, trained.path);

  const Dataset test = data_for(trained, Needs::test, options.given).test;
  const Comparison found = compare(trained.model, folded, test, options.trained.batch_size);
  check<ValueError>(
      found.difference <= 1e-3 * found.largest,
      "{}: folding would change the outputs by up to {:.1e}, where the largest is {:.1e}; nothing was "
      "written (are its weights and running statistics finite?)",
      trained.path, found.difference, found.largest);
  trained.info.model = without_batch_norms(trained.info.model);
  // What it was compared on doesn't change what it was trained on.
  if (trained.saved_data) trained.info.data = *trained.saved_data;
  save(out, folded, to_metadata(trained.info, out));

  for (const FoldReport::Folded& f : report.folded)
    say("{} folded into {}\n", names.at(f.norm), names.at(f.into));
  const auto [before, after] = images_per_s(trained.model, folded, test, options.trained.batch_size);
  const auto bytes = [](const std::string& path) {
    return static_cast<int64_t>(std::filesystem::file_size(path));
  };
  say("{:<12}{:>14}{:>14}\n", "", "before", "after");
  say("{:<12}{:>14}{:>14}\n", "parameters", grouped(parameter_count(trained.model)),
      grouped(parameter_count(folded)));
  say("{:<12}{:>14}{:>14}\n", "bytes", grouped(bytes(trained.path)), grouped(bytes(out)));
  say("{:<12}{:>14.0f}{:>14.0f}  ({:.2f} times as fast)\n", std::string(unit_of(test)) + "s/s", before, after,
      after / before);
  const std::string unit = unit_of(test);
  if (test.kind == TargetKind::classes)
    say("equal predictions on {} of {} test {}s\n", found.equal_predictions, found.size, unit);
  say("outputs for {} test {}s differ by at most {:.1e} ({:.1e} of the largest)\n", found.size, unit,
      found.difference, found.difference / found.largest);
  say("written: {}\n", out);
  return 0;
}

OptionList list(FoldOptions& o) {
  return joined(options_of(o.trained, "samples at a time"), {out_option(o.out, "folded.safetensors")});
}

}  // namespace

extern const Command fold;
const Command fold{
    "fold", "fold batch norms into the layers before them",
    "Folds every batch norm of a trained network into the layer before it, for inference, and writes the\n"
    "network to a new, smaller file: the same model with --norm none. Compares the two on the test images:\n"
    "predictions, logits and speed (Jacob et al. 2018, arXiv:1712.05877, sec. 3.2).",
    "Examples:\n"
    "  ballast fold runs/a                            writes runs/a/last-folded.safetensors\n"
    "  ballast eval runs/a/last-folded.safetensors    the same accuracy, faster",
    invocation(list, run)};

}  // namespace ballast::app
