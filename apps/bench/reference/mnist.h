// What the reference programs on MNIST have in common: reading, schedule and evaluation by PyTorch's C++ API.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>

struct Split {
  torch::Tensor x, y;
};

struct Mnist {
  Split train, test;
  // From a folder with MNIST's four files, which gzip may have packed; standardized by mean and deviation of
  // the training pixels. Throws std::runtime_error.
  explicit Mnist(const std::string& folder);
};

double one_cycle(double most, int64_t step, int64_t steps);

// Percent right of the test images. Leaves the network in evaluation mode.
double accuracy(torch::nn::Sequential& net, const Split& test);

// One step on the images `chosen`; the loss.
double train_step(torch::nn::Sequential& net, torch::optim::Optimizer& optimizer, const Split& train,
                  const torch::Tensor& chosen);
