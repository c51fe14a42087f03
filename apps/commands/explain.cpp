#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include <ballast/layers/analysis/summary.h>

#include "commands/command.h"
#include "options/choice.h"
#include "options/options.h"
#include "output.h"
#include "trainer/formats.h"
#include "trainer/models.h"
#include "trainer/norm_sets.h"
#include "trainer/norms.h"
#include "trainer/text.h"

namespace ballast::app {
namespace {

struct ExplainOptions {
  std::string norm, shape = "3x32x32";
  ModelOptions model;
  int64_t batch_size = 128;
  Given given;
};

/// Cells of the drawing; the tensor has more.
constexpr int64_t samples = 5, channels = 8, positions = 4;

/// Whether a cell shares its mean and variance with the first one; `together` are the cells of a group.
bool shared(const NormInfo& norm, int64_t together, int64_t n, int64_t c, int64_t p) {
  return (norm.over_batch || n == 0) && c < together && (norm.over_positions || p == 0);
}

/// A box seen from the front, above and the right, as in Wu & He 2018, figure 2: channels across, positions
/// down, samples to the back.
std::vector<std::string> drawing(const NormInfo& norm, const Shape& x) {
  const int64_t height = x.rank() > 2 ? positions : 1;
  const int64_t groups = std::max<int64_t>(1, x[1] / norm.channels_together);
  const int64_t together = norm.channels_together == 1 ? 1 : std::max<int64_t>(2, channels / groups);
  std::vector<std::string> rows(static_cast<size_t>(height + samples - 1),
                                std::string(static_cast<size_t>(2 * channels + 2 * samples), ' '));
  // From the back to the front, so that what is nearer covers what is behind.
  for (int64_t n = samples - 1; n >= 0; --n)
    for (int64_t p = 0; p < height; ++p)
      for (int64_t c = 0; c < channels; ++c)
        rows[static_cast<size_t>(p + samples - 1 - n)][static_cast<size_t>(2 * (c + n))] =
            shared(norm, together, n, c, p) ? '#' : '.';
  for (std::string& row : rows) row.erase(row.find_last_not_of(' ') + 1);
  return rows;
}

void print_norm(const LayerSummary& layer, const NormInfo& norm, bool draw) {
  const Shape& x = layer.input;
  say("\n{} {}: x of {}\n", layer.path, layer.layer, x);
  say("  {}\n", norm_text(norm, x));
  if (norm.weight && !norm.weight->empty())
    say("  {} scales and shifts, which are learned\n", grouped(norm.channels));
  if (!draw) return;
  say("\n");
  for (const std::string& row : drawing(norm, x)) say("    {}\n", row);
  say("\n    across: channels; down: positions (pixels); to the back: samples; # share a mean and variance "
      "with the\n"
      "    first value of the first sample\n");
}

int run(const ExplainOptions& given) {
  ExplainOptions options = given;
  options.model.norm = options.norm;
  check_effect(options.model, options.given);
  const Shape given_shape = parse_shape(options.shape);
  const Shape shape = given_shape.rank() == 2 ? given_shape.inserted(0, 1) : given_shape;
  check<ValueError>(options.norm != "none", "none normalizes nothing; give another of the norms");
  Sequential model = make_model(options.model, shape, 10);
  std::vector<LayerSummary> layers = summarize(model, shape.inserted(0, options.batch_size)).layers;
  std::erase_if(layers, [](const LayerSummary& layer) { return !layer.module->info().norm; });
  check<ValueError>(!layers.empty(), "--model {}: it has no norm; put the word norm into its line",
                    options.model.model);
  say("{}, batches of {} samples of {}\n", description(options.model), options.batch_size, shape);
  std::vector<std::string> drawn;
  for (const LayerSummary& layer : layers) {
    const NormInfo norm = by_channels(*layer.module->info().norm, layer.input);
    const std::string picture = fmt::format("{}", fmt::join(drawing(norm, layer.input), "\n"));
    const bool first = std::ranges::find(drawn, picture) == drawn.end();
    if (first) drawn.push_back(picture);
    print_norm(layer, norm, first);
  }
  return 0;
}

OptionList list(ExplainOptions& o) {
  OptionList options = {{.name = "NORM",
                         .value = &o.norm,
                         .help = "one of the values of --norm: " + help_of(norms()),
                         .choices = names_of(norms()),
                         .positional = true,
                         .required = true}};
  for (const Option& option : options_of(o.model))
    if (option.name != "norm") options.push_back(option);
  return joined(
      options,
      {{.name = "shape", .value = &o.shape, .help = "of a sample, as in 3x32x32", .placeholder = "SHAPE"},
       {.name = "batch-size", .value = &o.batch_size, .help = "samples per step", .least = 2, .most = 1e6}});
}

}  // namespace

extern const Command explain;
const Command explain{
    "explain", "draw what a normalization averages over",
    "Says of each norm of a model how many means and variances there are and of which values, and draws the\n"
    "box of samples, channels and positions with those that share them (Wu & He 2018, arXiv:1803.08494).",
    "Examples:\n"
    "  ballast explain batch                      in the cnn, on images of 3 x 32 x 32\n"
    "  ballast explain layer --model mlp --shape 1x28x28",
    invocation(list, run)};

}  // namespace ballast::app
