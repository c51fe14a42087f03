// Regression on a table: columns of different units, standardized, and targets in their own unit. With a CSV
// file, its last column is the target.
//
//   regression [CSV_FILE] [EPOCHS]     without a file (or with -): a formula with noise
//
// Measured: R2 of 0.988 on the fifth that was set apart (0.1 s of processor time, 9 MB).
#include <ballast/ballast.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <cstring>

using namespace ballast;

Dataset formula(int64_t size) {
  Tensor x = rand({size, 3}), y({size, 1});
  const Tensor noise = randn({size}, 0, 5);
  for (int64_t n = 0; n < size; ++n) {
    x(n, 1) *= 1000;  // of another unit
    y(n, 0) = 200 * std::sin(3 * x(n, 0)) + real(0.1) * x(n, 1) * x(n, 2) + noise(n);
  }
  return from_tensors(x, y);
}

Dataset table(const char* path) {
  const CsvTable csv = read_csv(path);
  const auto columns = static_cast<int64_t>(csv.columns.size());
  Tensor x({csv.rows, columns - 1}), y({csv.rows, 1});
  for (int64_t column = 0; column < columns; ++column) {
    const CsvColumn& from = csv.columns[static_cast<size_t>(column)];
    if (from.is_text) throw ValueError("column " + from.name + " isn't of numbers");
    for (int64_t row = 0; row < csv.rows; ++row) {
      const auto value = static_cast<real>(from.numbers[static_cast<size_t>(row)]);
      (column + 1 < columns ? x(row, column) : y(row, 0)) = value;
    }
  }
  return from_tensors(x, y);
}

int main(int count, char** arguments) {
  manual_seed(1);
  const bool file = count > 1 && std::strcmp(arguments[1], "-") != 0;
  const int64_t epochs = count > 2 ? std::atoll(arguments[2]) : 40;
  Split data = split_off(file ? table(arguments[1]) : formula(2000), 0.2);
  const Standardization inputs = measure_channels(data.train), targets = measure_targets(data.train);
  const Dataset train = standardized_targets(standardized(data.train, inputs), targets),
                test = standardized_targets(standardized(data.validation, inputs), targets);

  Sequential net(Linear(train.sample_shape[0], 64, {.bias = false}), BatchNorm1d(64), SiLU(), Linear(64, 64),
                 SiLU(), Linear(64, 1));
  AdamW optimizer(net, {.lr = 3e-3, .weight_decay = 0.01});
  Plateau plateau({.factor = 0.3, .patience = 3});
  Loader loader(train, {.batch_size = 64, .min_batch = 2});
  for (int64_t epoch = 1; epoch <= epochs; ++epoch) {
    for (const Batch& batch : loader) {
      Tape tape;
      tape.backward(huber_loss(net(batch.x), batch.values));
      optimizer.step();
    }
    const Evaluation found = evaluate(net, test);
    optimizer.set_lr(plateau(found.loss, optimizer.lr()));
    if (epoch % std::max<int64_t>(epochs / 4, 1) == 0)
      fmt::print("epoch {}: R2 {:.4f}, mean absolute error {:.2f}, learning rate {:.1e}\n", epoch, found.r2,
                 found.absolute_error * targets.std[0], optimizer.lr());
  }
}
