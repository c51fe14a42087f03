// Runs the samples that samples.py wrote: each operation forward and backward, on inputs that the caller
// holds. A result passes within 1e-12 in double, 1e-5 in float, of the largest number in it, the inputs, and
// the gradient that goes into it.
#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <ballast/ballast.h>
#include <ballast/data/safetensors.h>

using namespace ballast;
using Json = nlohmann::json;

namespace {

constexpr double tolerance = sizeof(real) == sizeof(double) ? 1e-12 : 1e-5;

struct Sample {
  Json options;
  std::vector<Tensor> inputs;
  std::vector<bool> present;  // of the operation's arguments; `inputs` has those that are
  std::vector<Labels> labels;

  /// Argument i, or an empty tensor.
  Tensor arg(size_t i) const {
    size_t at = 0;
    for (size_t k = 0; k < i; ++k) at += present[k];
    return i < present.size() && present[i] ? inputs[at] : Tensor();
  }
  real number(const char* name) const { return static_cast<real>(options.at(name).get<double>()); }
  int64_t whole(const char* name) const { return options.at(name).get<int64_t>(); }
  int axis(const char* name = "axis") const { return options.at(name).get<int>(); }
  Pair pair(const char* name) const {
    return {options.at(name)[0].get<int64_t>(), options.at(name)[1].get<int64_t>()};
  }
  Reduction reduction() const {
    const auto text = options.at("reduction").get<std::string>();
    return text == "mean" ? Reduction::mean : text == "sum" ? Reduction::sum : Reduction::none;
  }
  CrossEntropyOptions cross_entropy() const {
    return {.label_smoothing = options.contains("smoothing") ? number("smoothing") : 0,
            .weights = arg(1),
            .ignore_index = options.at("ignore").get<int32_t>(),
            .reduction = reduction()};
  }
  PoolOptions pool() const {
    return {.stride = pair("stride"),
            .padding = pair("padding"),
            .ceil_mode = options.at("ceil_mode"),
            .count_include_pad = options.at("include")};
  }
};

/// f(x), or f(x, axes, keep) for axes known at run time only, and what else f takes in `more`.
template <class F, class... More>
Tensor reduced(const Sample& s, F f, More... more) {
  using Axes = std::initializer_list<int>;
  const auto axes = s.options.at("axes").get<std::vector<int>>();
  const bool keep = s.options.at("keep");
  const Tensor x = s.arg(0);
  switch (axes.size()) {
    case 0:
      return f(x, more...);
    case 1:
      return f(x, Axes{axes[0]}, more..., keep);
    case 2:
      return f(x, Axes{axes[0], axes[1]}, more..., keep);
    case 3:
      return f(x, Axes{axes[0], axes[1], axes[2]}, more..., keep);
    default:
      return f(x, Axes{axes.at(0), axes[1], axes[2], axes.at(3)}, more..., keep);
  }
}

#define UNARY(name)                                       \
  {                                                       \
#name, [](const Sample& s) { return name(s.arg(0)); } \
  }
#define BINARY(name, operation)                                       \
  {                                                                   \
    name, [](const Sample& s) { return s.arg(0) operation s.arg(1); } \
  }
Tensor permuted(const Sample& s) {
  const auto order = s.options.at("order").get<std::vector<int>>();
  const Tensor x = s.arg(0);
  switch (order.size()) {
    case 1:
      return permute(x, {order[0]});
    case 2:
      return permute(x, {order[0], order[1]});
    case 3:
      return permute(x, {order[0], order[1], order[2]});
    case 4:
      return permute(x, {order[0], order[1], order[2], order[3]});
    default:
      return permute(x, {order.at(0), order[1], order[2], order[3], order.at(4)});
  }
}

Tensor padded(const Sample& s) {
  const auto sizes = s.options.at("sizes").get<std::vector<int64_t>>();
  Tensor x = s.arg(0);
  for (size_t i = 0; i + 1 < sizes.size(); i += 2)
    x = pad(std::move(x), -1 - static_cast<int>(i / 2), sizes[i], sizes[i + 1], s.number("value"));
  return x;
}

Tensor reshaped(const Sample& s) {
  auto sizes = s.options.at("sizes").get<std::vector<int64_t>>();
  const Tensor x = s.arg(0);
  int64_t others = 1;
  for (const int64_t size : sizes) others *= size == -1 ? 1 : size;
  for (int64_t& size : sizes) size = size == -1 ? x.count() / others : size;
  return reshape(x, Shape(sizes.data(), static_cast<int64_t>(sizes.size())));
}

Tensor batch_normalized(const Sample& s) {
  const Tensor given_mean = s.arg(1), given_variance = s.arg(2);
  Buffer mean(given_mean.empty() ? Tensor() : given_mean.clone()),
      variance(given_variance.empty() ? Tensor() : given_variance.clone());
  return batch_norm(s.arg(0), s.arg(3), s.arg(4),
                    {.mean = given_mean.empty() ? nullptr : &mean,
                     .var = given_variance.empty() ? nullptr : &variance,
                     .momentum = s.number("momentum")},
                    s.number("eps"));
}

const std::map<std::string, std::function<Tensor(const Sample&)>> operations = {
    UNARY(relu),
    UNARY(sigmoid),
    UNARY(tanh),
    UNARY(exp),
    UNARY(expm1),
    UNARY(log),
    UNARY(log1p),
    UNARY(sqrt),
    UNARY(erf),
    UNARY(abs),
    UNARY(silu),
    {"neg", [](const Sample& s) { return -s.arg(0); }},
    BINARY("add", +),
    BINARY("sub", -),
    BINARY("mul", *),
    BINARY("div", /),
    BINARY("lt", <),
    BINARY("le", <=),
    BINARY("gt", >),
    BINARY("ge", >=),
    BINARY("eq", ==),
    BINARY("ne", !=),
    {"maximum", [](const Sample& s) { return maximum(s.arg(0), s.arg(1)); }},
    {"minimum", [](const Sample& s) { return minimum(s.arg(0), s.arg(1)); }},
    {"leaky_relu", [](const Sample& s) { return leaky_relu(s.arg(0), s.number("slope")); }},
    {"elu", [](const Sample& s) { return elu(s.arg(0), s.number("alpha")); }},
    {"softplus", [](const Sample& s) { return softplus(s.arg(0), s.number("beta"), s.number("threshold")); }},
    {"gelu",
     [](const Sample& s) { return gelu(s.arg(0), s.options.at("tanh") ? GeluForm::tanh : GeluForm::exact); }},
    {"softmax", [](const Sample& s) { return softmax(s.arg(0), s.axis()); }},
    {"log_softmax", [](const Sample& s) { return log_softmax(s.arg(0), s.axis()); }},
    {"pow", [](const Sample& s) { return pow(s.arg(0), s.number("exponent")); }},
    {"clamp", [](const Sample& s) { return clamp(s.arg(0), s.number("low"), s.number("high")); }},
    {"where", [](const Sample& s) { return where(s.arg(0), s.arg(1), s.arg(2)); }},
    {"matmul", [](const Sample& s) { return matmul(s.arg(0), s.arg(1)); }},
    {"linear", [](const Sample& s) { return linear(s.arg(0), s.arg(1), s.arg(2)); }},
    {"conv1d",
     [](const Sample& s) {
       const auto of = [&](const char* name) {
         return Pair{name == std::string("padding") ? 0 : 1, s.options.at(name)[0].get<int64_t>()};
       };
       const Tensor x = s.arg(0), w = s.arg(1);
       const Tensor y = conv2d(reshape(x, {x.size(0), x.size(1), 1, x.size(2)}),
                               reshape(w, {w.size(0), w.size(1), 1, w.size(2)}), s.arg(2),
                               {.stride = of("stride"),
                                .padding = of("padding"),
                                .dilation = of("dilation"),
                                .groups = s.whole("groups")});
       return reshape(y, {y.size(0), y.size(1), y.size(3)});
     }},
    {"conv2d",
     [](const Sample& s) {
       return conv2d(s.arg(0), s.arg(1), s.arg(2),
                     {.stride = s.pair("stride"),
                      .padding = s.pair("padding"),
                      .dilation = s.pair("dilation"),
                      .groups = s.whole("groups")});
     }},
    {"conv_transpose2d",
     [](const Sample& s) {
       return conv_transpose2d(s.arg(0), s.arg(1), s.arg(2),
                               {.stride = s.pair("stride"),
                                .padding = s.pair("padding"),
                                .output_padding = s.pair("output_padding"),
                                .dilation = s.pair("dilation"),
                                .groups = s.whole("groups")});
     }},
    {"max_pool2d", [](const Sample& s) { return max_pool2d(s.arg(0), s.pair("window"), s.pool()); }},
    {"avg_pool2d", [](const Sample& s) { return avg_pool2d(s.arg(0), s.pair("window"), s.pool()); }},
    {"adaptive_avg_pool2d", [](const Sample& s) { return adaptive_avg_pool2d(s.arg(0), s.pair("size")); }},
    {"cross_entropy",
     [](const Sample& s) { return cross_entropy(s.arg(0), s.labels[0], s.cross_entropy()); }},
    {"nll_loss", [](const Sample& s) { return nll_loss(s.arg(0), s.labels[0], s.cross_entropy()); }},
    {"soft_cross_entropy",
     [](const Sample& s) {
       return soft_cross_entropy(s.arg(0), s.arg(1),
                                 {.label_smoothing = s.number("smoothing"), .reduction = s.reduction()});
     }},
    {"binary_cross_entropy_with_logits",
     [](const Sample& s) { return binary_cross_entropy_with_logits(s.arg(0), s.arg(1), s.reduction()); }},
    {"mse_loss", [](const Sample& s) { return mse_loss(s.arg(0), s.arg(1), s.reduction()); }},
    {"l1_loss", [](const Sample& s) { return l1_loss(s.arg(0), s.arg(1), s.reduction()); }},
    {"huber_loss",
     [](const Sample& s) { return huber_loss(s.arg(0), s.arg(1), s.number("delta"), s.reduction()); }},
    {"kl_div", [](const Sample& s) { return kl_div(s.arg(0), s.arg(1), s.reduction()); }},
    {"reshape", reshaped},
    {"permute", permuted},
    {"pad", padded},
    {"batch_norm", batch_normalized},
    {"flatten", [](const Sample& s) { return flatten(s.arg(0), s.axis()); }},
    {"transpose", [](const Sample& s) { return transpose(s.arg(0), s.axis("a"), s.axis("b")); }},
    {"narrow", [](const Sample& s) { return slice(s.arg(0), s.axis(), s.whole("begin"), s.whole("end")); }},
    {"cat", [](const Sample& s) { return concat(s.inputs, s.axis()); }},
    {"stack", [](const Sample& s) { return stack(s.inputs, s.axis()); }},
    {"split", [](const Sample& s) { return split(s.arg(0), s.whole("size"), s.axis())[0]; }},
    {"gather", [](const Sample& s) { return gather(s.arg(0), s.labels[0], s.axis()); }},
    {"instance_norm",
     [](const Sample& s) { return instance_norm(s.arg(0), s.arg(1), s.arg(2), {}, s.number("eps")); }},
    {"layer_norm",
     [](const Sample& s) {
       return layer_norm(s.arg(0), s.axis("axes"), s.arg(1), s.arg(2), s.number("eps"));
     }},
    {"group_norm",
     [](const Sample& s) {
       return group_norm(s.arg(0), s.whole("groups"), s.arg(1), s.arg(2), s.number("eps"));
     }},
    {"rms_norm",
     [](const Sample& s) {
       return s.options.at("eps").is_null() ? rms_norm(s.arg(0), s.axis("axes"), s.arg(1))
                                            : rms_norm(s.arg(0), s.axis("axes"), s.arg(1), s.number("eps"));
     }},
    {"sum", [](const Sample& s) { return reduced(s, [](auto... a) { return sum(a...); }); }},
    {"mean", [](const Sample& s) { return reduced(s, [](auto... a) { return mean(a...); }); }},
    {"amax", [](const Sample& s) { return reduced(s, [](auto... a) { return max(a...); }); }},
    {"amin", [](const Sample& s) { return reduced(s, [](auto... a) { return min(a...); }); }},
    {"var",
     [](const Sample& s) {
       return reduced(
           s, [](auto... a) { return var(a...); }, s.whole("correction"));
     }},
};

Tensor read(const SafetensorsFile& file, const std::string& name) {
  Tensor x(file.entry(name).shape);
  file.read(name, std::span(x.data(), static_cast<size_t>(x.count())));
  return x;
}

Labels read_labels(const SafetensorsFile& file, const std::string& name) {
  std::vector<int64_t> values(static_cast<size_t>(file.entry(name).shape.count()));
  file.read(name, std::span(values));
  const std::vector<int32_t> labels(values.begin(), values.end());
  return Labels(labels);
}

double largest(const Tensor& x) {
  double most = 0;
  for (const real v : x.values())
    most = std::isfinite(v) ? std::max(most, std::abs(static_cast<double>(v))) : most;
  return most;
}

/// The largest difference over `scale`; infinities and NaN must stand at the same places, where float doesn't
/// overflow.
double difference(const Tensor& got, const SafetensorsFile& file, const std::string& name, double scale) {
  const Shape& shape = file.entry(name).shape;
  if (got.shape() != shape) return std::numeric_limits<double>::infinity();
  const Tensor expected = read(file, name);
  scale = std::max(scale, largest(expected));
  double most = 0;
  for (int64_t i = 0; i < expected.count(); ++i) {
    const double a = got.data()[i], b = expected.data()[i];
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    const double error = std::abs(a - b) / scale;
    most = std::isfinite(error) ? std::max(most, error) : std::numeric_limits<double>::infinity();
  }
  return most;
}

/// The largest error of the result and the gradients.
double run(const Json& about, const SafetensorsFile& file, const std::string& number) {
  Sample s{about.at("options"), {}, about.at("present").get<std::vector<bool>>(), {}};
  const bool trains = !s.options.contains("training") || s.options.at("training");
  Tape tape(trains ? Mode::train : Mode::eval);
  double scale = 1;
  const auto inputs = about.at("inputs").get<size_t>();
  for (size_t i = 0; i < inputs; ++i) {
    s.inputs.push_back(read(file, number + ".x" + std::to_string(i)));
    scale = std::max(scale, largest(s.inputs.back()));
    if (file.contains(number + ".g" + std::to_string(i))) tape.watch(s.inputs.back());
  }
  for (size_t i = 0; i < about.at("labels").get<size_t>(); ++i)
    s.labels.push_back(read_labels(file, number + ".labels" + std::to_string(i)));
  const Tensor y = operations.at(about.at("op"))(s);
  double worst = difference(y, file, number + ".y", scale);
  if (!y.node()) return worst;
  const Tensor dy = read(file, number + ".dy");
  scale = std::max(scale, largest(dy));
  tape.backward(y, dy);
  for (size_t i = 0; i < inputs; ++i) {
    const std::string name = number + ".g" + std::to_string(i);
    if (file.contains(name)) worst = std::max(worst, difference(tape.grad(s.inputs[i]), file, name, scale));
  }
  return worst;
}

}  // namespace

