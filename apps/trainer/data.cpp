#include "trainer/data.h"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include <ballast/core/parallel.h>

#include "output.h"

namespace ballast::app {
namespace {

struct Hashes {
  std::string images, targets;
};

template <class T>
std::string hash_text(const std::vector<T>& values) {
  return fmt::format("{:016x}", XXH3_64bits(values.data(), values.size() * sizeof(T)));
}

/// The hash of the images is one of hashes, so that threads can share the work.
Hashes hashes_of(const Dataset& dataset) {
  const auto size = static_cast<size_t>(dataset.size);
  std::vector<XXH64_hash_t> images(size);
  const auto targets = static_cast<size_t>(dataset.target_shape.count());
  const bool numbers = dataset.kind == TargetKind::values;
  std::vector<int32_t> labels(numbers ? 0 : size * targets);
  std::vector<real> values(numbers ? size * targets : 0);
  parallel_for(dataset.size, 64, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const auto i = static_cast<size_t>(n);
      const Sample sample = dataset.sample(n);
      std::copy(sample.labels.begin(), sample.labels.end(), labels.data() + i * targets);
      std::copy(sample.values.begin(), sample.values.end(), values.data() + i * targets);
      images[i] = XXH3_64bits(sample.x.data(), sample.x.size() * sizeof(real));
    }
  });
  return {hash_text(images), numbers ? hash_text(values) : hash_text(labels)};
}

}  // namespace

Split load_data(const DataOptions& options) {
  if (options.data != "digits") {
    Split split = mnist(options.data);
    check<ValueError>(split.train.size > 0 && split.test.size > 0,
                      "--data {}: {} training and {} test images; it takes some of both", options.data,
                      split.train.size, split.test.size);
    return split;
  }
  if (std::error_code error; std::filesystem::is_directory("digits", error))
    complain(
        "note: --data digits are the built-in digits; for the folder of that name here give --data "
        "./digits\n");
  return digits(options.train_size, options.test_size);
}

Standardization standardization_of(const Split& split, const DataOptions& options) {
  const Standardization found = measure(split.train);
  check<ValueError>(
      found.std[0] > 0,
      "--data {}: all pixels of all training images have the same value ({:g}); there is nothing to "
      "learn from them",
      options.data, found.mean[0]);
  return found;
}

Fingerprint fingerprint(const Split& split) {
  const Hashes train = hashes_of(split.train), test = hashes_of(split.test);
  return {{"train_size", fmt::format("{}", split.train.size)},
          {"train_images", train.images},
          {"train_labels", train.targets},
          {"test_size", fmt::format("{}", split.test.size)},
          {"test_images", test.images},
          {"test_labels", test.targets}};
}

}  // namespace ballast::app
