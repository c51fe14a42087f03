// What `ballast train --model cnn --norm batch --epochs 3` does, by PyTorch's C++ API: the same network,
// optimizer, schedule and evaluation after each epoch. real_job.sh builds and times it. Usage: mnist_cnn
// FOLDER EPOCHS, with MNIST's four files in FOLDER.
#include <cstdio>
#include <cstdlib>

#include "mnist.h"

namespace nn = torch::nn;
using torch::Tensor;

nn::Sequential cnn() {
  const auto conv = [](int64_t in, int64_t out) {
    return nn::Conv2d(nn::Conv2dOptions(in, out, 3).padding(1).bias(false));
  };
  const auto relu = [] { return nn::ReLU(nn::ReLUOptions(true)); };
  return nn::Sequential(conv(1, 32), nn::BatchNorm2d(32), relu(), nn::MaxPool2d(2),   //
                        conv(32, 64), nn::BatchNorm2d(64), relu(), nn::MaxPool2d(2),  //
                        nn::Flatten(), nn::Linear(3136, 128), relu(), nn::Linear(128, 10));
}

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: mnist_cnn FOLDER EPOCHS\n"), 2;
  const int epochs = std::atoi(argv[2]);
  torch::manual_seed(0);
  const Mnist data(argv[1]);

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
      options.lr(one_cycle(3e-3, step++, epochs * of_epoch));
      loss_sum +=
          train_step(net, optimizer, data.train, order.narrow(0, i, std::min<int64_t>(batch, 60000 - i)));
    }
    std::printf("epoch %d  loss %.4f  test accuracy %.2f %%\n", epoch,
                loss_sum / static_cast<double>(of_epoch), accuracy(net, data.test));
  }
}
