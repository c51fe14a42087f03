// Data of one's own, from a callback: here, the angle of a line that is drawn when a sample is read, with
// noise that differs in each epoch and yet is the same in every run and on any number of threads.
//
//   own_data [SAMPLES] [EPOCHS]
//
// Measured: 100 % (1.8 s of processor time, 28 MB).
#include <ballast/ballast.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <numbers>

using namespace ballast;

constexpr int64_t side = 24;

// Samples are images (1, 24, 24); the class is the direction of the line, one of 8.
Dataset lines(int64_t size, real noise) {
  Dataset data;
  data.sample_shape = {1, side, side};
  data.size = size;
  data.classes = 8;
  data.read = [noise](const Reading& reading, real* x, Target y) {
    const int64_t direction = reading.index % 8;
    const double angle =
        std::numbers::pi * (static_cast<double>(direction) + 0.5 * reading.random.uniform()) / 8;
    for (int64_t i = 0; i < side * side; ++i) {
      const int64_t row = i / side, column = i % side, middle = side / 2;
      const double across = static_cast<double>(column - middle) * std::sin(angle) -
                            static_cast<double>(row - middle) * std::cos(angle);
      x[i] =
          (std::abs(across) < 1.5 ? real(1) : real(0)) + noise * static_cast<real>(reading.random.normal());
    }
    *y.labels() = static_cast<int32_t>(direction);
  };
  return data;
}

int main(int count, char** arguments) {
  const int64_t samples = count > 1 ? std::atoll(arguments[1]) : 4000,
                epochs = count > 2 ? std::atoll(arguments[2]) : 5;
  const Dataset train = lines(samples, real(0.5)), test = lines(samples / 4 + 8, real(0.5));
  manual_seed(1);
  Sequential net(Conv2d(1, 16, 5, {.bias = false}), BatchNorm2d(16), ReLU(), MaxPool2d(2), Flatten(),
                 Linear(16 * 10 * 10, 8));
  AdamW optimizer(net, {.lr = 2e-3});
  Loader loader(train,
                {.batch_size = 64, .min_batch = 2, .workers = 1});  // reads ahead in a thread of its own
  for (int64_t epoch = 1; epoch <= epochs; ++epoch) {
    for (const Batch& batch : loader) {
      Tape tape;
      tape.backward(cross_entropy(net(batch.x), batch.y));
      optimizer.step();
    }
    fmt::print("epoch {}: accuracy {:.2f} %\n", epoch, 100 * accuracy(net, test));
  }
}
