// The compared workloads of ballast-bench by PyTorch's C++ API: the same networks, batches and optimizers,
// timed by the same code. build.sh compiles it, compare.sh runs it. Usage: torch_bench WORKLOAD..., with the
// threads that OMP_NUM_THREADS says. TORCH_LAYOUT=channels_last keeps images and filters with channels last.
#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../timing.h"

namespace {

namespace nn = torch::nn;
using bench::Timing;
using torch::Tensor;

std::string setting(const char* name, const char* otherwise) {
  const char* text = std::getenv(name);
  return text ? text : otherwise;
}

bool channels_last() { return setting("TORCH_LAYOUT", "") == "channels_last"; }

Tensor laid_out(const Tensor& x) {
  return channels_last() && x.dim() == 4 ? x.contiguous(at::MemoryFormat::ChannelsLast) : x;
}

/// Batches in memory, in rotation. The labels' rotation is longer by one, so that nothing can be memorised.
class Rotation {
 public:
  Rotation(const std::vector<int64_t>& batch, int64_t batches) {
    for (int64_t i = 0; i < batches; ++i) images_.push_back(laid_out(torch::rand(batch)));
    for (int64_t i = 0; i <= batches; ++i) labels_.push_back(torch::randint(0, 10, {batch[0]}, torch::kLong));
  }
  std::pair<Tensor, Tensor> next() {
    const size_t i = step_++;
    return {images_[i % images_.size()], labels_[i % labels_.size()]};
  }

 private:
  std::vector<Tensor> images_, labels_;
  size_t step_ = 0;
};

nn::ReLU relu() { return nn::ReLU(nn::ReLUOptions(true)); }

nn::Conv2d conv(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1, bool bias = false) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).bias(bias));
}

nn::Sequential mlp(bool batch_norm) {
  nn::Sequential net{nn::Flatten()};
  for (int64_t in : {784, 512}) {
    net->push_back(nn::Linear(in, 512));
    if (batch_norm) net->push_back(nn::BatchNorm1d(512));
    net->push_back(relu());
  }
  net->push_back(nn::Linear(512, 10));
  return net;
}

nn::Sequential sigmoid_mlp() {
  nn::Sequential net{nn::Flatten()};
  for (int64_t in : {784, 100, 100}) {
    net->push_back(nn::Linear(in, 100));
    net->push_back(nn::BatchNorm1d(100));
    net->push_back(nn::Sigmoid());
  }
  net->push_back(nn::Linear(100, 10));
  return net;
}

void add_norm(nn::Sequential& net, std::string_view norm, int64_t channels, int64_t side) {
  if (norm == "bn") net->push_back(nn::BatchNorm2d(channels));
  if (norm == "gn") net->push_back(nn::GroupNorm(8, channels));
  if (norm == "ln") net->push_back(nn::LayerNorm(nn::LayerNormOptions({channels, side, side})));
  if (norm == "in") net->push_back(nn::InstanceNorm2d(nn::InstanceNorm2dOptions(channels).affine(true)));
}

nn::Sequential cnn(std::string_view norm) {
  nn::Sequential net;
  for (const auto& [in, out, side] : {std::tuple(1, 32, 28), std::tuple(32, 64, 14)}) {
    net->push_back(conv(in, out, 3, 1, true));
    add_norm(net, norm, out, side);
    net->push_back(relu());
    net->push_back(nn::MaxPool2d(2));
  }
  net->push_back(nn::Flatten());
  net->push_back(nn::Linear(3136, 128));
  net->push_back(relu());
  net->push_back(nn::Linear(128, 10));
  return net;
}

struct BlockImpl : nn::Module {
  nn::Sequential body, shortcut;
  BlockImpl(int64_t in, int64_t out, int64_t stride)
      : body(conv(in, out, 3, stride), nn::BatchNorm2d(out), relu(), conv(out, out, 3),
             nn::BatchNorm2d(out)) {
    if (in != out) shortcut = nn::Sequential(conv(in, out, 1, stride), nn::BatchNorm2d(out));
    register_module("body", body);
    register_module("shortcut", shortcut);
  }
  Tensor forward(const Tensor& x) {
    return torch::relu_(body->forward(x).add_(shortcut->is_empty() ? x : shortcut->forward(x)));
  }
};
TORCH_MODULE(Block);

nn::Sequential resnet() {
  nn::Sequential net(conv(3, 32, 3), nn::BatchNorm2d(32), relu());
  for (const auto& [in, out, stride] :
       {std::tuple(32, 32, 1), std::tuple(32, 32, 1), std::tuple(32, 64, 2), std::tuple(64, 64, 1),
        std::tuple(64, 128, 2), std::tuple(128, 128, 1)})
    net->push_back(Block(in, out, stride));
  net->push_back(nn::AdaptiveAvgPool2d(1));
  net->push_back(nn::Flatten());
  net->push_back(nn::Linear(128, 10));
  return net;
}

void lay_out(nn::Sequential& net) {
  for (Tensor& p : net->parameters()) p.set_data(laid_out(p.data()));
}

