#include <ballast/data/dataset.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <type_traits>

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

/// Throws unless there is a target for each sample of x (N, ...).
void check_samples(const Tensor& x, int64_t targets, const char* what) {
  check<ShapeError>(x.rank() >= 1 && x.size(0) == targets,
                    "from_tensors: x is {} with {} {}; it must be (N, ...) with N {}", x.shape(), targets,
                    what, what);
  check<ValueError>(targets > 0, "from_tensors: there are no samples");
}

/// Copies samples from x, and from `targets`, which are Labels or a Tensor, so many for each.
template <class Values>
ReadFunction read_from(Tensor x, Values targets, int64_t per_sample) {
  return [x = x.detach(), targets, per_sample, count = x.count() / x.size(0)](const Reading& reading,
                                                                              real* out, Target y) {
    std::copy_n(x.data() + reading.index * count, count, out);
    const auto* from = targets.data() + reading.index * per_sample;
    if constexpr (std::is_same_v<Values, Labels>)
      std::copy_n(from, per_sample, y.labels());
    else
      std::copy_n(from, per_sample, y.values());
  };
}

/// The class of each sample.
std::vector<int32_t> labels_of(const Dataset& dataset) {
  std::vector<int32_t> labels(static_cast<size_t>(dataset.size));
  parallel_for(dataset.size, 64, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) labels[static_cast<size_t>(n)] = dataset.sample(n).label();
  });
  return labels;
}

int32_t largest_label(const Labels& y, int64_t per_sample) {
  for (int64_t n = 0; n < y.size(); ++n)
    check<ValueError>(
        y[n] >= 0 || y[n] == ignored_label,
        "from_tensors: the label of sample {} is {}; it must be at least 0, or {} (ignored_label)",
        n / per_sample, y[n], ignored_label);
  const int32_t largest = *std::max_element(y.begin(), y.end());
  check<ValueError>(largest >= 0, "from_tensors: every label is {}, which is ignored", ignored_label);
  return largest;
}

}  // namespace

int32_t* Target::labels() const {
  check<UsageError>(labels_ != nullptr,
                    "the data set's targets are values, and its `read` gives labels; one of them is wrong");
  return labels_;
}

real* Target::values() const {
  check<UsageError>(values_ != nullptr,
                    "the data set's targets are labels, and its `read` gives values; set its `kind`");
  return values_;
}

Sample Dataset::sample(int64_t index, int64_t epoch, uint64_t seed) const {
  check<ValueError>(index >= 0 && index < size, "there is no sample {} in a data set of {}", index, size);
  Sample sample{
      .x = std::vector<real>(static_cast<size_t>(sample_shape.count())), .labels = {}, .values = {}};
  const auto targets = static_cast<size_t>(target_shape.count());
  RandomStream random(seed, epoch, index);
  if (kind == TargetKind::values) {
    sample.values.resize(targets);
    read({index, epoch, random}, sample.x.data(), Target(sample.values.data()));
  } else {
    sample.labels.resize(targets);
    read({index, epoch, random}, sample.x.data(), Target(sample.labels.data()));
  }
  return sample;
}

Dataset from_tensors(Tensor x, Labels y) {
  check_samples(x, y.size(), "labels");
  return {x.shape().without(0), y.size(), largest_label(y, 1) + 1, read_from(x, y, 1)};
}

Dataset from_tensors(Tensor x, Labels y, const Shape& target_shape) {
  const int64_t positions = target_shape.count();
  check<ShapeError>(target_shape.rank() >= 1 && positions > 0 && y.size() % positions == 0,
                    "from_tensors: {} labels for positions {}; there must be one for each position of each "
                    "sample",
                    y.size(), target_shape);
  check_samples(x, y.size() / positions, "maps of labels");
  return {x.shape().without(0),       y.size() / positions,  largest_label(y, positions) + 1,
          read_from(x, y, positions), TargetKind::positions, target_shape};
}

