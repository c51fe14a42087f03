// The command line: options into structs, errors into one line and an exit code. The only file that includes
// CLI11.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <type_traits>

#include "commands.h"
#include "failure.h"

namespace ballast {
namespace {

constexpr int failed = 1, bad_use = 2;

constexpr const char* program_help =
    "Trains and evaluates small neural networks, and shows what normalization does for them.\n"
    "Exit codes: 0 done, 1 training failed, 2 bad usage or input, 130 or 143 stopped by a signal after "
    "saving.";

constexpr const char* examples =
    "Examples:\n"
    "  ballast train                                                the cnn with batch norm on the built-in "
    "digits\n"
    "  ballast train --data mnist/ --model mlp --norm layer --out runs/a   on MNIST's four files in the "
    "folder mnist\n"
    "  ballast eval runs/a                                          its accuracy again, from the files it "
    "saved";

constexpr const char* train_help =
    "Trains a network and keeps everything about the run in a folder: config.toml (the options), "
    "metrics.jsonl (one\n"
    "line per epoch: epoch, step, train_loss, train_accuracy, test_loss, test_accuracy, lr, images_per_s of "
    "training\n"
    "alone, seconds since the start), summary.json, last.safetensors and best.safetensors (weights under "
    "PyTorch's\n"
    "names), state.safetensors (for --resume). Ctrl-C saves and stops; a second one stops at once.";

constexpr const char* train_examples =
    "Examples:\n"
    "  ballast train --norm group --epochs 5 --out runs/group   another norm, in a folder of that name\n"
    "  ballast train --resume runs/group                        go on where it was stopped, to the same "
    "bits\n"
    "  ballast train --config runs/group/config.toml --seed 1   the same once more, from another seed";

constexpr const char* eval_examples =
    "Examples:\n"
    "  ballast eval runs/group                        the accuracy that training printed, last and best "
    "epoch\n"
    "  ballast eval best.safetensors --data mnist/    on other data\n"
    "  ballast eval torch.safetensors --model mlp --hidden 256 --norm none    a file that PyTorch wrote";

constexpr const char* summary_examples =
    "Examples:\n"
    "  ballast summary                              the default model\n"
    "  ballast summary --model mlp --hidden 64,64   another one\n"
    "  ballast summary runs/group                   that of a run";

template <class T>
CLI::Option* add_option(CLI::App& command, const std::string& name, T& member, const std::string& help) {
  return command.add_option("--" + name, member, help)
      ->capture_default_str()
      ->take_last()
      ->type_name(std::is_integral_v<T>         ? "COUNT"
                  : std::is_floating_point_v<T> ? "NUMBER"
                                                : "TEXT");
}
CLI::Option* add_option(CLI::App& command, const std::string& name, std::optional<double>& member,
                        const std::string& help) {
  return command.add_option("--" + name, member, help)->take_last()->type_name("NUMBER");
}
CLI::Option* add_option(CLI::App& command, const std::string& name, std::vector<int64_t>& member,
                        const std::string& help) {
  return command.add_option("--" + name, member, help)
      ->delimiter(',')
      ->default_str("512,512")
      ->type_name("COUNTS");
}

template <class Options>
void add_options(CLI::App& command, const char* group, Options& options) {
  for_each_option(options, [&](const char* name, auto& member, const char* help) {
    add_option(command, name, member, help)->group(group);
  });
}

CLI::App* add_train(CLI::App& app, TrainOptions& options) {
  CLI::App* command = app.add_subcommand("train", "train a network");
  command->description(train_help)->footer(train_examples);
  add_options(*command, "Data", options.data);
  add_options(*command, "Model", options.model);
  add_options(*command, "Training", options.training);
  command->add_option("--out", options.out, "folder for the run, new or empty [runs/MODEL-NORM-NUMBER]")
      ->type_name("DIR")
      ->group("Run");
  command
      ->add_option(
          "--resume", options.resume,
          "go on with the run in this folder from its last saved state; besides this only --threads, "
          "--save-every, --data (if it has moved) and, with a constant schedule, --epochs may be given")
      ->type_name("DIR")
      ->group("Run");
  command
      ->add_option("--config", options.config, "read options from a run's config.toml; those given here win")
      ->type_name("FILE")
      ->group("Run");
  return command;
}

CLI::App* add_eval(CLI::App& app, EvalOptions& options) {
  CLI::App* command = app.add_subcommand("eval", "measure a trained network's test accuracy");
  command
      ->description(
          "Measures the test accuracy of a trained network: of a run's last and best epoch, or of a "
          "checkpoint.\nIt needs no options: the checkpoint knows its model and its data. Those given win.")
      ->footer(eval_examples);
  command->add_option("RUN_OR_CHECKPOINT", options.path, "folder of a run, or a .safetensors file")
      ->required()
      ->type_name("");
  add_options(*command, "Data", options.data);
  add_options(*command, "Model", options.model);
  add_option(*command, "batch-size", options.batch_size,
             "images at a time; the accuracy doesn't depend on it");
  add_option(*command, "threads", options.threads, "threads to compute with, 0 for all processors");
  return command;
}

CLI::App* add_summary(CLI::App& app, SummaryOptions& options) {
  CLI::App* command = app.add_subcommand("summary", "show a network layer by layer");
  command->description("Shows a network layer by layer: shapes, parameters and multiplications.")
      ->footer(summary_examples);
  command->add_option("RUN_OR_CHECKPOINT", options.path, "folder of a run, or a .safetensors file")
      ->type_name("");
  add_options(*command, "Model", options.model);
  return command;
}

Given given_to(const CLI::App& command) {
  Given given;
  for (const CLI::Option* option : command.get_options())
    if (option->count() > 0 && !option->get_lnames().empty()) given.insert(option->get_lnames().front());
  return given;
}

std::string conversion_error(const CLI::App& app, const std::string& name, const std::string& value) {
  const CLI::Option* option = app.get_subcommands().front()->get_option_no_throw(name);
  const bool whole = option && option->get_type_name() != "NUMBER";
  return fmt::format("{}: \"{}\" is not a {}number", name, value, whole ? "whole " : "");
}

/// CLI11's message as one line that says what to do.
std::string reworded(const CLI::App& app, const CLI::ParseError& error) {
  std::string text = error.what();
  const std::string prefix = "Could not convert: ";
  const size_t equals = text.find(" = ");
  const auto used = app.get_subcommands();
  const std::vector<std::string> unknown = app.remaining(true);
  if (text.starts_with(prefix) && equals != std::string::npos)
    text = conversion_error(app, text.substr(prefix.size(), equals - prefix.size()), text.substr(equals + 3));
  else if (!unknown.empty() && used.empty())
    text = fmt::format("unknown command \"{}\"; known are train, eval, summary", unknown.front());
  else if (!unknown.empty())
    text = fmt::format("unknown {} \"{}\"", unknown.front().starts_with('-') ? "option" : "argument",
                       unknown.front());
  std::ranges::replace(text, '\n', ' ');
  return fmt::format("{}; see ballast {}--help", text, used.empty() ? "" : used.front()->get_name() + " ");
}

int run(int argc, char** argv) {
  CLI::App app(program_help, "ballast");
  app.footer(examples);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  TrainOptions train_options;
  EvalOptions eval_options;
  SummaryOptions summary_options;
  const CLI::App* train_command = add_train(app, train_options);
  const CLI::App* eval_command = add_eval(app, eval_options);
  const CLI::App* summary_command = add_summary(app, summary_options);
  if (argc <= 1) {
    fmt::print(stderr, "{}", app.help());
    return bad_use;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "error: {}\n", reworded(app, error));
    return bad_use;
  }
  train_options.given = given_to(*train_command);
  eval_options.given = given_to(*eval_command);
  summary_options.given = given_to(*summary_command);
  if (train_command->parsed()) return train(train_options);
  if (eval_command->parsed()) return eval(eval_options);
  return summary(summary_options);
}

}  // namespace
}  // namespace ballast

int main(int argc, char** argv) {
  try {
    return ballast::run(argc, argv);
  } catch (const ballast::TrainingFailed& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return ballast::failed;
  } catch (const ballast::Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return ballast::bad_use;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "error: out of memory; a smaller --batch-size or model needs less\n");
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
  }
  return ballast::failed;
}
