#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ballast/core/real.h>

#include "options/option.h"

namespace ballast::app {

// What the user asked for. `options_of` names each option once, with its help and its range; the command
// line, config.toml and the files of a run all go through it.

struct DataOptions {
  std::string data = "digits";
  int64_t train_size = 10'000, test_size = 2'000;
  double validation = 0.1, test = 0.1;
  int64_t split_seed = 0;
  std::vector<std::string> label, ignore;
  std::string header = "auto", missing = "error";
  std::string task = "auto", shape;
  bool skip_damaged = false;
};
OptionList options_of(DataOptions& o);

struct ModelOptions {
  std::string model = "cnn", norm = "batch", act = "relu";
  std::vector<int64_t> hidden = {512, 512};
  double dropout = 0;
};
OptionList options_of(ModelOptions& o);

struct TrainingOptions {
  std::string optimizer = "adamw";
  std::optional<double> lr, weight_decay;  // none: the optimizer's own default, filled in by `validate`
  double momentum = 0.9;
  std::string schedule = "one-cycle";
  int64_t warmup = 0, batch_size = 0, epochs = 0, seed = 0, threads = 0;
  int64_t workers = 0, patience = 0;
  int64_t accumulate = 1, probe = 0;
  double clip = 0, label_smoothing = 0, ema = 0, mixup = 0;
  std::string class_weights = "none";
  bool overfit_one_batch = false, tensorboard = false;
  std::string augment = "none", save_every = "60s";
  std::string init_from;
  std::vector<std::string> freeze, freeze_stats, freeze_mode;
};
OptionList options_of(TrainingOptions& o);

struct TrainOptions {
  DataOptions data;
  ModelOptions model;
  TrainingOptions training;
  // Where, not what: these are no part of config.toml.
  std::string out, resume, config, lr_plot;
  bool print_config = false, anomaly = false, lr_find = false;
  Given given;
};
/// Those that config.toml holds.
OptionList options_of(TrainOptions& o);
/// How --help of `train` and `compare` arranges the options: the most used first.
const Groups& training_groups();

/// A trained network, and the data to run it on.
struct TrainedOptions {
  std::string path;
  DataOptions data;
  ModelOptions model;
  int64_t batch_size = 256, threads = 0;
};
/// `batch_help` says what --batch-size is for.
OptionList options_of(TrainedOptions& o, const std::string& batch_help);

/// The folder of a run or a checkpoint, as the first argument of a command.
Option path_option(std::string& path, bool required);
/// --out of a command that writes one file.
Option out_option(std::string& out, const std::string& what);

/// Checks what the options alone can't: how they go together. Fills in the defaults that depend on others and
/// makes paths absolute. Throws ValueError.
void validate(TrainOptions& options);

/// Throws ValueError if an option was given that has no effect on these data or with this model.
void check_effect(const DataOptions& options, const Given& given);
void check_effect(const ModelOptions& options, const Given& given);

/// The samples per step: as given or, of --batch-size 0, the largest power of two from 32 to 128 in batches
/// of which so many training samples are at least 20 steps.
int64_t batch_size_for(const TrainingOptions& options, int64_t samples);
/// The passes over so many training samples: as given or, of --epochs 0, 3 or as many as take 100 steps.
int64_t epochs_for(const TrainingOptions& options, int64_t samples);

/// Computes with this many threads from now on; 0 changes nothing.
void use_threads(int64_t count);

/// The numbers of a list of --class-weights, or none for a name. Throws ValueError.
std::vector<real> parse_class_weights(const std::string& text);

/// How often to save within an epoch: one of the two is 0.
struct SaveInterval {
  int64_t steps = 0;
  double seconds = 0;
};
SaveInterval parse_save_interval(const std::string& text);

template <class Options>
std::string json_of(Options options) {
  return to_json(options_of(options));
}

template <class Options>
Options options_from_json(const std::string& text) {
  Options options;
  read_json(text, options_of(options));
  return options;
}

/// `base`, but with the options named in `given` taken from `other`.
template <class Options>
Options merged(Options base, Options other, const Given& given) {
  take(options_of(base), options_of(other), given);
  return base;
}

}  // namespace ballast::app
