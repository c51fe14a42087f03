#include "trainer/pytorch_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ballast/layers/activation.h>
#include <ballast/layers/attention.h>
#include <ballast/layers/batch_norm.h>
#include <ballast/layers/conv1d.h>
#include <ballast/layers/conv2d.h>
#include <ballast/layers/dropout.h>
#include <ballast/layers/embedding.h>
#include <ballast/layers/flatten.h>
#include <ballast/layers/group_norm.h>
#include <ballast/layers/instance_norm.h>
#include <ballast/layers/layer_norm.h>
#include <ballast/layers/linear.h>
#include <ballast/layers/pooling.h>
#include <ballast/layers/recurrent.h>
#include <ballast/layers/residual.h>
#include <ballast/layers/rms_norm.h>
#include <ballast/layers/sequence.h>
#include <ballast/layers/upsample.h>

namespace ballast::app {
namespace {

/// The arguments of a call, those that are PyTorch's defaults left out.
class Call {
 public:
  explicit Call(const std::string& name) : name_(name) {}

  template <class Value>
  Call& with(const Value& value) {
    arguments_.push_back(text(value));
    return *this;
  }
  template <class Value>
  Call& with(const char* name, const Value& value, const Value& standard) {
    if (value != standard) arguments_.push_back(fmt::format("{}={}", name, text(value)));
    return *this;
  }
  std::string str() const { return fmt::format("nn.{}", own()); }
  /// Of a class that stands in the text itself.
  std::string own() const { return fmt::format("{}({})", name_, fmt::join(arguments_, ", ")); }

 private:
  static std::string text(int64_t value) { return fmt::format("{}", value); }
  static std::string text(int value) { return fmt::format("{}", value); }
  static std::string text(float value) { return fmt::format("{}", value); }
  static std::string text(double value) { return fmt::format("{}", value); }
  static std::string text(const std::string& value) { return fmt::format("\"{}\"", value); }
  static std::string text(bool value) { return value ? "True" : "False"; }
  static std::string text(const Pair& pair) {
    return pair.h == pair.w ? fmt::format("{}", pair.h) : fmt::format("({}, {})", pair.h, pair.w);
  }
  static std::string text(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }
  static std::string text(const std::optional<double>& value) {
    return value ? fmt::format("{}", *value) : "None";
  }

