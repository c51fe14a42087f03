#include "mnist.h"

#include <zlib.h>

#include <cmath>
#include <numbers>
#include <stdexcept>
#include <vector>

using torch::Tensor;

namespace {

// The bytes after an IDX file's header.
Tensor read_idx(const std::string& path, const std::vector<int64_t>& shape, int64_t header) {
  gzFile file = gzopen(path.c_str(), "rb");
  if (!file) file = gzopen((path + ".gz").c_str(), "rb");
  if (!file) throw std::runtime_error(path + " can't be read");
  Tensor bytes = torch::empty(shape, torch::kUInt8);
  std::vector<char> skipped(static_cast<size_t>(header));
  const auto count = static_cast<unsigned>(bytes.numel());
  const bool whole = gzread(file, skipped.data(), static_cast<unsigned>(header)) == header &&
                     gzread(file, bytes.data_ptr(), count) == static_cast<int>(count);
  gzclose(file);
  if (!whole) throw std::runtime_error(path + " is too short");
  return bytes;
}

Split read_split(const std::string& path, int64_t count) {
  return {read_idx(path + "-images-idx3-ubyte", {count, 1, 28, 28}, 16).to(torch::kFloat),
          read_idx(path + "-labels-idx1-ubyte", {count}, 8).to(torch::kLong)};
}

}  // namespace

Mnist::Mnist(const std::string& folder)
    : train(read_split(folder + "/train", 60000)), test(read_split(folder + "/t10k", 10000)) {
  const auto mean = train.x.mean(), std = train.x.std();
  for (Split* split : {&train, &test}) split->x.sub_(mean).div_(std);
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

double accuracy(torch::nn::Sequential& net, const Split& test) {
  net->eval();
  const torch::NoGradGuard guard;
  int64_t right = 0;
  for (int64_t i = 0; i < test.x.size(0); i += 500)
    right +=
        net->forward(test.x.narrow(0, i, 500)).argmax(1).eq(test.y.narrow(0, i, 500)).sum().item<int64_t>();
  return 100 * static_cast<double>(right) / static_cast<double>(test.x.size(0));
}

double train_step(torch::nn::Sequential& net, torch::optim::Optimizer& optimizer, const Split& train,
                  const Tensor& chosen) {
  optimizer.zero_grad();
  const Tensor loss = torch::nn::functional::cross_entropy(net->forward(train.x.index_select(0, chosen)),
                                                           train.y.index_select(0, chosen));
  loss.backward();
  optimizer.step();
  return loss.item<double>();
}
