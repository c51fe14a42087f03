// What `ballast train --model cnn --norm batch --epochs 3` does, by PyTorch's C++ API: the same network,
// optimizer, schedule and evaluation after each epoch. real_job.sh builds and times it. Usage: mnist_cnn
// FOLDER EPOCHS, with MNIST's four files unpacked in FOLDER.
#include <torch/torch.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <numbers>
#include <string>
#include <vector>

namespace nn = torch::nn;
using torch::Tensor;

// The bytes after an IDX file's header.
Tensor read_idx(const std::string& path, std::vector<int64_t> shape, int64_t header) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + " can't be read");
  file.seekg(header);
  std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
  return torch::from_blob(bytes.data(), shape, torch::kUInt8).clone();
}

struct Split {
  Tensor x, y;
  Split(const std::string& folder, const std::string& name, int64_t count)
      : x(read_idx(folder + "/" + name + "-images-idx3-ubyte", {count, 1, 28, 28}, 16).to(torch::kFloat)),
        y(read_idx(folder + "/" + name + "-labels-idx1-ubyte", {count}, 8).to(torch::kLong)) {}
};

nn::Sequential cnn() {
  const auto conv = [](int64_t in, int64_t out) {
    return nn::Conv2d(nn::Conv2dOptions(in, out, 3).padding(1).bias(false));
  };
  const auto relu = [] { return nn::ReLU(nn::ReLUOptions(true)); };
  return nn::Sequential(conv(1, 32), nn::BatchNorm2d(32), relu(), nn::MaxPool2d(2),   //
                        conv(32, 64), nn::BatchNorm2d(64), relu(), nn::MaxPool2d(2),  //
                        nn::Flatten(), nn::Linear(3136, 128), relu(), nn::Linear(128, 10));
}

double one_cycle(double most, int64_t step, int64_t steps) {
  const double first = most / 25, last = first / 1e4;
  const double rise = 0.3 * static_cast<double>(steps) - 1, fall = static_cast<double>(steps - 1) - rise;
  const double at = static_cast<double>(step);
  const auto between = [](double from, double to, double share) {
    return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * share));
  };
  return at <= rise ? between(first, most, at / rise) : between(most, last, (at - rise) / fall);
}

double accuracy(nn::Sequential& net, const Split& test) {
  net->eval();
  const torch::NoGradGuard guard;
  int64_t right = 0;
  for (int64_t i = 0; i < test.x.size(0); i += 500)
    right +=
        net->forward(test.x.narrow(0, i, 500)).argmax(1).eq(test.y.narrow(0, i, 500)).sum().item<int64_t>();
  return 100 * static_cast<double>(right) / static_cast<double>(test.x.size(0));
}

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: mnist_cnn FOLDER EPOCHS\n"), 2;
  const int epochs = std::atoi(argv[2]);
  torch::manual_seed(0);
  Split train(argv[1], "train", 60000), test(argv[1], "t10k", 10000);
  const auto mean = train.x.mean(), std = train.x.std();
  for (Split* split : {&train, &test}) split->x.sub_(mean).div_(std);

  nn::Sequential net = cnn();
  torch::optim::AdamW optimizer(net->parameters(), torch::optim::AdamWOptions(3e-3).weight_decay(0.01));
  auto& options = static_cast<torch::optim::AdamWOptions&>(optimizer.param_groups()[0].options());
  const int64_t batch = 128, of_epoch = (60000 + batch - 1) / batch;
  int64_t step = 0;
  for (int epoch = 1; epoch <= epochs; ++epoch) {
    net->train();
    const Tensor order = torch::randperm(60000, torch::kLong);
    double loss_sum = 0;
    for (int64_t i = 0; i < 60000; i += batch) {
      const Tensor chosen = order.narrow(0, i, std::min<int64_t>(batch, 60000 - i));
      options.lr(one_cycle(3e-3, step++, epochs * of_epoch));
      optimizer.zero_grad();
      const Tensor loss = torch::nn::functional::cross_entropy(net->forward(train.x.index_select(0, chosen)),
                                                               train.y.index_select(0, chosen));
      loss.backward();
      optimizer.step();
      loss_sum += loss.item<double>();
    }
    std::printf("epoch %d  loss %.4f  test accuracy %.2f %%\n", epoch,
                loss_sum / static_cast<double>(of_epoch), accuracy(net, test));
  }
}
