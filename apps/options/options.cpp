#include "options/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <set>

#include <ballast/core/check.h>
#include <ballast/core/parallel.h>
#include <ballast/data/augment.h>

#include "trainer/formats.h"
#include "trainer/model_words.h"
#include "trainer/models.h"
#include "trainer/optimizers.h"

namespace ballast::app {
namespace {

constexpr int64_t most_threads = 256;

/// So that resuming finds it from any folder.
std::string absolute(const std::string& path) {
  return std::filesystem::absolute(path).lexically_normal().native();
}

/// Throws ValueError if an option was given that other choices than `chosen` use, and it doesn't.
template <class Make>
void check_effect(const std::string& option, const Choices<Make>& choices, const std::string& chosen,
                  const Given& given) {
  const Choice<Make>& choice = find(option, choices, chosen);
  for (const Choice<Make>& other : choices)
    for (const std::string& used : other.options)
      check<ValueError>(
          !given.contains(used) || std::ranges::find(choice.options, used) != choice.options.end(),
          "--{0} has no effect with --{1} {2}: it is for --{1} {3}; leave one of them out", used, option,
          chosen, other.name);
}

std::string formats_text() { return fmt::format("{}", fmt::join(names_of(data_formats()), ", ")); }

}  // namespace

OptionList options_of(DataOptions& o) {
  return {
      {.name = "data",
       .value = &o.data,
       .help = "the built-in digits, or a path whose format is recognized, or named, as in csv:table.txt: " +
               formats_text() + "; see ballast data --help"},
      {.name = "train-size",
       .value = &o.train_size,
       .help = "number of training images, of the built-in digits only",
       .least = 1,
       .most = 1e7},
      {.name = "test-size",
       .value = &o.test_size,
       .help = "number of test images, of the built-in digits only",
       .least = 1,
       .most = 1e7},
      {.name = "validation",
       .value = &o.validation,
       .help = "share of the training samples to choose the best epoch by, where the data have no validation "
               "part; 0 "
               "for none",
       .least = 0,
       .most = 0.9},
      {.name = "test",
       .value = &o.test,
       .help = "share of the samples to test with, where the data have no test part",
       .least = 0,
       .most = 0.9},
      {.name = "split-seed", .value = &o.split_seed, .help = "seed of these random splits", .least = 0},
      {.name = "label",
       .value = &o.label,
       .help = "columns of a table to predict, by name or number from 0 [label, class, target or y, else the "
               "last]",
       .placeholder = "COLUMNS"},
      {.name = "ignore",
       .value = &o.ignore,
       .help = "columns of a table to leave out, by name or number from 0",
       .placeholder = "COLUMNS"},
      {.name = "header",
       .value = &o.header,
       .help = "whether the first line of a table names the columns: auto (judged by what it holds), yes, no",
       .choices = {"auto", "yes", "no"}},
      {.name = "missing",
       .value = &o.missing,
       .help = "what to do with missing values of a table (empty, NA, NaN, None, ? ...): error, drop (leave "
               "the row "
               "out), mean (of the column in the training part; a missing text is a category of its own)",
       .choices = {"error", "drop", "mean"}},
      {.name = "task",
       .value = &o.task,
       .help = "whether a column of whole numbers stands for classes or quantities: auto (classes up to 100 "
               "different ones), classification, regression",
       .choices = {"auto", "classification", "regression"}},
      {.name = "shape",
       .value = &o.shape,
       .help = "what images are resized to, or rows of pixel values are, as in 28x28 or 3x32x32",
       .placeholder = "SHAPE"},
      {.name = "skip-damaged",
       .value = &o.skip_damaged,
       .help = "leave out the images of a folder that can't be read, and say how many"},
  };
}

OptionList options_of(ModelOptions& o) {
  return {
      {.name = "model",
       .value = &o.model,
       .help = fmt::format(
           "{}, or a line of layers, as in \"flatten, linear 64, norm, act, linear\"; see ballast "
           "models [cnn; of data that are no images mlp]",
           fmt::join(names_of(presets()), ", ")),
       .placeholder = "MODEL",
       .check_text = check_model},
      {.name = "norm",
       .value = &o.norm,
       .help = "normalization: " + help_of(norms()),
       .choices = names_of(norms())},
      {.name = "act",
       .value = &o.act,
       .help = "activation: " + help_of(activations()),
       .choices = names_of(activations())},
      {.name = "hidden",
       .value = &o.hidden,
       .help = "widths of the mlp's hidden layers, separated by commas",
       .least = 1,
       .most = 1e6},
      {.name = "dropout",
       .value = &o.dropout,
       .help = "probability of dropping each value after a preset's hidden fully connected layers, or at the "
               "word "
               "dropout of a line",
       .least = 0,
       .most = 1},
  };
}

OptionList options_of(TrainingOptions& o) {
  return {
      {.name = "optimizer",
       .value = &o.optimizer,
       .help = help_of(optimizers()),
       .choices = names_of(optimizers())},
      {.name = "lr", .value = &o.lr, .help = "learning rate, the largest of the schedule [0.003; sgd 0.05]"},
      {.name = "weight-decay",
       .value = &o.weight_decay,
       .help = "decay of the weights, not of biases and norms [adamw 0.01; others 0]",
       .least = 0,
       .most = 1e6},
      {.name = "momentum", .value = &o.momentum, .help = "momentum of sgd", .least = 0, .most = 1},
      {.name = "schedule",
       .value = &o.schedule,
       .help = "learning rate over the run: " + help_of(schedules()),
       .choices = names_of(schedules())},
      {.name = "warmup",
       .value = &o.warmup,
       .help = "steps of linear warm-up before the schedule",
       .least = 0,
       .most = 1e15},
      {.name = "batch-size",
       .value = &o.batch_size,
       .help =
           "samples per step; 0 for the largest power of two from 32 to 128 that gives an epoch at least 20 "
           "steps",
       .least = 0,
       .most = 1e9},
      {.name = "epochs",
       .value = &o.epochs,
       .help = "passes over the training samples; 0 for 3, or as many as take 100 steps",
       .least = 0,
       .most = 1e9},
      {.name = "seed",
       .value = &o.seed,
       .help = "seed of initialization, shuffling and dropout; the same seed gives the same bits",
       .least = 0},
      {.name = "threads",
       .value = &o.threads,
       .help = "threads to compute with, 0 for all processors; the result doesn't depend on it",
       .least = 0,
       .most = most_threads},
      {.name = "patience",
       .value = &o.patience,
       .help = "stop after so many epochs without a better one on the validation part; 0 for never",
       .least = 0,
       .most = 1e9},
      {.name = "clip",
       .value = &o.clip,
       .help = "scale gradients down to this norm, of all together, where they exceed it; 0 for never",
       .least = 0},
      {.name = "label-smoothing",
       .value = &o.label_smoothing,
       .help = "share of each label that is spread evenly over all classes in training",
       .least = 0,
       .most = 1},
      {.name = "class-weights",
       .value = &o.class_weights,
       .help = "weights of the classes in the loss of training, a weighted mean: none, balanced (samples / "
               "(classes x samples of the class)), or one per class, as in 1,2.5,1",
       .placeholder = "WEIGHTS"},
      {.name = "mixup",
       .value = &o.mixup,
       .help =
           "mix each batch with itself reversed, inputs and losses, in shares drawn from Beta(A, A) (Zhang "
           "et al. 2018); 0 for never, 0.2 is usual",
       .placeholder = "A",
       .least = 0,
       .most = 1e6},
      {.name = "accumulate",
       .value = &o.accumulate,
       .help = "batches per step, whose gradients are added up, as if they were one batch, but for batch "
               "norm, whose statistics are those of each",
       .least = 1,
       .most = 1e9},
      {.name = "ema",
       .value = &o.ema,
       .help = "average the weights over the steps with this decay, as in 0.999; what is evaluated and saved "
               "as last and best is then the average; 0 for none",
       .least = 0,
       .most = 0.999999999},
      {.name = "overfit-one-batch",
       .value = &o.overfit_one_batch,
       .help = "train on a single batch again and again, and validate on it: a network that can learn at all "
               "comes to know it by heart"},
      {.name = "augment",
       .value = &o.augment,
       .help = "random changes of the training images: none, light, strong, or a list, as in \"rotate 10, "
               "flip 0.5\"; ballast data --help has them all"},
      {.name = "workers",
       .value = &o.workers,
       .help = "threads that read and augment images ahead while others compute; 0 to do it in between; the "
               "result doesn't depend on it",
       .least = 0,
       .most = most_threads},
      {.name = "probe",
       .value = &o.probe,
       .help =
           "look at the layers every so many steps, for report.html: activations, gradients, statistics; 50 "
           "is usual, 0 for never; the result doesn't depend on it",
       .least = 0,
       .most = 1e9},
      {.name = "tensorboard",
       .value = &o.tensorboard,
       .help = "write a file of events that TensorBoard shows into the run's folder: loss and learning rate "
               "of each "
               "step, the figures of each epoch, histograms of parameters and of what --probe looks at, "
               "mistakes"},
      {.name = "save-every",
       .value = &o.save_every,
       .help = "save what resuming needs this often within an epoch, in seconds (60s) or steps (500); after "
               "each epoch it is saved anyway"},
      {.name = "init-from",
       .value = &o.init_from,
       .help = "begin with the weights in this checkpoint or run, as far as names and shapes fit"},
      {.name = "freeze",
       .value = &o.freeze,
       .help = "parameters to keep as they are, by name: '0', '0.weight', '[03]' or '*.bias'"},
      {.name = "freeze-stats",
       .value = &o.freeze_stats,
       .help = "layers whose running statistics stay as they are"},
      {.name = "freeze-mode",
       .value = &o.freeze_mode,
       .help = "layers that evaluate while the others train: no dropout, no batch statistics"},
  };
}

OptionList options_of(TrainOptions& o) {
  return joined(grouped("Data", options_of(o.data)),
                joined(grouped("Model", options_of(o.model)), grouped("Training", options_of(o.training))));
}

const Groups& training_groups() {
  static const Groups groups = {
      {"Most used",
       {"data", "label", "model", "norm", "epochs", "batch-size", "lr", "augment", "out", "resume"}},
      {"Data",
       {"shape", "validation", "test", "split-seed", "ignore", "missing", "task", "header", "skip-damaged",
        "train-size", "test-size"}},
      {"Model", {"act", "hidden", "dropout", "init-from", "freeze", "freeze-stats", "freeze-mode"}},
      {"Optimization",
       {"optimizer", "weight-decay", "momentum", "schedule", "warmup", "clip", "accumulate", "seed"}},
      {"Against overfitting", {"patience", "label-smoothing", "mixup", "ema"}},
      {"Unequal classes", {"class-weights"}},
      {"Looking into training",
       {"lr-find", "lr-plot", "probe", "tensorboard", "overfit-one-batch", "anomaly"}},
      {"Running", {"config", "print-config", "threads", "workers", "save-every"}},
  };
  return groups;
}

OptionList options_of(TrainedOptions& o, const std::string& batch_help) {
  return joined(
      joined({path_option(o.path, true)},
             joined(grouped("Data", options_of(o.data)), grouped("Model", options_of(o.model)))),
      {{.name = "threads",
        .value = &o.threads,
        .help = "threads to compute with, 0 for all processors",
        .least = 0,
        .most = most_threads},
       {.name = "batch-size", .value = &o.batch_size, .help = batch_help, .least = 1, .most = 1e9}});
}

Option path_option(std::string& path, bool required) {
  return {.name = "RUN_OR_CHECKPOINT",
          .value = &path,
          .help = "folder of a run, or a .safetensors file",
          .positional = true,
          .required = required};
}

Option out_option(std::string& out, const std::string& what) {
  return {.name = "out",
          .value = &out,
          .help = fmt::format("file to write, a new one [beside the checkpoint: <checkpoint>-{}]", what),
          .placeholder = "FILE"};
}

void validate(TrainOptions& options) {
  TrainingOptions& t = options.training;
  check_effect(options.data, options.given);
  // Without --model it follows from the data.
  if (options.given.contains("model")) check_effect(options.model, options.given);
  check_effect("optimizer", optimizers(), t.optimizer, options.given);
  const OptimizerDefaults& defaults = find("optimizer", optimizers(), t.optimizer).make.defaults;
  if (!t.lr) t.lr = defaults.lr;
  if (!t.weight_decay) t.weight_decay = defaults.weight_decay;
  check<ValueError>(*t.lr > 0 && std::isfinite(*t.lr), "--lr {}: it must be above 0", *t.lr);
  check<ValueError>(!options.model.hidden.empty(), "--hidden: give at least one width");
  if (options.data.data != "digits") {
    const auto [prefix, path] = split_data_text(options.data.data);
    options.data.data = prefix + absolute(path);
  }
  if (!t.init_from.empty()) t.init_from = absolute(t.init_from);
  parse_save_interval(t.save_every);
  parse_class_weights(t.class_weights);
  try {
    parse_augmentation(t.augment);
  } catch (const ValueError& error) {
    throw ValueError("--augment: " + error.message);
  }
}

void check_effect(const DataOptions& options, const Given& given) {
  std::set<std::string> special;  // options of some formats that were given
  for (const Choice<DataFormat>& format : data_formats())
    std::ranges::copy_if(format.options, std::inserter(special, special.end()),
                         [&](const std::string& name) { return given.contains(name); });
  for (const std::string& name : special) {
    const Choice<DataFormat>& format = *data_source(options.data).format;
    check<ValueError>(std::ranges::find(format.options, name) != format.options.end(),
                      "--{} has no effect with --data {}, whose format is {}", name, options.data,
                      format.name);
  }
}

void check_effect(const ModelOptions& options, const Given& given) {
  const Given read = options_read(options);
  check<ValueError>(!given.contains("hidden") || read.contains("hidden"),
                    "--hidden has no effect with --model {}: it is for --model mlp; leave one of them out",
                    options.model);
  for (const char* name : {"norm", "act", "dropout"}) {
    if (!given.contains(name) || read.contains(name)) continue;
    std::vector<std::string> readers;
    for (const Word& word : words())
      if (std::ranges::find(word.options, name) != word.options.end()) readers.push_back(word.name);
    throw ValueError(fmt::format(
        "--{} has no effect with --model {}: it is for lines with the word {} without a value; leave it out",
        name, options.model, fmt::join(readers, " or ")));
  }
}

int64_t batch_size_for(const TrainingOptions& options, int64_t samples) {
  if (options.batch_size > 0) return options.batch_size;
  constexpr int64_t least = 32, most = 128, steps = 20;
  int64_t size = least;
  while (size < most && 2 * size * steps <= samples) size *= 2;
  //~ while (size < most && size * steps <= samples) size *= 2;
  return size;
}

int64_t epochs_for(const TrainingOptions& options, int64_t samples) {
  if (options.epochs > 0) return options.epochs;
  constexpr int64_t least = 3, steps = 100;
  const int64_t an_epoch = divide_up(samples, batch_size_for(options, samples) * options.accumulate);
  return std::max(least, divide_up(steps, std::max<int64_t>(an_epoch, 1)));
  //~ return least;
}

void use_threads(int64_t count) {
  if (count > 0) set_num_threads(static_cast<int>(count));
}

std::vector<real> parse_class_weights(const std::string& text) {
  std::vector<real> weights;
  if (text == "none" || text == "balanced") return weights;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    real value = 0;
    const std::from_chars_result read = std::from_chars(word.data(), word.data() + word.size(), value);
    check<ValueError>(
        read.ec == std::errc{} && read.ptr == word.data() + word.size() && value > 0 && std::isfinite(value),
        "--class-weights \"{}\": give none, balanced, or a number above 0 for each class, "
        "separated by commas{}",
        text, suggestion(text, {"none", "balanced"}));
    weights.push_back(value);
    begin = end + 1;
  }
  return weights;
}

SaveInterval parse_save_interval(const std::string& text) {
  const bool in_seconds = text.ends_with('s');
  const char *begin = text.data(), *end = begin + text.size() - in_seconds;
  SaveInterval interval;
  const std::from_chars_result read = in_seconds ? std::from_chars(begin, end, interval.seconds)
                                                 : std::from_chars(begin, end, interval.steps);
  check<ValueError>(read.ec == std::errc{} && read.ptr == end && std::isfinite(interval.seconds) &&
                        (interval.seconds > 0 || interval.steps > 0),
                    "--save-every \"{}\": give seconds, as in 60s, or steps, as in 500", text);
  return interval;
}

}  // namespace ballast::app
