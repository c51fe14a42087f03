#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <ballast/core/ops/elementwise.h>
#include <ballast/core/ops/reduce.h>
#include <ballast/core/predict.h>
#include <ballast/core/random.h>
#include <ballast/data/loader.h>
#include <ballast/layers/analysis/lipschitz.h>

#include "certificate_file.h"
#include "commands.h"
#include "text.h"
#include "trained.h"

namespace ballast::inline BALLAST_PRECISION {
namespace {

void check_options(const CertifyOptions& options) {
  check<ValueError>(options.probes >= 0, "--probes {}: it must be at least 0", options.probes);
  for (const double radius : options.radii)
    check<ValueError>(radius >= 0 && std::isfinite(radius), "--radii {}: give distances of at least 0",
                      radius);
  check<ValueError>(options.check.empty() || options.out.empty(),
                    "--check writes nothing: it can't be given with --out");
}

/// The certificate in options.check, if it is this model's, or a new one.
Certificate certificate_of(const CertifyOptions& options, Trained& trained) {
  if (options.check.empty()) return certify(trained.model, trained.info.sample_shape);
  Certificate certificate = read_certificate(options.check);
  try {
    certificate.check_valid(trained.model);
  } catch (const UsageError& error) {
    throw ValueError(fmt::format("{} is not for {}: {}", options.check, trained.path, error.message));
  }
  return certificate;
}

void print_bounds(const Certificate& certificate, const Standardization& standardization) {
  fmt::print("{:<6}{:<32}{:>12}{:>12}\n", "", "layer, norms folded", "bound", "attained");
  for (const LayerBound& layer : certificate.layers)
    fmt::print("{:<6}{:<32}{:>12.5g}{:>12}\n", layer.path, layer.layer, layer.bound,
               layer.attained > 0 ? fmt::format("{:.2f} %", 100 * layer.attained / layer.bound) : "");
  fmt::print("{:<6}{:<32}{:>12.5g}\n", "", "network: their product", certificate.bound);
  fmt::print("{:<6}{:<32}{:>12.5g}\n", "", "... by pixels of 0 to 1",
             certificate.bound / standardization.std);
  fmt::print("statistics {:016x}, weights {:016x}\n", certificate.statistics_hash, certificate.weights_hash);
}

/// Where the logits of x and x + step end up: the longest |f(x + step) - f(x)| / |step| over the rows.
double largest_stretch(Module& model, const Tensor& x, const Tensor& step) {
  const Tensor moved = predict(model, x + step) - predict(model, x);
  const auto length = [](const Tensor& rows, int64_t n) {
    const int64_t width = rows.count() / rows.size(0);
    double squares = 0;
    for (int64_t i = 0; i < width; ++i) squares += std::pow(double{rows.data()[n * width + i]}, 2);
    return std::sqrt(squares);
  };
  double largest = 0;
  for (int64_t n = 0; n < x.size(0); ++n)
    if (const double size = length(step, n); size > 0) largest = std::max(largest, length(moved, n) / size);
  return largest;
}

/// Tries random steps from test images: in any direction, 0.001 to 1 per pixel, and every other batch towards
/// another image. Throws if one stretches more than the bound.
void probe(Module& model, const Certificate& certificate, const Dataset& test,
           const CertifyOptions& options) {
  Loader loader(test, {.batch_size = options.batch_size});
  double largest = 0;
  int64_t tried = 0, batches = 0;
  Tensor before;
  while (tried < options.probes) {
    for (const Batch& batch : loader) {
      if (tried >= options.probes) break;
      const bool towards = batches % 2 == 1 && before.shape() == batch.x.shape();
      const real size = std::pow(real(10), static_cast<real>(batches / 2 % 4 - 3));
      const Tensor step = towards ? before - batch.x : randn(batch.x.shape(), 0, size);
      largest = std::max(largest, largest_stretch(model, batch.x, step));
      before = batch.x.clone();
      tried += batch.x.size(0);
      ++batches;
    }
  }
  if (tried == 0) return;
  if (largest > certificate.bound)
    throw std::runtime_error(
        fmt::format("a random step was stretched {:.6g} times, more than the bound {:.6g}: this "
                    "is a mistake in Ballast, please report it",
                    largest, certificate.bound));
  fmt::print("{} random probes: none exceeds the bound; the largest stretch is {:.5g}, {:.3g} % of it\n",
             tried, largest, 100 * largest / certificate.bound);
}

struct Radii {
  std::vector<double> of_image;  // distances in pixels of 0 to 1
  int64_t correct = 0;
};

Radii radii_of(const Certificate& certificate, Trained& trained, const Dataset& test, int64_t batch_size) {
  Radii radii;
  for (const Batch& batch : Loader(test, {.batch_size = batch_size, .shuffle = false})) {
    const Labels predicted = argmax(predict(trained.model, batch.x));
    for (int64_t n = 0; n < predicted.size(); ++n) radii.correct += predicted[n] == batch.y[n];
    for (const double radius : certified_radii(certificate, trained.model, batch.x, batch.y))
      radii.of_image.push_back(radius * trained.info.standardization.std);
  }
  return radii;
}

void print_radii(const Radii& radii, std::vector<double> distances) {
  std::vector<double> sorted = radii.of_image;
  std::ranges::sort(sorted);
  const auto quantile = [&](double share) {
    return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))];
  };
  const auto size = static_cast<int64_t>(sorted.size());
  fmt::print("test accuracy {}\n", accuracy_text(radii.correct, size));
  fmt::print(
      "certified radius, 2-norm in pixels of 0 to 1: median {:.3g}, quartiles {:.3g} and {:.3g}, largest "
      "{:.3g}\n",
      quantile(0.5), quantile(0.25), quantile(0.75), sorted.back());
  std::ranges::sort(distances);
  for (const double distance : distances) {
    const auto certified = sorted.end() - std::ranges::lower_bound(sorted, std::max(distance, 1e-300));
    fmt::print("  certified accuracy within {:<8g} {}\n", distance, accuracy_text(certified, size));
  }
}

}  // namespace

int certify(const CertifyOptions& options) {
  check_options(options);
  use_threads(options.threads);
  Trained trained = load_trained(checkpoint_of(options.path), options);
  const std::string out =
      options.check.empty() ? new_file(options.out, trained.path, "certificate", ".json") : "";
  const Dataset test = data_for(trained, Needs::test).test;
  const Certificate certificate = certificate_of(options, trained);
  fmt::print("{}\n", trained.path);
  print_bounds(certificate, trained.info.standardization);
  probe(trained.model, certificate, test, options);
  const Radii radii = radii_of(certificate, trained, test, options.batch_size);
  print_radii(radii, options.radii);
  if (!options.check.empty()) {
    fmt::print("{} holds: neither statistics nor weights have changed\n", options.check);
    return 0;
  }
  write_certificate(out, certificate, {trained.path, trained.info.data.data, radii.of_image});
  fmt::print("written: {}\n", out);
  return 0;
}

}  // namespace ballast::inline BALLAST_PRECISION
