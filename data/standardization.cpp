#include <ballast/data/standardization.h>

#include <cmath>

#include <ballast/core/parallel.h>
#include <ballast/data/detail/moments.h>

namespace ballast::inline BALLAST_PRECISION {

using detail::Moments;
namespace {

/// Of each channel over all samples: of `grain` samples at a time, then of all, in a fixed order.
std::vector<Moments> moments_of(const Dataset& dataset, int64_t channels, int64_t grain) {
  const int64_t chunks = divide_up(dataset.size, grain), values = dataset.sample_shape.count() / channels;
  std::vector<Moments> parts(static_cast<size_t>(chunks * channels));
  parallel_for(dataset.size, grain, [&](int64_t begin, int64_t end) {
    Moments* of_chunk = parts.data() + begin / grain * channels;
    for (int64_t n = begin; n < end; ++n) {
      const Sample sample = dataset.sample(n);
      for (int64_t c = 0; c < channels; ++c) {
        const Moments one(sample.x.data() + c * values, values);
        if (n == begin)
          of_chunk[c] = one;
        else
          of_chunk[c].add(one);
      }
    }
  });
  std::vector<Moments> all(static_cast<size_t>(channels));
  for (int64_t i = 0; i < chunks * channels; ++i)
    all[static_cast<size_t>(i % channels)].add(parts[static_cast<size_t>(i)]);
  return all;
}

void check_values(const Dataset& dataset) {
  check<ValueError>(dataset.size > 0 && dataset.sample_shape.count() > 0,
                    "measure: the data set has no values");
}

double deviation(const Moments& moments) { return std::sqrt(moments.squares / moments.count); }

/// But for rounding.
bool is_constant(const Moments& moments) { return deviation(moments) <= 1e-12 * std::abs(moments.mean); }

void check_regression(const char* function, const Dataset& dataset) {
  check<UsageError>(dataset.kind == TargetKind::values,
                    "{}: the data set's targets are labels; only numbers are standardized", function);
  check<ValueError>(dataset.size > 0, "{}: the data set has no samples", function);
}

/// Channels that a mean or deviation is given for: one, which is all values, or those of the samples.
int64_t channels_of(const Dataset& dataset, const Standardization& given) {
  const auto means = static_cast<int64_t>(given.mean.size()),
             deviations = static_cast<int64_t>(given.std.size());
  const int64_t channels = dataset.sample_shape.rank() > 0 ? dataset.sample_shape[0] : 1;
  check<ValueError>(means == deviations && means > 0 && (means == 1 || means == channels),
                    "standardized: {} means and {} standard deviations for samples {}; there must be one of "
                    "each, or one per channel",
                    means, deviations, dataset.sample_shape);
  for (const double std : given.std)
    check<ValueError>(std > 0, "standardized: a standard deviation of {} can't be divided by", std);
  return means;
}

}  // namespace

Standardization measure(const Dataset& dataset) {
  check_values(dataset);
  const Moments all = moments_of(dataset, 1, 1)[0];
  return {{all.mean}, {deviation(all)}};
}

Standardization measure_channels(const Dataset& dataset) {
  check_values(dataset);
  const int64_t channels = dataset.sample_shape.rank() > 0 ? dataset.sample_shape[0] : 1;
  Standardization found{{}, {}};
  for (const Moments& moments : moments_of(dataset, channels, grain_for(dataset.size, 64, 64))) {
    found.mean.push_back(moments.mean);
    found.std.push_back(is_constant(moments) ? 1 : deviation(moments));
    //~ found.std.push_back(deviation(moments));
  }
  return found;
}

Dataset standardized(Dataset dataset, const Standardization& standardization) {
  const int64_t channels = channels_of(dataset, standardization);
  std::vector<real> shifts, scales;
  for (const double mean : standardization.mean) shifts.push_back(static_cast<real>(mean));
  for (const double std : standardization.std) scales.push_back(static_cast<real>(1 / std));
  dataset.read = [read = std::move(dataset.read), shifts = std::move(shifts), scales = std::move(scales),
                  values = dataset.sample_shape.count() / channels](const Reading& reading, real* x,
                                                                    Target y) {
    read(reading, x, y);
    for (size_t c = 0; c < shifts.size(); ++c, x += values) {
      const real shift = shifts[c], scale = scales[c];
      for (int64_t n = 0; n < values; ++n) x[n] = (x[n] - shift) * scale;
      //~ for (int64_t n = 0; n < values; ++n) x[n] = x[n] * scale - shift;
    }
  };
  return dataset;
}

Standardization measure_targets(const Dataset& dataset) {
  check_regression("measure_targets", dataset);
  std::vector<Moments> columns(static_cast<size_t>(dataset.target_shape.count()));
  for (int64_t n = 0; n < dataset.size; ++n) {
    const Sample sample = dataset.sample(n);
    for (size_t c = 0; c < columns.size(); ++c) columns[c].add(Moments(sample.values.data() + c, 1));
  }
  Standardization found{{}, {}};
  for (const Moments& column : columns) {
    found.mean.push_back(column.mean);
    found.std.push_back(is_constant(column) ? 1 : deviation(column));
    //~ found.std.push_back(deviation(column));
  }
  return found;
}

Dataset standardized_targets(Dataset dataset, const Standardization& standardization) {
  check_regression("standardized_targets", dataset);
  const auto width = static_cast<size_t>(dataset.target_shape.count());
  check<ValueError>(standardization.mean.size() == width && standardization.std.size() == width,
                    "standardized_targets: {} means and {} standard deviations for {} columns",
                    standardization.mean.size(), standardization.std.size(), width);
  for (const double std : standardization.std)
    check<ValueError>(std > 0, "standardized_targets: a standard deviation of {} can't be divided by", std);
  dataset.read = [read = std::move(dataset.read), standardization](const Reading& reading, real* x,
                                                                   Target y) {
    read(reading, x, y);
    real* value = y.values();
    for (size_t c = 0; c < standardization.mean.size(); ++c)
      value[c] = static_cast<real>((double{value[c]} - standardization.mean[c]) / standardization.std[c]);
  };
  return dataset;
}

}  // namespace ballast::inline BALLAST_PRECISION
