#include "trainer/model_words.h"

#include <algorithm>

#include <ballast/layers/activation.h>
#include <ballast/layers/conv1d.h>
#include <ballast/layers/conv2d.h>
#include <ballast/layers/dropout.h>
#include <ballast/layers/flatten.h>
#include <ballast/layers/group_norm.h>
#include <ballast/layers/linear.h>
#include <ballast/layers/pooling.h>
#include <ballast/layers/residual.h>
#include <ballast/layers/rms_norm.h>
#include <ballast/layers/upsample.h>

#include "trainer/norms.h"
#include "trainer/sequence_words.h"

namespace ballast::app {
namespace {

using Kind = Argument::Kind;

bool is_image(const Shape& shape) { return shape.rank() == 4; }

/// Throws ShapeError unless the word gets images or sequences.
void check_positions(const Place& place) {
  check<ShapeError>(place.shape().rank() == 3 || place.shape().rank() == 4,
                    "it is for images, (N, C, H, W), or for sequences, (N, C, L)");
}

/// Throws ValueError unless a window of so many positions, `size` of them read, fits with the padding.
void check_fits(const Place& place, const char* window, int64_t size, int64_t span, int64_t padding) {
  const Shape& shape = place.shape();
  const bool image = is_image(shape);
  const int64_t least = *std::min_element(shape.begin() + 2, shape.end());
  const auto square = [&](int64_t rows, int64_t cols) {
    return image ? fmt::format("{} x {}", rows, cols) : fmt::format("{}", cols);
  };
  check<ValueError>(
      span <= least + 2 * padding,
      "its {} of {} is larger than the {} there, {} {}{}; take a smaller one, more pad=, less pooling "
      "and stride before it, or larger {}",
      window, square(size, size), image ? "images" : "sequences", square(shape[2], shape[-1]),
      image ? "pixels" : "positions",
      span > size ? fmt::format(" (with its dilation it spans {})", span) : "",
      image ? "images (--shape)" : "sequences");
}

void conv(Place& place) {
  check_positions(place);
  const int64_t in = place.shape()[1], out = *place.whole("CHANNELS"), kernel = *place.whole("KERNEL");
  const int64_t stride = place.whole("stride").value_or(1), padding = place.whole("pad").value_or(0),
                dilation = place.whole("dilation").value_or(1), groups = place.whole("groups").value_or(1);
  check_fits(place, "kernel", kernel, dilation * (kernel - 1) + 1, padding);
  if (is_image(place.shape()))
    place.add(Conv2d(in, out, kernel,
                     {.stride = stride,
                      .padding = padding,
                      .dilation = dilation,
                      .groups = groups,
                      .bias = place.bias()}));
  else
    place.add(Conv1d(in, out, kernel,
                     {.stride = stride,
                      .padding = padding,
                      .dilation = dilation,
                      .groups = groups,
                      .bias = place.bias()}));
}

void convtranspose(Place& place) {
  check<ShapeError>(is_image(place.shape()), "it is for images, (N, C, H, W)");
  place.add(ConvTranspose2d(place.shape()[1], *place.whole("CHANNELS"), *place.whole("KERNEL"),
                            {.stride = place.whole("stride").value_or(1),
                             .padding = place.whole("pad").value_or(0),
                             .output_padding = place.whole("output_pad").value_or(0),
                             .bias = place.bias()}));
}

void upsample(Place& place) {
  check<ShapeError>(is_image(place.shape()), "it is for images, (N, C, H, W)");
  const bool bilinear = place.whole("bilinear").value_or(0) != 0;
  place.add(Upsample(*place.whole("FACTOR"), bilinear ? UpsampleMode::bilinear : UpsampleMode::nearest));
}

template <class Pool2d, class Pool1d>
void pool(Place& place) {
  check_positions(place);
  const int64_t size = *place.whole("SIZE"), stride = place.whole("stride").value_or(size),
                padding = place.whole("pad").value_or(0);
  check_fits(place, "window", size, size, padding);
  if (is_image(place.shape()))
    place.add(Pool2d(size, {.stride = stride, .padding = padding}));
  else
    place.add(Pool1d(size, {.stride = stride, .padding = padding}));
}

void linear(Place& place) {
  check<ShapeError>(place.shape().rank() == 2, "it is for values of shape (N, F); put flatten before it");
  const std::optional<int64_t> width = place.whole("WIDTH");
  check<ValueError>(
      width || place.is_last_of_its_name(),
      "its WIDTH is missing: only the last linear, outside of parentheses, gives the outputs of the task");
  place.add(Linear(place.shape()[1], width.value_or(place.outputs()), {.bias = place.bias()}));
}

void dropout(Place& place) {
  const std::optional<double> given = place.number("P");
  const double p = given.value_or(place.options().dropout);
  if (given || p > 0) place.add(Dropout(p));
}

/// The step with which a convolution of 1 x 1 makes `to` positions of `from`; 0 if there is none.
int64_t stride_between(int64_t from, int64_t to) {
  const int64_t stride = (from + to - 1) / to;
  //~ const int64_t stride = from / to;
  return (from + stride - 1) / stride == to ? stride : 0;
}

/// A layer that maps each position by itself to as many channels and positions as `to` has, and a norm.
Sequential projection(const Place& place, const Shape& to) {
  const Shape& from = place.shape();
  const ModelOptions& options = place.options();
  const bool bias = options.norm == "none";
  Sequential net;
  if (from.rank() == 2) {
    net.add(Linear(from[1], to[1], {.bias = bias}));
  } else {
    const int64_t h = stride_between(from[2], to[2]), w = stride_between(from[-1], to[-1]);
    check<ShapeError>(
        h > 0 && w > 0,
        "its layers give {}, which no convolution of 1 x 1 can add to; give them such a pad= that "
        "only a stride makes the image smaller",
        shape_text(to));
    if (is_image(from))
      net.add(Conv2d(from[1], to[1], 1, {.stride = {h, w}, .bias = bias}));
    else
      net.add(Conv1d(from[1], to[1], 1, {.stride = w, .bias = bias}));
  }
  find("norm", norms(), options.norm).make(net, to);
  return net;
}

void res(Place& place) {
  auto [body, shape] = place.body();
  check<ShapeError>(shape.rank() == place.shape().rank(),
                    "its layers give {}, and a sum needs as many axes on both sides", shape_text(shape));
  Sequential shortcut;
  if (shape != place.shape()) shortcut = projection(place, shape);
  place.add(Residual(std::move(body), std::move(shortcut)));
}

void groupnorm(Place& place) {
  const std::optional<int64_t> groups = place.whole("GROUPS");
  if (!groups) return place.add_norm("group");
  check_several("group", place.shape().count() / *groups);
  place.add(GroupNorm(*groups, place.shape()[1]));
}

Word norm_word(const std::string& norm, const std::string& help) {
  return {.name = norm + "norm",
          .help = help,
          .make = [norm](Place& place) { place.add_norm(norm); },
          .is_norm = true};
}

std::vector<Word> layer_words() {
  const Argument bias{
      .name = "bias", .help = "true or false [true; before a norm false]", .kind = Kind::flag};
  const std::vector<Argument> window = {
      {.name = "SIZE", .help = "of the windows", .required = true},
      {.name = "stride", .help = "from one window to the next [SIZE]"},
      {.name = "pad", .help = "positions added on each side [0]", .least = 0},
  };
  return {
      {.name = "conv",
       .help = "convolution of images, with square kernels, or of sequences",
       .arguments = {{.name = "CHANNELS", .help = "number of channels of the output", .required = true},
                     {.name = "KERNEL", .help = "size of the kernel", .required = true},
                     {.name = "pad", .help = "zeros added on each side [0]", .least = 0},
                     {.name = "stride", .help = "from one place of the kernel to the next [1]"},
                     {.name = "dilation", .help = "distance between the taps of the kernel [1]"},
                     {.name = "groups", .help = "groups of channels that are convolved separately [1]"},
                     bias},
       .make = conv},
      {.name = "maxpool",
       .help = "the largest of each window",
       .arguments = window,
       .make = pool<MaxPool2d, MaxPool1d>},
      {.name = "avgpool",
       .help = "the mean of each window",
       .arguments = window,
       .make = pool<AvgPool2d, AvgPool1d>},
      {.name = "globalavgpool",
       .help = "the mean of each channel of an image, (N, C, H, W) -> (N, C, 1, 1)",
       .make = [](Place& place) { place.add(GlobalAvgPool()); }},
      {.name = "adaptiveavgpool",
       .help = "the means of SIZE x SIZE windows that cover an image evenly",
       .arguments = {{.name = "SIZE", .help = "windows along an edge", .required = true}},
       .make = [](Place& place) { place.add(AdaptiveAvgPool2d(*place.whole("SIZE"))); }},
      {.name = "convtranspose",
       .help = "transposed convolution of images, which enlarges them by its stride",
       .arguments = {{.name = "CHANNELS", .help = "number of channels of the output", .required = true},
                     {.name = "KERNEL", .help = "size of the kernel", .required = true},
                     {.name = "pad", .help = "taken off each side of the output [0]", .least = 0},
                     {.name = "stride", .help = "pixels of the output for one of the input [1]"},
                     {.name = "output_pad", .help = "added at the end of the output [0]", .least = 0},
                     bias},
       .make = convtranspose},
      {.name = "upsample",
       .help = "images enlarged by repeating pixels",
       .arguments = {{.name = "FACTOR", .help = "how many times", .required = true, .most = 64},
                     {.name = "bilinear",
                      .help = "true or false: interpolated instead [false]",
                      .kind = Kind::flag}},
       .make = upsample},
      {.name = "flatten", .help = "(N, ...) -> (N, F)", .make = [](Place& place) { place.add(Flatten()); }},
      {.name = "linear",
       .help = "fully connected layer, (N, F) -> (N, WIDTH)",
       .arguments = {{.name = "WIDTH", .help = "number of outputs [of the last linear: what the task needs]"},
                     bias},
       .make = linear},
      {.name = "res",
       .help = "residual block, x + LINE(x); where the shapes differ, x goes through a convolution of 1 x 1 "
               "(or a linear layer) and the norm of --norm",
       .make = res,
       .has_body = true,
       .options = {"norm"}},
      {.name = "dropout",
       .help = "drops each value with probability P in training",
       .arguments = {{.name = "P",
                      .help = "[that of --dropout; at 0 there is no layer]",
                      .kind = Kind::number,
                      .least = 0,
                      .most = 1}},
       .make = dropout,
       .options = {"dropout"}},
      {.name = "channeldropout",
       .help = "drops whole channels with probability P in training",
       .arguments =
           {{.name = "P", .help = "", .required = true, .kind = Kind::number, .least = 0, .most = 1}},
       .make = [](Place& place) { place.add(Dropout2d(*place.number("P"))); }},
      {.name = "softmax",
       .help = "over channels; the loss includes that of the last layer already",
       .make = [](Place& place) { place.add(Softmax(1)); }},
  };
}

std::vector<Word> norm_words() {
  return {
      {.name = "norm",
       .help = "the norm of --norm",
       .make = [](Place& place) { place.add_norm(place.options().norm); },
       .is_norm = true,
       .options = {"norm"}},
      norm_word("batch", "batch normalization"),
      norm_word("layer", "layer normalization, over all values of a sample"),
      {.name = "groupnorm",
       .help = "group normalization",
       .arguments = {{.name = "GROUPS", .help = "groups of channels [8, 4, 2 or 1, as for --norm group]"}},
       .make = groupnorm,
       .is_norm = true},
      norm_word("instance", "instance normalization, over each channel of a sample, with weight and bias"),
      {.name = "rmsnorm",
       .help = "root mean square normalization, over all values of a sample",
       .make = [](Place& place) { place.add(RMSNorm(place.shape().without(0))); },
       .is_norm = true},
  };
}

std::vector<Word> activation_words() {
  std::vector<Word> found = {{.name = "act",
                              .help = "the activation of --act",
                              .make = [](Place& place) { place.add_activation(place.options().act); },
                              .options = {"act"}}};
  for (const Choice<ActivationMaker>& activation : activations())
    found.push_back({.name = activation.name,
                     .help = "activation",
                     .make = [name = activation.name](Place& place) { place.add_activation(name); }});
  return found;
}

std::deque<Word>& table() {
  static std::deque<Word> all = [] {
    std::deque<Word> found;
    for (auto& family : {layer_words(), sequence_words(), norm_words(), activation_words()})
      found.insert(found.end(), family.begin(), family.end());
    return found;
  }();
  return all;
}

}  // namespace

bool Argument::by_place() const {
  return std::ranges::none_of(name, [](char c) { return c >= 'a' && c <= 'z'; });
}

const std::deque<Word>& words() { return table(); }

void register_word(Word word) {
  const auto written = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  check<ValueError>(
      !word.name.empty() && std::ranges::all_of(word.name, written) && word.name[0] > '9',
      "register_word \"{}\": small letters, digits and _, beginning with a letter, can be written "
      "in a line",
      word.name);
  check<ValueError>(word.make != nullptr, "register_word \"{}\": make is missing", word.name);
  for (const Word& other : table())
    check<ValueError>(other.name != word.name, "register_word: there is a word {} already", word.name);
  table().push_back(std::move(word));
}

std::string usage(const Word& word) {
  std::string text = word.name;
  if (word.has_body) text += "(LINE)";
  for (const Argument& argument : word.arguments) {
    const std::string name = argument.name + (argument.by_place() ? "" : "=");
    text += argument.required ? " " + name : " [" + name + "]";
  }
  return text;
}

}  // namespace ballast::app
