#include <ballast/layers/analysis/recalibrate.h>

#include <fmt/format.h>

#include <ballast/data/checkpoint.h>
#include <ballast/data/evaluate.h>
#include <ballast/data/loader.h>

#include "commands/command.h"
#include "options/options.h"
#include "output.h"
#include "trainer/models.h"
#include "trainer/text.h"
#include "trainer/trained.h"

namespace ballast::app {
namespace {

struct RecalibrateOptions {
  TrainedOptions trained;
  std::string out;
  Given given;
};

int run(const RecalibrateOptions& options) {
  use_threads(options.trained.threads);
  Trained trained = load_trained(checkpoint_of(options.trained.path), options.trained, options.given);
  const std::string out = new_file(options.out, trained.path, "recalibrated");
  const Split data = data_for(trained, Needs::all, options.given);
  const int64_t least = least_batch(trained.model, trained.info.sample_shape, options.trained.batch_size);
  Loader loader(data.train, {.batch_size = options.trained.batch_size, .min_batch = least});

  const Evaluation before = evaluate(trained.model, data.test);
  recalibrate(trained.model, loader);
  const Evaluation after = evaluate(trained.model, data.test);
  save(out, trained.model, to_metadata(trained.info, out));

  say("{}: running statistics from {} batches of up to {} {}s\n", trained.path, loader.batches(),
      options.trained.batch_size, unit_of(data.train));
  const auto text = [&](const Evaluation& test) {
    return test_text(test, data.test.kind, trained.info.target_standardization);
  };
  say("before: {}\n", text(before));
  say("after:  {}\n", text(after));
  say("written: {}\n", out);
  return 0;
}

OptionList list(RecalibrateOptions& o) {
  return joined(options_of(o.trained, "training samples per batch"),
                {out_option(o.out, "recalibrated.safetensors")});
}

}  // namespace

extern const Command recalibrate;
const Command recalibrate{
    "recalibrate", "estimate the running statistics of batch norms anew",
    "Estimates the running statistics of a trained network's batch norms anew, by one pass over the "
    "training\n"
    "samples in which every batch counts alike, and writes the network to a new file. For statistics that "
    "lag\n"
    "behind, were lost, or belong to other data (precise batch norm: Wu & Johnson 2021, arXiv:2105.07576).",
    "Examples:\n"
    "  ballast recalibrate runs/a                     writes runs/a/best-recalibrated.safetensors\n"
    "  ballast recalibrate runs/a/best.safetensors --batch-size 1024 --out better.safetensors",
    invocation(list, run)};

}  // namespace ballast::app
