// What `ballast experiment time-to-accuracy` does, by PyTorch's C++ API: the same network, optimizer,
// schedule and evaluations, until 99 % of the test images are right. The clocks start before the data are
// read. Usage: mnist_99 FOLDER SEED EPOCHS, with MNIST's four files in FOLDER. Prints, in a line: seconds by
// the clock, seconds of processor time, steps, percent right at the last evaluation.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "mnist.h"

namespace nn = torch::nn;

nn::Sequential network() {
  const auto conv = [](int64_t in, int64_t out, int64_t kernel) {
    return nn::Conv2d(nn::Conv2dOptions(in, out, kernel).bias(false));
  };
  const auto linear = [](int64_t in, int64_t out) {
    return nn::Linear(nn::LinearOptions(in, out).bias(false));
  };
  const auto relu = [] { return nn::ReLU(nn::ReLUOptions(true)); };
  return nn::Sequential(conv(1, 24, 5), nn::BatchNorm2d(24), relu(), nn::MaxPool2d(2),   //
                        conv(24, 32, 3), nn::BatchNorm2d(32), relu(), nn::MaxPool2d(2),  //
                        nn::Flatten(), linear(800, 256), nn::BatchNorm1d(256), relu(), nn::Linear(256, 10));
}

double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

int main(int argc, char** argv) {
  if (argc != 4) return std::fprintf(stderr, "usage: mnist_99 FOLDER SEED EPOCHS\n"), 2;
  const auto start = std::chrono::steady_clock::now();
  const double processor_start = processor_seconds();
  torch::manual_seed(static_cast<uint64_t>(std::atoll(argv[2])));
  const Mnist data(argv[1]);

  nn::Sequential net = network();
  torch::optim::Adam optimizer(net->parameters(), torch::optim::AdamOptions(0.01).betas({0.7, 0.9}));
  auto& options = static_cast<torch::optim::AdamOptions&>(optimizer.param_groups()[0].options());
  const int64_t batch = 256, of_epoch = 60000 / batch, steps = std::atoll(argv[3]) * of_epoch;
  int64_t step = 0;
  double right = 0;
  while (step < steps && right < 99) {
    const torch::Tensor order = torch::randperm(60000, torch::kLong);
    for (int64_t i = 0; i < of_epoch && right < 99; ++i) {
      net->train();
      options.lr(one_cycle(0.01, step, steps));
      train_step(net, optimizer, data.train, order.narrow(0, i * batch, batch));
      ++step;
      if (step >= of_epoch && (step % (of_epoch / 4) == 0 || step == steps)) right = accuracy(net, data.test);
    }
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("%.3f %.3f %lld %.2f\n", seconds.count(), processor_seconds() - processor_start,
              static_cast<long long>(step), right);
}
