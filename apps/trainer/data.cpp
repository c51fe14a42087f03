#include "trainer/data.h"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <vector>

#include <ballast/core/parallel.h>

#include "output.h"
#include "trainer/formats.h"
#include "trainer/text.h"

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

/// Moves a share of the training samples to another part.
void split_part(Dataset& part, Dataset& train, const char* name, double share, const DataOptions& options) {
  if (share == 0) return;
  const auto count = static_cast<int64_t>(std::llround(share * static_cast<double>(train.size)));
  check<ValueError>(count > 0 && count < train.size,
                    "--{} {}: that is {} of {} samples; give another share{}", name, share, count, train.size,
                    std::string_view(name) == "validation" ? ", or 0" : "");
  Split parts = split_off(train, share, static_cast<uint64_t>(options.split_seed));
  train = std::move(parts.train);
  part = std::move(parts.validation);
}

/// Whether a part is that of the fingerprint with this name.
bool is_part(const Dataset& part, const std::string& name, const Fingerprint& trained) {
  Split split;
  (name == "test" ? split.test : split.train) = part;
  const Fingerprint now = fingerprint(split);
  return std::ranges::all_of(std::array{"_size", "_images", "_labels"}, [&](const char* what) {
    const auto before = trained.find(name + what);
    return before != trained.end() && before->second == now.at(name + what);
  });
}

/// The test part of samples that have none: that of the training data if they are these, else all of them.
void choose_test(Split& split, const DataOptions& options, const Fingerprint& trained) {
  const auto count = std::llround(options.test * static_cast<double>(split.train.size));
  if (count > 0 && count < split.train.size) {
    Split own = split;
    split_part(own.test, own.train, "test", options.test, options);
    if (is_part(own.test, "test", trained)) {
      //~ if (false) {
      complain("note: --data {}: the model was trained on these data; only their test part is measured\n",
               options.data);
      split = std::move(own);
      return;
    }
  }
  if (is_part(split.train, "train", trained))
    complain("warning: --data {}: these are the samples that the model was trained on\n", options.data);
  split.test = split.train;
}

bool has_fills(const TableSchema& schema) {
  return std::ranges::all_of(schema.inputs, [](const TableColumn& column) {
    return column.fill.has_value() || !column.texts.empty();
  });
}

/// Of each value of the samples the mean of those that aren't NaN.
std::vector<double> means_of_present(const Dataset& data) {
  const auto width = static_cast<size_t>(data.sample_shape.count());
  std::vector<double> sums(width), counts(width);
  for (int64_t n = 0; n < data.size; ++n) {
    const Sample sample = data.sample(n);
    for (size_t i = 0; i < width; ++i)
      if (!std::isnan(sample.x[i])) sums[i] += double{sample.x[i]}, ++counts[i];
  }
  for (size_t i = 0; i < width; ++i) sums[i] /= counts[i];
  return sums;
}

}  // namespace

void fill_missing(Split& split, TableSchema& schema) {
  if (has_fills(schema)) return;  // they were filled in as they were read
  const std::vector<double> means = means_of_present(split.train);
  size_t at = 0;
  for (TableColumn& column : schema.inputs) {
    if (column.texts.empty()) {
      check<ValueError>(std::isfinite(means[at]),
                        "column \"{}\" has no value in the training part; leave it out with --ignore {}",
                        column.name, shell_word(column.name));
      column.fill = means[at];
    }
    at += std::max<size_t>(column.texts.size(), 1);
  }
  for (Dataset* part : {&split.train, &split.validation, &split.test})
    part->read = [read = std::move(part->read), means](const Reading& reading, real* x, Target y) {
      read(reading, x, y);
      for (size_t i = 0; i < means.size(); ++i)
        if (std::isnan(x[i])) x[i] = static_cast<real>(means[i]);
    };
}

LoadedData load_data(const DataOptions& options, const TableSchema* known, const Fingerprint* trained) {
  const DataSource source = data_source(options.data);
  OpenedData opened = source.format->make.open(source.path, options, known);
  Split& split = opened.split;
  if (split.test.size == 0 && trained) {
    choose_test(split, options, *trained);
  } else if (split.test.size == 0) {
    check<ValueError>(
        options.test > 0,
        "--test 0: --data {} has no test part of its own, and the finished network is measured on "
        "one; give a share",
        options.data);
    split_part(split.test, split.train, "test", options.test, options);
  }
  if (split.validation.size == 0 && source.format->name != "digits" && !trained)
    split_part(split.validation, split.train, "validation", options.validation, options);
  check<ValueError>((split.train.size > 0 || options.train_size == 0) && split.test.size > 0,
                    "--data {}: {} training and {} test samples; it takes some of both", options.data,
                    split.train.size, split.test.size);
  if (options.missing == "mean" && !opened.schema.empty()) {
    check<ValueError>(!known || has_fills(*known),
                      "--missing mean: the model's training table was read without it, so that the means are "
                      "unknown; --missing drop leaves the rows out");
    fill_missing(split, opened.schema);
  }
  return {std::move(split), std::move(opened.schema), std::move(opened.missing)};
}

const char* unit_of(const Dataset& data) { return data.sample_shape.rank() == 3 ? "image" : "sample"; }

Standardization standardization_of(const Split& split, const DataOptions& options) {
  const Shape& shape = split.train.sample_shape;
  const bool grey = shape.rank() == 3 && shape[0] == 1;
  const Standardization found = grey ? measure(split.train) : measure_channels(split.train);
  // The deviation of a constant channel is given as 1; where all are constant, the channels may still differ.
  const bool all_constant = !grey && std::ranges::all_of(found.std, [](double std) { return std == 1; });
  const Standardization all = all_constant ? measure(split.train) : found;
  const bool constant = (grey || all_constant) && all.std[0] <= 1e-12 * std::abs(all.mean[0]);
  check<ValueError>(!constant,
                    "--data {}: all values of all training samples are the same ({:g}); there is nothing to "
                    "learn from them",
                    options.data, found.mean[0]);
  return found;
}

Dataset prepared(Dataset dataset, const Standardization& inputs, const Standardization& targets) {
  dataset = standardized(std::move(dataset), inputs);
  return dataset.kind == TargetKind::values ? standardized_targets(std::move(dataset), targets) : dataset;
}

Fingerprint fingerprint(const Split& split) {
  Fingerprint found;
  const auto add = [&](const std::string& name, const Dataset& part) {
    const Hashes hashes = hashes_of(part);
    found[name + "_size"] = fmt::format("{}", part.size);
    found[name + "_images"] = hashes.images;
    found[name + "_labels"] = hashes.targets;
  };
  add("train", split.train);
  if (split.validation.size > 0) add("validation", split.validation);
  add("test", split.test);
  return found;
}

}  // namespace ballast::app
