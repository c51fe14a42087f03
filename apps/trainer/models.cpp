#include "trainer/models.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include <ballast/core/scope.h>

#include "trainer/model_words.h"
#include "trainer/text.h"

namespace ballast::app {
namespace {

using Preset = Choice<LineMaker>;

/// The N of resnet-N; 0 if there is none, or none that can be read.
int64_t depth_of(const std::string& model) {
  const size_t dash = model.find('-');
  if (dash == std::string::npos) return 0;
  const char *begin = model.data() + dash + 1, *end = model.data() + model.size();
  int64_t depth = 0;
  const std::from_chars_result read = std::from_chars(begin, end, depth);
  return read.ec == std::errc{} && read.ptr == end ? depth : 0;
}

std::string mlp(const ModelOptions& options) {
  std::string line = "flatten";
  for (const int64_t width : options.hidden) line += fmt::format(", linear {}, norm, act, dropout", width);
  return line + ", linear";
}

/// `blocks` residual blocks of two convolutions, of which the first has this stride.
std::string stage(int64_t channels, int64_t stride, int64_t blocks) {
  const auto block = [&](const std::string& first) {
    return fmt::format("res(conv {0} 3 pad=1{1}, norm, act, conv {0} 3 pad=1, norm), act", channels, first);
  };
  if (stride == 1) return fmt::format("{}x({})", blocks, block(""));
  const std::string line = block(fmt::format(" stride={}", stride));
  return blocks == 1 ? line : fmt::format("{}, {}x({})", line, blocks - 1, block(""));
}

/// A depthwise convolution of 3 x 3 and a pointwise one.
std::string separable(int64_t from, int64_t to, int64_t stride) {
  return fmt::format("conv {0} 3 pad=1 groups={0}{1}, norm, act, conv {2} 1, norm, act", from,
                     stride == 1 ? "" : fmt::format(" stride={}", stride), to);
}

std::string resnet(const ModelOptions& options) {
  const int64_t depth = depth_of(options.model);
  check<ValueError>(depth >= 8 && depth <= 1202 && depth % 6 == 2,
                    "--model {}: the depth must be 6 n + 2: 8, 14, 20, 26, 32, 44, 56, 110, ... up to 1202",
                    options.model);
  const int64_t blocks = (depth - 2) / 6;
  return fmt::format("conv 16 3 pad=1, norm, act, {}, {}, {}, globalavgpool, flatten, linear",
                     stage(16, 1, blocks), stage(32, 2, blocks), stage(64, 2, blocks));
}

/// The preset of that name; none if it is a line, or nothing that is known.
const Preset* preset_of(const std::string& model) {
  for (const Preset& preset : presets()) {
    const bool numbered = preset.name.ends_with("-N");
    if (numbered ? model.starts_with(preset.name.substr(0, preset.name.size() - 1)) : model == preset.name)
      return &preset;
  }
  return nullptr;
}

/// A single name rather than a line.
bool is_name(const std::string& model) {
  return model.find_first_of(" ,()\n\t") == std::string::npos &&
         std::ranges::find(words(), lower(model), &Word::name) == words().end();
}

[[noreturn]] void fail_unknown(const std::string& model) {
  std::vector<std::string> names = names_of(presets());
  const std::string known = fmt::format("{}", fmt::join(names, ", "));
  names.push_back("resnet-20");
  throw ValueError(
      fmt::format("unknown model \"{}\"; known are {}, or give a line of layers, as in \"flatten, "
                  "linear 64, act, linear\"{} (ballast models lists presets and words)",
                  model, known, suggestion(model, names)));
}

void add_options_read(const std::vector<Call>& calls, Given& found) {
  for (const Call& call : calls) {
    if (call.values.empty()) found.insert(call.word->options.begin(), call.word->options.end());
    add_options_read(call.body, found);
  }
}

bool has_argument(const Call& call, const std::string& name) {
  return std::ranges::find(call.values, name, &Call::Value::name) != call.values.end();
}

/// Whether a line says more about batch norms and biases than `norm` does.
bool is_explicit(const std::vector<Call>& calls) {
  return std::ranges::any_of(calls, [](const Call& call) {
    return call.word->name == "batchnorm" || has_argument(call, "bias") || is_explicit(call.body);
  });
}

void set_bias(Call& call) {
  const std::vector<Argument>& known = call.word->arguments;
  if (std::ranges::find(known, "bias", &Argument::name) == known.end()) return;
  std::erase_if(call.values, [](const Call::Value& value) { return value.name == "bias"; });
  call.values.push_back({"bias", 1});
  //~
}

/// Without batch norms, where those of --norm are of the kind `norm`.
std::vector<Call> folded(const std::vector<Call>& calls, const std::string& norm) {
  std::vector<Call> kept;
  for (Call call : calls) {
    const std::string& name = call.word->name;
    if (name == "batchnorm" || (name == "norm" && norm == "batch")) {
      if (!kept.empty()) set_bias(kept.back());
    } else {
      call.body = folded(call.body, norm);
      kept.push_back(std::move(call));
    }
  }
  return kept;
}

}  // namespace

const Choices<LineMaker>& presets() {
  static const Choices<LineMaker> table = {
      {"mlp", "fully connected layers of the widths --hidden", mlp, {"hidden"}},
      {"lenet", "LeNet-5, LeCun et al. 1998, with max pooling and the activation chosen",
       [](const ModelOptions&) -> std::string {
         return "conv 6 5 pad=2, norm, act, maxpool 2, conv 16 5, norm, act, maxpool 2, "
                "flatten, linear 120, act, dropout, linear 84, act, dropout, linear";
       }},
      {"cnn", "two convolutions of 32 and 64 channels",
       [](const ModelOptions&) -> std::string {
         return "conv 32 3 pad=1, norm, act, maxpool 2, conv 64 3 pad=1, norm, act, maxpool 2, "
                "flatten, linear 128, act, dropout, linear";
       }},
      {"resnet-N", "residual network of N = 6 n + 2 layers for small images, He et al. 2016, section 4.2",
       resnet},
      {"vgg", "the first three stages of VGG-16, Simonyan & Zisserman 2015, for small images",
       [](const ModelOptions&) -> std::string {
         return "2x(conv 64 3 pad=1, norm, act), maxpool 2, 2x(conv 128 3 pad=1, norm, act), maxpool 2, "
                "3x(conv 256 3 pad=1, norm, act), maxpool 2, "
                "flatten, 2x(linear 512, act, dropout), linear";
       }},
      {"mobile", "depthwise separable convolutions, as in MobileNet, Howard et al. 2017, for small images",
       [](const ModelOptions&) {
         return fmt::format("conv 32 3 pad=1, norm, act, {}, {}, {}, {}, globalavgpool, flatten, linear",
                            separable(32, 64, 1), separable(64, 128, 2), separable(128, 128, 1),
                            separable(128, 256, 2));
       }},
      {"lstm", "long short-term memory over the rows of an image",
       [](const ModelOptions&) -> std::string { return "rows, lstm 128, last, linear"; }},
      {"transformer",
       "transformer over patches of 4 x 4 pixels, as in Dosovitskiy et al. 2021, with pre-norm",
       [](const ModelOptions&) -> std::string {
         return "patches 4, project 64, positions, 2x(encoder 4 ff=128 norm_first=true), average, linear";
       }},
  };
  return table;
}

ModelLine model_line(const ModelOptions& options) {
  if (const Preset* preset = preset_of(options.model))
    return parse_line(preset->make(options), options.model);
  if (is_name(options.model)) fail_unknown(options.model);
  return parse_line(options.model);
}

void check_model(const std::string& model) { model_line({.model = model}); }

Sequential make_model(const ModelOptions& options, const Shape& sample_shape, int64_t outputs) {
  return build(model_line(options), options, sample_shape, outputs);
}

Given options_read(const ModelOptions& options) {
  Given found;
  if (const Preset* preset = preset_of(options.model))
    found.insert(preset->options.begin(), preset->options.end());
  add_options_read(model_line(options).calls, found);
  return found;
}

std::string short_name(const ModelOptions& options) {
  return preset_of(options.model) ? options.model : "custom";
}

std::string description(const ModelOptions& options) {
  if (!options_read(options).contains("norm")) return options.model;
  return fmt::format("{}, {} normalization", options.model, options.norm == "none" ? "no" : options.norm);
}

ModelOptions without_batch_norms(ModelOptions options) {
  const ModelLine line = model_line(options);
  if (is_explicit(line.calls)) options.model = text_of(folded(line.calls, options.norm));
  if (options.norm == "batch") options.norm = "none";
  return options;
}

int64_t least_batch(const Sequential& model, const Shape& sample_shape, int64_t batch_size) {
  Sequential trial = model;  // a copy, since its running statistics will move
  const StatisticsScope training;
  try {
    trial(zeros(sample_shape.inserted(0, 1)));
    return 1;
  } catch (const ShapeError&) {
    if (batch_size == 1) throw;
  }
  trial(zeros(sample_shape.inserted(0, 2)));
  return 2;
}

}  // namespace ballast::app
