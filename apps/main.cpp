// The command line: options into structs, errors into one line and an exit code. The only file that includes
// CLI11.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <type_traits>

#include "commands.h"
#include "failure.h"
#include "help.h"

namespace ballast {
namespace {

constexpr int failed = 1, bad_use = 2;

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
/// Values separated by commas; what follows a space is another argument.
template <class T>
CLI::Option* add_list(CLI::App& command, const std::string& name, std::vector<T>& member,
                      const std::string& help) {
  return command.add_option("--" + name, member, help)->delimiter(',')->allow_extra_args(false);
}
CLI::Option* add_option(CLI::App& command, const std::string& name, std::vector<int64_t>& member,
                        const std::string& help) {
  return add_list(command, name, member, help)->default_str("512,512")->type_name("COUNTS");
}
CLI::Option* add_option(CLI::App& command, const std::string& name, std::vector<std::string>& member,
                        const std::string& help) {
  return add_list(command, name, member, help)->type_name("PATTERNS");
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

/// What all commands about a trained network take.
void add_trained(CLI::App& command, EvalOptions& options) {
  command.add_option("RUN_OR_CHECKPOINT", options.path, "folder of a run, or a .safetensors file")
      ->required()
      ->type_name("");
  add_options(command, "Data", options.data);
  add_options(command, "Model", options.model);
  add_option(command, "threads", options.threads, "threads to compute with, 0 for all processors");
}

void add_out(CLI::App& command, std::string& out, const std::string& what) {
  command
      .add_option("--out", out,
                  fmt::format("file to write, a new one [beside the checkpoint: <checkpoint>-{}]", what))
      ->type_name("FILE");
}

CLI::App* add_eval(CLI::App& app, EvalOptions& options) {
  CLI::App* command = app.add_subcommand("eval", "measure a trained network's test accuracy");
  command
      ->description(
          "Measures the test accuracy of a trained network: of a run's last and best epoch, or of a "
          "checkpoint.\nIt needs no options: the checkpoint knows its model and its data. Those given win.")
      ->footer(eval_examples);
  add_trained(*command, options);
  add_option(*command, "batch-size", options.batch_size,
             "images at a time; the accuracy doesn't depend on it");
  return command;
}

CLI::App* add_recalibrate(CLI::App& app, RewriteOptions& options) {
  CLI::App* command =
      app.add_subcommand("recalibrate", "estimate the running statistics of batch norms anew");
  command
      ->description(
          "Estimates the running statistics of a trained network's batch norms anew, by one pass over the "
          "training\n"
          "images in which every batch counts alike, and writes the network to a new file. For statistics "
          "that lag\n"
          "behind, were lost, or belong to other data (precise batch norm: Wu & Johnson 2021, "
          "arXiv:2105.07576).")
      ->footer(recalibrate_examples);
  add_trained(*command, options);
  add_option(*command, "batch-size", options.batch_size, "training images per batch");
  add_out(*command, options.out, "recalibrated.safetensors");
  return command;
}

CLI::App* add_fold(CLI::App& app, RewriteOptions& options) {
  CLI::App* command = app.add_subcommand("fold", "fold batch norms into the layers before them");
  command
      ->description(
          "Folds every batch norm of a trained network into the layer before it, for inference, and writes "
          "the\n"
          "network to a new, smaller file: the same model with --norm none. Compares the two on the test "
          "images:\n"
          "predictions, logits and speed (Jacob et al. 2018, arXiv:1712.05877, sec. 3.2).")
      ->footer(fold_examples);
  add_trained(*command, options);
  add_option(*command, "batch-size", options.batch_size, "images at a time");
  add_out(*command, options.out, "folded.safetensors");
  return command;
}

CLI::App* add_certify(CLI::App& app, CertifyOptions& options) {
  CLI::App* command = app.add_subcommand("certify", "bound what a small change of an image can do");
  command
      ->description(
          "Bounds how far the logits of a trained network can move when an image does (its Lipschitz "
          "constant, layer\n"
          "by layer, batch norms folded), and from that the distance within which the prediction for each "
          "test image\n"
          "can't change (Tsuzuku, Sato & Sugiyama 2018, arXiv:1802.04034). Writes a certificate, which holds "
          "for\n"
          "these weights and running statistics alone.")
      ->footer(certify_examples);
  add_trained(*command, options);
  add_option(*command, "batch-size", options.batch_size, "images at a time");
  add_list(*command, "radii", options.radii,
           "distances to tell the certified accuracy for, in pixels of 0 to 1")
      ->default_str("0.001,0.003,0.01,0.03")
      ->type_name("NUMBERS");
  add_option(*command, "probes", options.probes, "random steps that must not exceed the bound");
  command->add_option("--check", options.check, "use this certificate, if it is of the network as it is now")
      ->type_name("FILE");
  add_out(*command, options.out, "certificate.json");
  return command;
}

CLI::App* add_summary(CLI::App& app, SummaryOptions& options) {
  CLI::App* command = app.add_subcommand("summary", "show a network layer by layer");
  command->description("Shows a network layer by layer: shapes, parameters and multiplications.")
      ->footer(summary_examples);
  command->add_option("RUN_OR_CHECKPOINT", options.path, "folder of a run, or a .safetensors file")
      ->type_name("");
  add_options(*command, "Model", options.model);
  CLI::Option* advise =
      command->add_flag("--advise", options.advise, "check it against the rules of what goes wrong");
  add_option(*command, "batch-size", options.batch_size, "images per training step, to advise for")
      ->needs(advise);
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
  const bool whole = option && option->get_type_name().starts_with("COUNT");
  return fmt::format("{}: \"{}\" is not a {}number", name, value, whole ? "whole " : "");
}

std::string command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return fmt::format("{}", fmt::join(names, ", "));
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
    text = fmt::format("unknown command \"{}\"; known are {}", unknown.front(), command_names(app));
  else if (!unknown.empty())
    text = fmt::format("unknown {} \"{}\"", unknown.front().starts_with('-') ? "option" : "argument",
                       unknown.front());
  std::ranges::replace(text, '\n', ' ');
  return fmt::format("{}; see ballast {}--help", text, used.empty() ? "" : used.front()->get_name() + " ");
}

/// Adds a command; `chosen` becomes what runs it, once it is parsed.
template <class Options>
void add_command(CLI::App& app, CLI::App* (*add)(CLI::App&, Options&), int (*command)(const Options&),
                 std::function<int()>& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App* added = add(app, *options);
  added->callback([=, &chosen] {
    options->given = given_to(*added);
    chosen = [=] { return command(*options); };
  });
}

int run(int argc, char** argv) {
  CLI::App app(program_help, "ballast");
  app.footer(examples);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  std::function<int()> chosen;
  add_command<TrainOptions>(app, add_train, train, chosen);
  add_command<EvalOptions>(app, add_eval, eval, chosen);
  add_command<SummaryOptions>(app, add_summary, summary, chosen);
  add_command<RewriteOptions>(app, add_recalibrate, recalibrate, chosen);
  add_command<RewriteOptions>(app, add_fold, fold, chosen);
  add_command<CertifyOptions>(app, add_certify, certify, chosen);
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
  return chosen();
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