struct Result {
  int64_t batch;
  bench::Measurement time;
};

template <class Optimizer, class Options>
Result train(const Timing& timing, nn::Sequential net, const Options& options,
             const std::vector<int64_t>& batch, int64_t batches = 16) {
  lay_out(net);
  net->train();
  Optimizer optimizer(net->parameters(), options);
  Rotation data(batch, batches);
  return {batch[0], bench::time_steps(timing, [&] {
            const auto [x, y] = data.next();
            optimizer.zero_grad();
            nn::functional::cross_entropy(net->forward(x), y).backward();
            optimizer.step();
          })};
}

Result adam(const Timing& timing, nn::Sequential net) {
  return train<torch::optim::Adam>(timing, std::move(net), torch::optim::AdamOptions(1e-3), {128, 1, 28, 28});
}

Result infer(const Timing& timing, nn::Sequential net, int64_t batch) {
  lay_out(net);
  net->eval();
  const torch::NoGradGuard guard;
  Rotation data({batch, 1, 28, 28}, batch == 1 ? 256 : 16);
  return {batch, bench::time_steps(timing, [&] { net->forward(data.next().first); })};
}

/// Forward and backward, with the input's gradient.
template <class Layer>
Result norm(const Timing& timing, Layer layer, const std::vector<int64_t>& shape) {
  Tensor x = torch::randn(shape).set_requires_grad(true);
  const Tensor dy = torch::randn(shape);
  return {shape[0], bench::time_steps(timing, [&] {
            layer->zero_grad();
            x.mutable_grad() = Tensor();
            layer->forward(x).backward(dy);
          })};
}

using Workloads = std::map<std::string, std::function<Result(const Timing&)>>;

Workloads workloads() {
  using T = const Timing&;
  using SGD = torch::optim::SGD;
  using SGDOptions = torch::optim::SGDOptions;
  const std::vector<int64_t> images{128, 64, 28, 28};
  return {
      {"W1", [](T t) { return adam(t, mlp(false)); }},
      {"W1b", [](T t) { return adam(t, mlp(true)); }},
      {"W1s",
       [](T t) {
         return train<SGD>(t, sigmoid_mlp(), SGDOptions(0.1), {60, 1, 28, 28});
       }},
      {"W2", [](T t) { return adam(t, cnn("bn")); }},
      {"W2gn", [](T t) { return adam(t, cnn("gn")); }},
      {"W2ln", [](T t) { return adam(t, cnn("ln")); }},
      {"W2in", [](T t) { return adam(t, cnn("in")); }},
      {"W3",
       [](T t) {
         const auto options = SGDOptions(0.1).momentum(0.9).weight_decay(5e-4);
         return train<SGD>(t, resnet(), options, {128, 3, 32, 32}, 4);
       }},
      {"W4_W1_b1", [](T t) { return infer(t, mlp(false), 1); }},
      {"W4_W1_b256", [](T t) { return infer(t, mlp(false), 256); }},
      {"W4_W2_b1", [](T t) { return infer(t, cnn("bn"), 1); }},
      {"W4_W2_b256", [](T t) { return infer(t, cnn("bn"), 256); }},
      {"W5_bn", [=](T t) { return norm(t, nn::BatchNorm2d(64), images); }},
      {"W5_gn", [=](T t) { return norm(t, nn::GroupNorm(8, 64), images); }},
      {"W5_in",
       [=](T t) { return norm(t, nn::InstanceNorm2d(nn::InstanceNorm2dOptions(64).affine(true)), images); }},
      {"W5_ln",
       [](T t) {
         return norm(t, nn::LayerNorm(nn::LayerNormOptions({1024})), {3584, 1024});
       }},
  };
}

double seconds(const char* name, const char* otherwise) { return std::stod(setting(name, otherwise)); }

}  // namespace

int main(int argc, char** argv) {
  torch::manual_seed(1);
  const Timing timing{.repetitions = static_cast<int>(seconds("BENCH_REPS", "5")),
                      .seconds = seconds("BENCH_SECS", "2"),
                      .warm_up = seconds("BENCH_WARM", "1"),
                      .patience = seconds("BENCH_MAXWAIT", "90")};
  const Workloads known = workloads();
  for (int i = 1; i < argc; ++i) {
    const auto found = known.find(argv[i]);
    if (found == known.end()) {
      std::fprintf(stderr, "torch_bench: no workload is called %s\n", argv[i]);
      return 2;
    }
    const auto [batch, time] = found->second(timing);
    std::printf(
        "{\"peer\":\"%s\",\"workload\":\"%s\",\"threads\":%d,\"batch\":%ld,\"ms_per_step\":%.5f,"
        "\"clean\":\"%d/%d\",\"peak_rss_mb\":%.1f}\n",
        setting("PEER", "libtorch").c_str(), argv[i], at::get_num_threads(), static_cast<long>(batch),
        1e3 * time.median, time.clean, time.windows, bench::peak_memory());
    std::fflush(stdout);
  }
}
