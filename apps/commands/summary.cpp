#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include <ballast/data/checkpoint.h>
#include <ballast/data/safetensors.h>
#include <ballast/layers/analysis/advice.h>
#include <ballast/layers/analysis/summary.h>

#include "commands/command.h"
#include "options/options.h"
#include "output.h"
#include "trainer/checkpoint_info.h"
#include "trainer/models.h"
#include "trainer/pytorch_text.h"
#include "trainer/text.h"

namespace ballast::app {
namespace {

struct SummaryOptions {
  std::string path;
  ModelOptions model;
  bool advise = false, pytorch = false;
  int64_t batch_size = 128;  // to advise for
  Given given;
};

void print_layers(const ModelSummary& found, const Shape& sample_shape) {
  size_t width = 6;
  for (const LayerSummary& layer : found.layers) width = std::max(width, layer.path.size() + 1);
  const auto print_row = [&](std::string_view path, std::string_view layer, std::string_view shape,
                             std::string_view parameters, std::string_view multiply_adds) {
    say("{:<{}}{:<32}{:<20}{:>12}{:>18}\n", path, width, layer, shape, parameters, multiply_adds);
  };
  const auto work = [](const std::optional<int64_t>& count) { return count ? grouped(*count) : "unknown"; };
  print_row("", "layer", "output, per sample", "parameters", "multiply-adds");
  print_row("", "input", sample_shape.str(), "", "");
  for (const LayerSummary& layer : found.layers)
    if (!layer.path.empty())
      print_row(layer.path, layer.layer, layer.output.without(0).str(), grouped(layer.parameters),
                work(layer.multiply_adds));
  print_row("", "total", "", grouped(found.parameters), work(found.multiply_adds));
}

/// What every rule of advice says of the model.
void print_advice(Module& model, int64_t batch_size) {
  const std::vector<Advice> found = advise(model, {.batch_size = batch_size});
  say("\nadvice, for batches of {}:\n", batch_size);
  for (const AdviceRule& rule : advice_rules()) {
    const auto applies = [&](const Advice& advice) { return advice.rule == rule.name; };
    const bool clean = std::none_of(found.begin(), found.end(), applies);
    say("{:<23}{}: {} [{}]\n", rule.name, clean ? "none" : "found", rule.about, rule.source);
    for (const Advice& advice : found)
      if (applies(advice)) say("  - {}\n", advice.text);
  }
}

void print_pytorch(const CheckpointInfo& info, const Sequential& model, const std::string& path) {
  say("# Input: {}, {}standardized, (x - mean) / std.\n", info.sample_shape.inserted(0, 1),
      info.sample_shape.rank() == 3 ? "pixels of 0 to 1, " : "");
  if (!path.empty()) {
    say("# mean = [{}], std = [{}]\n", fmt::join(info.schema.in_units(info.standardization.mean), ", "),
        fmt::join(info.standardization.std, ", "));
    if (!info.class_names.empty()) say("# Outputs: {}\n", fmt::join(info.class_names, ", "));
  }
  say("{}", pytorch_text(model));
  if (!path.empty())
    say("\n# from safetensors.torch import load_file\n# model.load_state_dict(load_file(\"{}\"))\n# "
        "model.eval()\n",
        path);
}

int run(const SummaryOptions& options) {
  CheckpointInfo info;
  const std::string path = options.path.empty() ? "" : checkpoint_of(options.path);
  if (!path.empty()) {
    info = checkpoint_info(path, SafetensorsFile(path).metadata()).value_or(info);
  }
  info.model = merged(info.model, options.model, options.given);
  check_effect(info.model, options.given);
  Sequential model = make_model(info.model, info.sample_shape, info.outputs);
  if (!path.empty()) load(path, model);
  if (options.pytorch) {
    print_pytorch(info, model, path);
    return 0;
  }
  print_layers(summarize(model, info.sample_shape.inserted(0, 1)), info.sample_shape);
  if (options.advise) print_advice(model, options.batch_size);
  return 0;
}

OptionList list(SummaryOptions& o) {
  return joined(
      joined({path_option(o.path, false)}, grouped("Model", options_of(o.model))),
      {{.name = "advise", .value = &o.advise, .help = "check it against the rules of what goes wrong"},
       {.name = "pytorch",
        .value = &o.pytorch,
        .help = "print Python code that makes the same network with PyTorch, and takes its weights"},
       {.name = "batch-size",
        .value = &o.batch_size,
        .help = "samples per training step, to advise for",
        .least = 1,
        .most = 1e9,
        .needs = "advise"}});
}

}  // namespace

extern const Command summary;
const Command summary{
    "summary", "show a network layer by layer",
    "Shows a network layer by layer: shapes, parameters and multiply-adds.",
    "Examples:\n"
    "  ballast summary                              the default model\n"
    "  ballast summary --model mlp --hidden 64,64   another one\n"
    "  ballast summary runs/group                   that of a run\n"
    "  ballast summary runs/group --pytorch         the same in PyTorch\n"
    "  ballast summary --model mlp --dropout 0.5 --advise    what is known to go wrong with it",
    invocation(list, run)};

}  // namespace ballast::app
