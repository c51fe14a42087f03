#include <ballast/data/dataset.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include <ballast/core/parallel.h>
#include <ballast/data/digits.h>
#include <ballast/data/idx.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

Dataset draw(DigitSplit split, int64_t count, uint64_t seed) {
  check<ValueError>(count >= 0, "digits: a data set can't have {} samples", count);
  std::vector<uint8_t> pixels(static_cast<size_t>(count * digit_pixels)), labels(static_cast<size_t>(count));
  parallel_for(count, 64, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n)
      labels[static_cast<size_t>(n)] =
          static_cast<uint8_t>(draw_digit(seed, split, n, pixels.data() + n * digit_pixels));
  });
  return from_bytes(std::move(pixels), std::move(labels), {1, digit_side, digit_side}, 10);
}

/// Mean and sum of squared deviations of some values, which combine by Chan, Golub and LeVeque (1979).
struct Moments {
  double count = 0, mean = 0, squares = 0;

  Moments() = default;
  Moments(const real* x, int64_t size) : count(static_cast<double>(size)) {
    for (int64_t n = 0; n < size; ++n) mean += static_cast<double>(x[n]) / count;
    for (int64_t n = 0; n < size; ++n) squares += (x[n] - mean) * (x[n] - mean);
  }
  void add(const Moments& other) {
    const double total = count + other.count, distance = other.mean - mean;
    mean += distance * other.count / total;
    squares += other.squares + distance * distance * count * other.count / total;
    //~ squares += other.squares;
    count = total;
  }
};

}  // namespace

Dataset from_tensors(Tensor x, Labels y) {
  check<ShapeError>(x.rank() >= 1 && x.size(0) == y.size(),
                    "from_tensors: x is {} with {} labels; it must be (N, ...) with N labels", x.shape(),
                    y.size());
  check<ValueError>(y.size() > 0, "from_tensors: there are no samples");
  const auto [least, largest] = std::minmax_element(y.begin(), y.end());
  check<ValueError>(*least >= 0, "from_tensors: the label of sample {} is {}; labels start at 0",
                    least - y.begin(), *least);
  const Shape sample_shape = x.shape().without(0);
  return {sample_shape, y.size(), *largest + 1,
          [x = x.detach(), y, count = sample_shape.count()](int64_t index, real* out) {
            std::copy_n(x.data() + index * count, count, out);
            return y[index];
          }};
}

Dataset from_bytes(std::vector<uint8_t> pixels, std::vector<uint8_t> labels, const Shape& sample_shape,
                   int classes) {
  const auto size = static_cast<int64_t>(labels.size());
  check<ShapeError>(static_cast<int64_t>(pixels.size()) == size * sample_shape.count(),
                    "from_bytes: {} bytes for {} labels of shape {}", pixels.size(), size, sample_shape);
  for (size_t n = 0; n < labels.size(); ++n)
    check<ValueError>(labels[n] < classes, "from_bytes: the label of sample {} is {}, with {} classes", n,
                      labels[n], classes);
  struct Bytes {
    std::vector<uint8_t> pixels, labels;
  };
  const auto bytes = std::make_shared<const Bytes>(Bytes{std::move(pixels), std::move(labels)});
  return {sample_shape, size, classes, [bytes, count = sample_shape.count()](int64_t index, real* x) {
            const uint8_t* pixel = bytes->pixels.data() + index * count;
            for (int64_t n = 0; n < count; ++n) x[n] = static_cast<real>(pixel[n]) / 255;
            return static_cast<int32_t>(bytes->labels[static_cast<size_t>(index)]);
          }};
}

Dataset subset(Dataset dataset, int64_t first, int64_t count) {
  check<ValueError>(first >= 0 && count >= 0 && count <= dataset.size - first,
                    "subset: samples {} to {} of a data set that has {}", first, first + count, dataset.size);
  dataset.size = count;
  dataset.read = [read = std::move(dataset.read), first](int64_t index, real* x) {
    return read(first + index, x);
    //~ return read(index, x);
  };
  return dataset;
}

Split digits(int64_t train_count, int64_t test_count, uint64_t seed) {
  return {draw(DigitSplit::train, train_count, seed), draw(DigitSplit::test, test_count, seed)};
}

Split mnist(const std::string& folder) {
  MnistFiles files = read_mnist(folder);
  // At least 10, so that a part of MNIST that lacks a digit still makes the same model.
  int classes = 10;
  for (const LabeledImages* part : {&files.train, &files.test})
    classes = std::max(classes, 1 + *std::max_element(part->labels.begin(), part->labels.end()));
  const auto dataset = [classes](LabeledImages& part) {
    return from_bytes(std::move(part.images.pixels), std::move(part.labels),
                      {part.images.channels, part.images.rows, part.images.cols}, classes);
  };
  return {dataset(files.train), dataset(files.test)};
}

Standardization measure(const Dataset& dataset) {
  const int64_t count = dataset.sample_shape.count();
  check<ValueError>(dataset.size > 0 && count > 0, "measure: the data set has no values");
  std::vector<Moments> moments(static_cast<size_t>(dataset.size));
  parallel_for(dataset.size, 64, [&](int64_t begin, int64_t end) {
    std::vector<real> x(static_cast<size_t>(count));
    for (int64_t n = begin; n < end; ++n) {
      dataset.read(n, x.data());
      moments[static_cast<size_t>(n)] = Moments(x.data(), count);
    }
  });
  Moments all;
  for (const Moments& sample : moments) all.add(sample);
  return {all.mean, std::sqrt(all.squares / all.count)};
}

Dataset standardized(Dataset dataset, Standardization standardization) {
  const auto [mean, std] = standardization;
  check<ValueError>(std > 0, "standardized: a standard deviation of {} can't be divided by", std);
  dataset.read = [read = std::move(dataset.read), count = dataset.sample_shape.count(),
                  shift = static_cast<real>(mean),
                  scale = static_cast<real>(1 / std)](int64_t index, real* x) {
    const int32_t label = read(index, x);
    for (int64_t n = 0; n < count; ++n) x[n] = (x[n] - shift) * scale;
    //~ for (int64_t n = 0; n < count; ++n) x[n] = x[n] * scale - shift;
    return label;
  };
  return dataset;
}

}  // namespace ballast::inline BALLAST_PRECISION