int main(int, char** argv) {
  const std::string folder = argv[1];
  const SafetensorsFile file(folder + "/samples.safetensors");
  const Json cases = Json::parse(std::ifstream(folder + "/samples.json"));
  std::map<std::string, std::pair<int, int>> counts;  // of each operation: passed, all
  for (size_t i = 0; i < cases.size(); ++i) {
    const Json& about = cases[i];
    auto& [passed, all] = counts[about.at("name")];
    ++all;
    std::string problem;
    try {
      const double error = run(about, file, fmt::format("{:05}", i));
      if (error <= tolerance) {
        ++passed;
        continue;
      }
      problem = fmt::format("off by {:.2g}", error);
    } catch (const std::exception& error) {
      problem = error.what();
    }
    std::string shapes;
    for (size_t k = 0; k < about.at("inputs").get<size_t>(); ++k)
      shapes += fmt::format("{} ", file.entry(fmt::format("{:05}.x{}", i, k)).shape);
    fmt::print("{} {}{}: {}\n", about.at("name").get<std::string>(), shapes, about.at("options").dump(),
               problem);
  }
  int passed = 0;
  for (const auto& [name, count] : counts) {
    fmt::print("{:50} {:5} of {}\n", name, count.first, count.second);
    passed += count.first;
  }
  fmt::print("{} of {} samples pass\n", passed, cases.size());
  return static_cast<size_t>(passed) == cases.size() ? 0 : 1;
}
