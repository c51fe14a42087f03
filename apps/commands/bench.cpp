#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <numeric>

#include <ballast/core/ops/loss.h>
#include <ballast/core/ops/reduce.h>
#include <ballast/core/parallel.h>
#include <ballast/core/predict.h>
#include <ballast/core/random.h>
#include <ballast/optim/adam.h>

#include "commands/command.h"
#include "options/options.h"
#include "output.h"
#include "trainer/models.h"
#include "trainer/trained.h"

namespace ballast::app {
namespace {

struct BenchOptions {
  std::string path;
  ModelOptions model;
  int64_t batch_size = 128, threads = 0;
  double seconds = 2;
  Given given;
};

/// Seconds of each call, sorted: after calls for a tenth of the time, so many as fit, and at least five.
std::vector<double> times_of(double seconds, const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const auto warm_up = Clock::now();
  do call();
  while (since(warm_up) < seconds / 10);
  std::vector<double> times;
  const auto start = Clock::now();
  while (times.size() < 5 || since(start) < seconds) {
    const auto before = Clock::now();
    call();
    times.push_back(since(before));
  }
  std::ranges::sort(times);
  return times;
}

double median(const std::vector<double>& sorted) { return sorted[sorted.size() / 2]; }

/// Steps of AdamW on random samples, with targets of zeros; what is learned doesn't change the time.
std::vector<double> training_times(Sequential& model, const Tensor& x, double seconds) {
  AdamW optimizer(model, {.lr = 1e-6});
  return times_of(seconds, [&] {
    Tape tape;
    const Tensor y = model(x);
    if (y.rank() != 2) {
      tape.backward(mean(y));
    } else {
      Labels labels(y.size(0));
      std::fill_n(labels.data(), labels.size(), 0);
      tape.backward(cross_entropy(y, labels));
    }
    optimizer.step();
  });
}

int run(const BenchOptions& options) {
  use_threads(options.threads);
  CheckpointInfo info;
  if (!options.path.empty()) info = load_trained(checkpoint_of(options.path), {}, {}).info;
  info.model = merged(info.model, options.model, options.given);
  check_effect(info.model, options.given);
  Sequential model = make_model(info.model, info.sample_shape, info.outputs);
  const int64_t least = least_batch(model, info.sample_shape, options.batch_size);
  const int64_t size = std::max(options.batch_size, least);
  const Tensor batch = randn(info.sample_shape.inserted(0, size)),
               one = randn(info.sample_shape.inserted(0, 1));

  const auto inference = times_of(options.seconds, [&] { predict(model, batch); });
  const auto single = times_of(options.seconds, [&] { predict(model, one); });
  const auto training = training_times(model, batch, options.seconds);
  const auto per_second = [&](const std::vector<double>& times) {
    return static_cast<double>(size) / median(times);
  };
  say("{}, samples {}, {} parameters; {} thread{}; medians\n", description(info.model), info.sample_shape,
      parameter_count(model), num_threads(), num_threads() == 1 ? "" : "s");
  say("training    {:>12.0f} samples/s in batches of {} with adamw, {:.3f} ms per step\n",
      per_second(training), size, 1e3 * median(training));
  say("inference   {:>12.0f} samples/s in batches of {}\n", per_second(inference), size);
  say("latency     {:>12.4f} ms for one sample; 99 of 100 take at most {:.4f} ms\n", 1e3 * median(single),
      1e3 * single[single.size() * 99 / 100]);
  return 0;
}

OptionList list(BenchOptions& o) {
  return joined(
      joined({path_option(o.path, false)}, grouped("Model", options_of(o.model))),
      {{.name = "batch-size", .value = &o.batch_size, .help = "samples per step", .least = 1, .most = 1e9},
       {.name = "threads",
        .value = &o.threads,
        .help = "threads to compute with, 0 for all processors",
        .least = 0,
        .most = 256},
       {.name = "seconds",
        .value = &o.seconds,
        .help = "how long to measure each of the three",
        .least = 0.01,
        .most = 3600}});
}

}  // namespace

extern const Command bench;
const Command bench{"bench", "measure how fast a network is on this machine",
                    "Measures a network on this machine with random samples: steps of training, inference in "
                    "batches, and how\n"
                    "long one sample takes. Reading data isn't part of it.",
                    "Examples:\n"
                    "  ballast bench runs/a                           the network of a run\n"
                    "  ballast bench --model resnet-20 --batch-size 32 --threads 1",
                    invocation(list, run)};

}  // namespace ballast::app