  std::string name_;
  std::vector<std::string> arguments_;
};

bool has(const Parameter& parameter) { return !parameter.empty(); }

std::string tracking_norm(const char* name, const TrackingNorm& norm, bool affine, bool tracks) {
  const BatchNormOptions& o = norm.options;
  return Call(name)
      .with(norm.channels)
      .with("eps", o.eps, real(1e-5))
      .with("momentum", o.momentum, std::optional<double>(0.1))
      .with("affine", o.affine, affine)
      .with("track_running_stats", o.track_running_stats, tracks)
      .str();
}

template <class Pool>
std::string pool2d(const char* name, const Pool& pool) {
  return Call(name)
      .with(pool.window)
      .with("stride", pool.options.stride.value_or(pool.window), pool.window)
      .with("padding", pool.options.padding, Pair(0))
      .with("ceil_mode", pool.options.ceil_mode, false)
      .with("count_include_pad", pool.options.count_include_pad, true)
      .str();
}

template <class Pool>
std::string pool1d(const char* name, const Pool& pool) {
  return Call(name)
      .with(pool.window.w)
      .with("stride", pool.options.stride.value_or(pool.window).w, pool.window.w)
      .with("padding", pool.options.padding.w, int64_t{0})
      .str();
}

// One function for each layer.

std::string text_of(const Linear& l) {
  const Shape& w = l.weight.shape();
  return Call("Linear").with(w[1]).with(w[0]).with("bias", has(l.bias), true).str();
}
std::string text_of(const Conv2d& l) {
  const Shape& w = l.weight.shape();
  return Call("Conv2d")
      .with(w[1] * l.options.groups)
      .with(w[0])
      .with(Pair(w[2], w[3]))
      .with("stride", l.options.stride, Pair(1))
      .with("padding", l.options.padding, Pair(0))
      .with("dilation", l.options.dilation, Pair(1))
      .with("groups", l.options.groups, int64_t{1})
      .with("bias", has(l.bias), true)
      .str();
}
std::string text_of(const Conv1d& l) {
  const Shape& w = l.weight.shape();
  return Call("Conv1d")
      .with(w[1] * l.options.groups)
      .with(w[0])
      .with(w[2])
      .with("stride", l.options.stride.w, int64_t{1})
      .with("padding", l.options.padding.w, int64_t{0})
      .with("dilation", l.options.dilation.w, int64_t{1})
      .with("groups", l.options.groups, int64_t{1})
      .with("bias", has(l.bias), true)
      .str();
}
std::string text_of(const MaxPool2d& l) { return pool2d("MaxPool2d", l); }
std::string text_of(const AvgPool2d& l) { return pool2d("AvgPool2d", l); }
std::string text_of(const MaxPool1d& l) { return pool1d("MaxPool1d", l); }
std::string text_of(const AvgPool1d& l) { return pool1d("AvgPool1d", l); }
std::string text_of(const GlobalAvgPool&) { return "nn.AdaptiveAvgPool2d(1)"; }
std::string text_of(const Flatten&) { return "nn.Flatten()"; }
std::string text_of(const Dropout& l) { return Call("Dropout").with(l.p).str(); }
std::string text_of(const ReLU&) { return "nn.ReLU()"; }
std::string text_of(const LeakyReLU& l) { return Call("LeakyReLU").with(l.slope).str(); }
std::string text_of(const Sigmoid&) { return "nn.Sigmoid()"; }
std::string text_of(const Tanh&) { return "nn.Tanh()"; }
std::string text_of(const SiLU&) { return "nn.SiLU()"; }
std::string text_of(const GELU&) { return "nn.GELU()"; }
std::string text_of(const Softmax& l) { return Call("Softmax").with(l.axis).str(); }
std::string text_of(const BatchNorm1d& l) { return tracking_norm("BatchNorm1d", l, true, true); }
std::string text_of(const BatchNorm2d& l) { return tracking_norm("BatchNorm2d", l, true, true); }
std::string text_of(const InstanceNorm1d& l) { return tracking_norm("InstanceNorm1d", l, false, false); }
std::string text_of(const InstanceNorm2d& l) { return tracking_norm("InstanceNorm2d", l, false, false); }
std::string text_of(const LayerNorm& l) {
  return Call("LayerNorm")
      .with(l.shape)
      .with("eps", l.eps, real(1e-5))
      .with("elementwise_affine", has(l.weight), true)
      .str();
}
std::string text_of(const GroupNorm& l) {
  return Call("GroupNorm")
      .with(l.groups)
      .with(l.channels)
      .with("eps", l.eps, real(1e-5))
      .with("affine", has(l.weight), true)
      .str();
}
std::string text_of(const RMSNorm& l) {
  return Call("RMSNorm")
      .with(l.shape)
      .with("eps", l.eps, real(0))
      .with("elementwise_affine", has(l.weight), true)
      .str();
}

std::string text_of(const AdaptiveAvgPool2d& l) { return Call("AdaptiveAvgPool2d").with(l.size).str(); }
std::string text_of(const Upsample& l) {
  const bool bilinear = l.mode == UpsampleMode::bilinear;
  return fmt::format("nn.Upsample(scale_factor={}{})",
                     l.factor.h == l.factor.w ? fmt::format("{}", l.factor.h)
                                              : fmt::format("({}, {})", l.factor.h, l.factor.w),
                     bilinear ? ", mode=\"bilinear\"" : "");
}
std::string text_of(const ConvTranspose2d& l) {
  const Shape& w = l.weight.shape();
  return Call("ConvTranspose2d")
      .with(w[0])
      .with(w[1] * l.options.groups)
      .with(Pair(w[2], w[3]))
      .with("stride", l.options.stride, Pair(1))
      .with("padding", l.options.padding, Pair(0))
      .with("output_padding", l.options.output_padding, Pair(0))
      .with("dilation", l.options.dilation, Pair(1))
      .with("groups", l.options.groups, int64_t{1})
      .with("bias", has(l.bias), true)
      .str();
}
std::string text_of(const Dropout2d& l) { return Call("Dropout2d").with(l.p).str(); }
std::string text_of(const ELU& l) { return Call("ELU").with(l.alpha).str(); }
std::string text_of(const Softplus&) { return "nn.Softplus()"; }
std::string text_of(const Embedding& l) {
  return Call("Embedding").with(l.weight.shape()[0]).with(l.weight.shape()[1]).own();
}
std::string text_of(const PositionEmbedding& l) {
  return Call("PositionEmbedding").with(l.weight.shape()[0]).with(l.weight.shape()[1]).own();
}
std::string text_of(const Rows&) { return "Rows()"; }
std::string text_of(const Patches& l) { return Call("Patches").with(l.size).own(); }
std::string text_of(const LastPosition&) { return "LastPosition()"; }
std::string text_of(const MeanPosition&) { return "MeanPosition()"; }

std::string recurrent(const char* name, const RecurrentLayer& l) {
  const RecurrentOptions& o = l.options();
  if (o.layer_norm) return "";
  return Call(name)
      .with(l.in())
      .with(l.hidden())
      .with("num_layers", o.layers, int64_t{1})
      .with("bias", o.bias, true)
      .with("batch_first", true, false)
      .with("dropout", o.dropout, 0.0)
      .with("bidirectional", o.bidirectional, false)
      .own();
}
std::string text_of(const RNN& l) { return recurrent("RNN", l); }
std::string text_of(const GRU& l) { return recurrent("GRU", l); }
std::string text_of(const LSTM& l) { return recurrent("LSTM", l); }
std::string text_of(const MultiheadAttention& l) {
  if (l.causal) return "";
  return Call("MultiheadAttention")
      .with(l.width)
      .with(l.heads)
      .with("bias", has(l.in_proj_bias), true)
      .with("batch_first", true, false)
      .own();
}
std::string text_of(const TransformerEncoderLayer& l) {
  const TransformerEncoderLayerOptions& o = l.options;
  if (o.causal) return "";
  return Call("TransformerEncoderLayer")
      .with(l.self_attn.width)
      .with(l.self_attn.heads)
      .with(o.feedforward)
      .with(o.dropout)
      .with("activation", std::string(o.gelu ? "gelu" : "relu"), std::string("relu"))
      .with("batch_first", true, false)
      .with("norm_first", o.norm_first, false)
      .str();
}

/// The text of a layer of one of these types; "" for others.
template <class... Layers>
std::string text_of_any(const Module& layer) {
  std::string text;
  const auto attempt = [&]<class Layer>(const Layer*) {
    if (typeid(layer) == typeid(Layer)) text = text_of(static_cast<const Layer&>(layer));
  };
  (attempt(static_cast<const Layers*>(nullptr)), ...);
  return text;
}

std::string text_of_sequence(const Sequential& model, const std::string& indent);

std::string text_of_layer(const Module& layer, const std::string& indent) {
  if (typeid(layer) == typeid(Sequential))
    return text_of_sequence(static_cast<const Sequential&>(layer), indent);
  if (typeid(layer) == typeid(Residual)) {
    const auto& residual = static_cast<const Residual&>(layer);
    return fmt::format("Residual({}, {})", text_of_sequence(residual.body, indent),
                       text_of_sequence(residual.shortcut, indent));
  }
  const std::string text =
      text_of_any<Linear, Conv2d, Conv1d, MaxPool2d, AvgPool2d, MaxPool1d, AvgPool1d, GlobalAvgPool, Flatten,
                  Dropout, ReLU, LeakyReLU, Sigmoid, Tanh, SiLU, GELU, Softmax, BatchNorm1d, BatchNorm2d,
                  InstanceNorm1d, InstanceNorm2d, LayerNorm, GroupNorm, RMSNorm, AdaptiveAvgPool2d, Upsample,
                  ConvTranspose2d, Dropout2d, ELU, Softplus, Embedding, PositionEmbedding, Rows, Patches,
                  LastPosition, MeanPosition, RNN, GRU, LSTM, MultiheadAttention, TransformerEncoderLayer>(
          layer);
  check<ValueError>(!text.empty(), "{}: PyTorch has no such layer", layer.describe());
  return text;
}

std::string text_of_sequence(const Sequential& model, const std::string& indent) {
  if (model.size() == 0) return "nn.Sequential()";
  std::string text = "nn.Sequential(\n";
  for (size_t i = 0; i < model.size(); ++i)
    text += fmt::format("{0}    {1},  # {2}\n", indent, text_of_layer(model[i], indent + "    "), i);
  return text + indent + ")";
}

/// Classes that PyTorch lacks, or whose call isn't that of a layer in a Sequential: those that a text uses
/// stand before it.
struct OwnClass {
  const char *name, *text;
};
constexpr OwnClass own_classes[] = {
    {"Residual", R"(
class Residual(nn.Module):
    def __init__(self, body, shortcut):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x):
        return self.body(x) + self.shortcut(x)

)"},
    {"Rows", R"(
class Rows(nn.Module):
    def forward(self, x):
        return x.transpose(1, 2).flatten(2)

)"},
    {"Patches", R"(
class Patches(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        return nn.functional.unfold(x, self.size, stride=self.size).transpose(1, 2)

)"},
    {"Embedding", R"(
class Embedding(nn.Embedding):
    def forward(self, x):
        return super().forward(x.long())

)"},
    {"PositionEmbedding", R"(
class PositionEmbedding(nn.Module):
    def __init__(self, length, width):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(length, width))

    def forward(self, x):
        return x + self.weight[:x.shape[1]]

)"},
    {"LastPosition", R"(
class LastPosition(nn.Module):
    def forward(self, x):
        return x[:, -1]

)"},
    {"MeanPosition", R"(
class MeanPosition(nn.Module):
    def forward(self, x):
        return x.mean(1)

)"},
    {"RNN", R"(
class RNN(nn.RNN):
    def forward(self, x):
        return super().forward(x)[0]

)"},
    {"GRU", R"(
class GRU(nn.GRU):
    def forward(self, x):
        return super().forward(x)[0]

)"},
    {"LSTM", R"(
class LSTM(nn.LSTM):
    def forward(self, x):
        return super().forward(x)[0]

)"},
    {"MultiheadAttention", R"(
class MultiheadAttention(nn.MultiheadAttention):
    def forward(self, x):
        return super().forward(x, x, x, need_weights=False)[0]

)"},
};

}  // namespace

std::string pytorch_text(const Sequential& model) {
  const std::string network = text_of_sequence(model, "");
  std::string classes;
  for (const OwnClass& own : own_classes)
    if (network.find(fmt::format(" {}(", own.name)) != std::string::npos) classes += own.text;
  const bool torch = classes.find("torch.zeros") != std::string::npos;
  return fmt::format("{}from torch import nn\n{}\nmodel = {}\n", torch ? "import torch\n" : "", classes,
                     network);
}

}  // namespace ballast::app
