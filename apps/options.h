#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION {

// What the user asked for. Every option is named once, in a `for_each_option`, which the command line,
// config.toml and the files of a run all go through: f(name, member, help).

struct DataOptions {
  std::string data = "digits";
  int64_t train_size = 10'000, test_size = 2'000;
};

struct ModelOptions {
  std::string model = "cnn", norm = "batch", act = "relu";
  std::vector<int64_t> hidden = {512, 512};
  double dropout = 0;
};

struct TrainingOptions {
  std::string optimizer = "adamw";
  std::optional<double> lr, weight_decay;  // none: the optimizer's own default, filled in by `validate`
  double momentum = 0.9;
  std::string schedule = "one-cycle";
  int64_t warmup = 0, batch_size = 128, epochs = 3;
  uint64_t seed = 0;
  int64_t threads = 0;
  std::string save_every = "60s";
  std::string init_from;
  std::vector<std::string> freeze, freeze_stats, freeze_mode;
};

/// Names of the options that were given rather than left at their defaults.
using Given = std::set<std::string>;

struct TrainOptions {
  DataOptions data;
  ModelOptions model;
  TrainingOptions training;
  // Where, not what: these are no part of config.toml.
  std::string out, resume, config;
  Given given;
};

/// A trained network, and the data to run it on.
struct EvalOptions {
  std::string path;
  DataOptions data;
  ModelOptions model;
  int64_t batch_size = 256, threads = 0;
  Given given;
};

/// What becomes of a trained network, and the file to write it to.
struct RewriteOptions : EvalOptions {
  std::string out;
};

struct CertifyOptions : RewriteOptions {
  std::string check;  // a certificate made before
  std::vector<double> radii = {0.001, 0.003, 0.01, 0.03};
  int64_t probes = 10'000;
};

struct SummaryOptions {
  std::string path;
  ModelOptions model;
  bool advise = false;
  int64_t batch_size = 128;  // to advise for
  Given given;
};

template <class F>
void for_each_option(DataOptions& o, F&& f) {
  f("data", o.data, "'digits', drawn by the program itself, or a folder with the four files of MNIST");
  f("train-size", o.train_size, "number of training images, of the built-in digits only");
  f("test-size", o.test_size, "number of test images, of the built-in digits only");
}

template <class F>
void for_each_option(ModelOptions& o, F&& f) {
  f("model", o.model, "mlp, lenet or cnn");
  f("norm", o.norm, "normalization: none, batch, layer, group or instance");
  f("act", o.act, "activation: relu, leaky_relu, sigmoid, tanh, silu or gelu");
  f("hidden", o.hidden, "widths of the mlp's hidden layers, separated by commas");
  f("dropout", o.dropout, "probability of dropping each value after a hidden fully connected layer");
}

template <class F>
void for_each_option(TrainingOptions& o, F&& f) {
  f("optimizer", o.optimizer, "sgd, adam or adamw");
  f("lr", o.lr, "learning rate, the largest of the schedule [0.003; sgd 0.05]");
  f("weight-decay", o.weight_decay, "decay of the weights, not of biases and norms [adamw 0.01; others 0]");
  f("momentum", o.momentum, "momentum of sgd");
  f("schedule", o.schedule,
    "learning rate over the run: constant, step (a tenth after each third), cosine or one-cycle");
  f("warmup", o.warmup, "steps of linear warm-up in front of the schedule");
  f("batch-size", o.batch_size, "images per step");
  f("epochs", o.epochs, "passes over the training images");
  f("seed", o.seed, "seed of initialization, shuffling and dropout; the same seed gives the same bits");
  f("threads", o.threads, "threads to compute with, 0 for all processors; the result doesn't depend on it");
  f("save-every", o.save_every,
    "save what resuming needs this often within an epoch, in seconds (60s) or steps (500); after each epoch "
    "it is "
    "saved anyway");
  f("init-from", o.init_from,
    "begin with the weights in this checkpoint or run, as far as names and shapes fit");
  f("freeze", o.freeze, "parameters to keep as they are, by name: '0', '0.weight', '[03]' or '*.bias'");
  f("freeze-stats", o.freeze_stats, "layers whose running statistics stay as they are");
  f("freeze-mode", o.freeze_mode,
    "layers that evaluate while the others train: no dropout, no batch statistics");
}

template <class F>
void for_each_option(TrainOptions& o, F&& f) {
  for_each_option(o.data, f);
  for_each_option(o.model, f);
  for_each_option(o.training, f);
}

/// Checks every option that can be checked without the data and fills in the defaults that depend on others.
/// Throws ValueError.
void validate(TrainOptions& options);

/// Throws ValueError if sizes are given for data that have their own.
void check_data_options(const DataOptions& options, const Given& given);

/// Computes with this many threads from now on; 0 changes nothing. Throws ValueError for numbers out of
/// range.
void use_threads(int64_t count);

/// How often to save within an epoch: one of the two is 0.
struct SaveInterval {
  int64_t steps = 0;
  double seconds = 0;
};
SaveInterval parse_save_interval(const std::string& text);

/// The options as a JSON object, and back; one that isn't there, because the file is older than it, has its
/// default. Throws ValueError.
template <class Options>
std::string to_json(const Options& options);
template <class Options>
Options from_json(const std::string& text);

/// `base`, but with the options named in `given` taken from `other`.
template <class Options>
Options merged(const Options& base, const Options& other, const Given& given);

/// The options as lines `name = value` of TOML.
std::string to_toml(const TrainOptions& options);
/// Reads what `to_toml` wrote, or part of it, into `options`, leaving those in `options.given` as they are.
/// Throws FileError naming the line: OPEN, KEY for an unknown or repeated name, VALUE, SYNTAX.
void read_config(const std::string& path, TrainOptions& options);

}  // namespace ballast::inline BALLAST_PRECISION
