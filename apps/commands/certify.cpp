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

#include "commands/command.h"
#include "options/options.h"
#include "output.h"
#include "trainer/certificate_file.h"
#include "trainer/text.h"
#include "trainer/trained.h"

namespace ballast::app {
namespace {

struct CertifyOptions {
  TrainedOptions trained;
  std::string out, check;  // check: path of an existing certificate
  std::vector<double> radii = {0.001, 0.003, 0.01, 0.03};
  int64_t probes = 10'000;
  Given given;
};

void check_options(const CertifyOptions& options) {
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

/// A step of length 1 in pixels is one of at most 1 / least(std) in standardized channels.
double least(const std::vector<double>& deviations) { return *std::ranges::min_element(deviations); }

void print_bounds(const Certificate& certificate, const CheckpointInfo& info) {
  size_t width = 6;
  for (const LayerBound& layer : certificate.layers) width = std::max(width, layer.path.size() + 1);
  say("{:<{}}{:<32}{:>12}{:>12}\n", "", width, "layer, batch norms folded", "bound", "attained");
  for (const LayerBound& layer : certificate.layers)
    say("{:<{}}{:<32}{:>12.5g}{:>12}\n", layer.path, width, layer.layer, layer.bound,
        layer.attained > 0 ? fmt::format("{:.2f} %", 100 * layer.attained / layer.bound) : "");
  say("{:<{}}{:<32}{:>12.5g}\n", "", width, "network", certificate.bound);
  say("{:<{}}{:<32}{:>12.5g}\n", "", width,
      info.sample_shape.rank() == 3 ? "... in pixels of 0 to 1" : "... before standardization",
      certificate.bound / least(info.standardization.std));
  say("statistics {:016x}, weights {:016x}\n", certificate.statistics_hash, certificate.weights_hash);
}

/// The largest |f(x + step) - f(x)| / |step| over the rows.
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

/// Tries steps from test images: random normal ones with a deviation of 0.001 to 1 per element of the
/// network's standardized input, and in every other batch the step to another image. Throws if one exceeds
/// the bound.
void probe(Module& model, const Certificate& certificate, const Dataset& test,
           const CertifyOptions& options) {
  Loader loader(test, {.batch_size = options.trained.batch_size});
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
  say("{} random probes: none exceeds the bound; the largest stretch is {:.5g}, {:.3g} % of it\n", tried,
      largest, 100 * largest / certificate.bound);
}

struct Radii {
  std::vector<double> of_image;  // distances in pixels of 0 to 1, or the units of the data
  int64_t correct = 0;
};

Radii radii_of(const Certificate& certificate, Trained& trained, const Dataset& test, int64_t batch_size) {
  Radii radii;
  for (const Batch& batch : Loader(test, {.batch_size = batch_size, .shuffle = false})) {
    const Labels predicted = argmax(predict(trained.model, batch.x));
    for (int64_t n = 0; n < predicted.size(); ++n) radii.correct += predicted[n] == batch.y[n];
    for (const double radius : certified_radii(certificate, trained.model, batch.x, batch.y))
      radii.of_image.push_back(radius * least(trained.info.standardization.std));
  }
  return radii;
}

void print_radii(const Radii& radii, std::vector<double> distances, const Dataset& test) {
  std::vector<double> sorted = radii.of_image;
  std::ranges::sort(sorted);
  const auto quantile = [&](double share) {
    return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))];
  };
  const auto size = static_cast<int64_t>(sorted.size());
  say("test accuracy {}\n", accuracy_text(radii.correct, size));
  say("certified radius, 2-norm in {}: median {:.3g}, quartiles {:.3g} and {:.3g}, largest {:.3g}\n",
      test.sample_shape.rank() == 3 ? "pixels of 0 to 1" : "the units of the data", quantile(0.5),
      quantile(0.25), quantile(0.75), sorted.back());
  std::ranges::sort(distances);
  for (const double distance : distances) {
    const auto certified = sorted.end() - std::ranges::lower_bound(sorted, std::max(distance, 1e-300));
    say("  certified accuracy within {:<8g} {}\n", distance, accuracy_text(certified, size));
  }
}

int run(const CertifyOptions& options) {
  check_options(options);
  use_threads(options.trained.threads);
  Trained trained = load_trained(checkpoint_of(options.trained.path), options.trained, options.given);
  check<ValueError>(trained.info.kind == TargetKind::classes,
                    "{}: the network doesn't predict a class, and a certificate is for how far a class holds",
                    trained.path);
  const std::string out =
      options.check.empty() ? new_file(options.out, trained.path, "certificate", ".json") : "";
  const Dataset test = data_for(trained, Needs::test, options.given).test;
  const Certificate certificate = certificate_of(options, trained);
  say("{}\n", trained.path);
  print_bounds(certificate, trained.info);
  probe(trained.model, certificate, test, options);
  const Radii radii = radii_of(certificate, trained, test, options.trained.batch_size);
  print_radii(radii, options.radii, test);
  if (!options.check.empty()) {
    say("{} holds: neither statistics nor weights have changed\n", options.check);
    return 0;
  }
  write_certificate(out, certificate, {trained.path, data_name(trained.info), radii.of_image});
  say("written: {}\n", out);
  return 0;
}

OptionList list(CertifyOptions& o) {
  return joined(
      options_of(o.trained, "samples at a time"),
      {{.name = "radii",
        .value = &o.radii,
        .help = "distances to tell the certified accuracy for, in pixels of 0 to 1 or the units of a table",
        .least = 0},
       {.name = "probes",
        .value = &o.probes,
        .help = "random steps that must not exceed the bound",
        .least = 0,
        .most = 1e12},
       {.name = "check",
        .value = &o.check,
        .help = "use this certificate, if it is of the network as it is now",
        .placeholder = "FILE"},
       out_option(o.out, "certificate.json")});
}

}  // namespace

extern const Command certify;
const Command certify{
    "certify", "bound what a small change of an image can do",
    "Bounds how far the logits of a trained network can move when an image does (its Lipschitz constant, "
    "layer\n"
    "by layer, batch norms folded), and from that the distance within which the prediction for each test "
    "image\n"
    "can't change (Tsuzuku, Sato & Sugiyama 2018, arXiv:1802.04034). Writes a certificate, which holds for\n"
    "these weights and running statistics alone.",
    "Examples:\n"
    "  ballast certify runs/a                         writes runs/a/last-certificate.json\n"
    "  ballast certify runs/a --radii 0.001,0.01      the accuracy that is certain within these distances\n"
    "  ballast certify runs/a --check runs/a/last-certificate.json    refused if the network has changed "
    "since",
    invocation(list, run)};

}  // namespace ballast::app
