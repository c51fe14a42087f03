#include <fmt/format.h>

#include <algorithm>

#include <ballast/data/loader.h>
#include <ballast/data/standardization.h>

#include "experiments/experiment.h"
#include "trainer/data.h"

namespace ballast::app::experiments {
namespace {

/// The images of a data set, at most so many, read into memory.
Dataset in_memory(const Dataset& data, int64_t most) {
  const int64_t count = std::min(data.size, most);
  Loader loader(subset(data, 0, count), {.batch_size = count, .shuffle = false});
  const Batch& batch = *loader.begin();
  Dataset copy = from_tensors(batch.x, batch.y);
  copy.classes = data.classes;
  return copy;
}

struct Counts {
  int64_t train, test;
};
Counts count_of(bool quick) { return quick ? Counts{3'000, 1'000} : Counts{60'000, 10'000}; }

}  // namespace

Split read_source(const std::string& data, bool quick) {
  const Split source = data == "digits" ? digits(count_of(quick).train, count_of(quick).test) : mnist(data);
  check<ValueError>(source.train.sample_shape == Shape{1, 28, 28} && source.train.classes == 10,
                    "--data {}: its images are of shape {} and {} classes; experiments are set up for MNIST: "
                    "(1, 28, 28) and 10 classes",
                    data, source.train.sample_shape, source.train.classes);
  return source;
}

Images load_images(const std::string& data, bool quick) {
  const Split source = read_source(data, quick);
  const Counts counts = count_of(quick);
  Images images;
  images.source = data;
  images.pixels = {in_memory(source.train, counts.train), in_memory(source.test, counts.test)};
  const Standardization measured = measure(images.pixels.train);
  const auto prepare = [&](const Dataset& part) {
    return in_memory(standardized(part, measured), part.size);
  };
  images.standardized = {prepare(images.pixels.train), prepare(images.pixels.test)};
  images.name =
      fmt::format("{}: {} training and {} test images",
                  data == "digits" ? "the built-in digits, drawn by the program (no real MNIST)" : "MNIST",
                  images.pixels.train.size, images.pixels.test.size);
  for (const auto& [name, value] : fingerprint(images.pixels))
    images.fingerprint += fmt::format("{}{}={}", images.fingerprint.empty() ? "" : " ", name, value);
  return images;
}

}  // namespace ballast::app::experiments
