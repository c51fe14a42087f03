#include <fmt/format.h>

#include <ballast/data/checkpoint.h>

#include "commands/command.h"
#include "options/options.h"
#include "output.h"
#include "trainer/divergence.h"
#include "trainer/trained.h"

namespace ballast::app {
namespace {

struct ImportOptions {
  std::string path, like, out;
  Given given;
};

int run(const ImportOptions& options) {
  const std::string like = checkpoint_of(options.like);
  Trained trained = load_trained(like, {}, {});
  check<ValueError>(trained.described, "--like {}: it says nothing of its model; give a run of ballast's",
                    like);
  const std::string out = new_file(options.out, options.path, "imported");
  check_not_state(options.path);
  load(options.path, trained.model);  // throws an error that lists every difference
  const std::string bad = first_not_finite(trained.model);
  check<ValueError>(bad.empty(), "{}: \"{}\" isn't finite", options.path, bad);
  save(out, trained.model, to_metadata(trained.info, out));
  say("written: {}, the network of {} with the weights of {}\n", out, like, options.path);
  return 0;
}

OptionList list(ImportOptions& o) {
  return {{.name = "FILE",
           .value = &o.path,
           .help = "a .safetensors file that PyTorch wrote",
           .positional = true,
           .required = true},
          {.name = "like",
           .value = &o.like,
           .help = "run or checkpoint of the same network, which says what else there is to know: the model, "
                   "classes and standardization",
           .placeholder = "RUN",
           .required = true},
          {.name = "out",
           .value = &o.out,
           .help = "file to write, a new one [beside FILE: <FILE>-imported.safetensors]",
           .placeholder = "FILE"}};
}

}  // namespace

extern const Command import_weights;
const Command import_weights{
    "import", "make a checkpoint of weights that PyTorch wrote",
    "Takes the weights that PyTorch saved of the network that ballast summary RUN --pytorch prints, and "
    "writes\n"
    "a checkpoint that every other command takes. Where names or shapes differ, all differences are listed "
    "and\n"
    "nothing is written.",
    "Examples:\n"
    "  save_file(model.state_dict(), \"tuned.safetensors\")                in Python\n"
    "  ballast import tuned.safetensors --like runs/a --out new.safetensors",
    invocation(list, run)};

}  // namespace ballast::app