Dataset from_tensors(Tensor x, Tensor targets) {
  check<ShapeError>(targets.rank() == 2 && targets.size(1) > 0,
                    "from_tensors: targets are {}; they must be (N, K), K > 0 values for each sample",
                    targets.shape());
  check_samples(x, targets.size(0), "rows of targets");
  const int64_t width = targets.size(1);
  return {x.shape().without(0), targets.size(0), 0, read_from(x, targets.detach(), width),
          TargetKind::values,   Shape{width}};
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
  dataset.read = [read = std::move(dataset.read), first](const Reading& reading, real* x, Target y) {
    read({first + reading.index, reading.epoch, reading.random}, x, y);
    //~ read(reading, x, y);
  };
  return dataset;
}

Dataset subset(Dataset dataset, std::vector<int64_t> indices) {
  for (const int64_t index : indices)
    check<ValueError>(index >= 0 && index < dataset.size, "subset: sample {} of a data set that has {}",
                      index, dataset.size);
  dataset.size = static_cast<int64_t>(indices.size());
  dataset.read = [read = std::move(dataset.read),
                  all = std::make_shared<const std::vector<int64_t>>(std::move(indices))](
                     const Reading& reading, real* x, Target y) {
    read({(*all)[static_cast<size_t>(reading.index)], reading.epoch, reading.random}, x, y);
  };
  return dataset;
}

Split split_off(const Dataset& dataset, double fraction, uint64_t seed) {
  const int64_t size = dataset.size;
  check<ValueError>(fraction > 0 && fraction < 1, "split_off: a fraction of {}; it must be between 0 and 1",
                    fraction);
  const auto wanted = static_cast<int64_t>(std::llround(fraction * static_cast<double>(size)));
  check<ValueError>(wanted > 0 && wanted < size,
                    "split_off: a fraction of {} of {} samples leaves a part empty", fraction, size);
  // In random order within each class, every (size / wanted)-th sample is taken.
  std::vector<int64_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), int64_t{0});
  RandomStream random(seed, 0, 0, RandomPurpose::splitting);
  for (int64_t n = size; n > 1; --n)
    std::swap(order[static_cast<size_t>(n - 1)], order[static_cast<size_t>(random.below(n))]);
  if (dataset.kind == TargetKind::classes) {
    //~ if (false) {
    const std::vector<int32_t> labels = labels_of(dataset);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return labels[static_cast<size_t>(a)] < labels[static_cast<size_t>(b)];
    });
  }
  const auto taken_before = [&](int64_t n) { return (n * wanted + size / 2) / size; };
  std::vector<int64_t> rest, taken;
  for (int64_t n = 0; n < size; ++n)
    (taken_before(n + 1) > taken_before(n) ? taken : rest).push_back(order[static_cast<size_t>(n)]);
  std::sort(rest.begin(), rest.end());
  std::sort(taken.begin(), taken.end());
  return {
      .train = subset(dataset, std::move(rest)), .test = {}, .validation = subset(dataset, std::move(taken))};
}

Dataset augmented(Dataset dataset, std::function<void(RandomStream&, const Shape&, real* x)> change) {
  dataset.read = [read = std::move(dataset.read), change = std::move(change), shape = dataset.sample_shape](
                     const Reading& reading, real* x, Target y) {
    read(reading, x, y);
    change(reading.random, shape, x);
  };
  return dataset;
}

Split digits(int64_t train_count, int64_t test_count, uint64_t seed) {
  return {draw(DigitSplit::train, train_count, seed), draw(DigitSplit::test, test_count, seed)};
}

Split from_files(MnistFiles files, int least_classes) {
  int classes = least_classes;
  for (const LabeledImages* part : {&files.train, &files.test})
    for (const uint8_t label : part->labels) classes = std::max(classes, label + 1);
  const auto dataset = [classes](LabeledImages& part) {
    return from_bytes(std::move(part.images.pixels), std::move(part.labels),
                      {part.images.channels, part.images.rows, part.images.cols}, classes);
  };
  return {dataset(files.train), dataset(files.test)};
}

// At least 10 classes, so that a part of MNIST that lacks a digit still makes the same model.
Split mnist(const std::string& folder) { return from_files(read_mnist(folder), 10); }

}  // namespace ballast::inline BALLAST_PRECISION
