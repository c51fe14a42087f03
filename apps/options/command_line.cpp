// The only file that includes CLI11.
#include "options/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <sstream>
#include <utility>

#include <ballast/core/check.h>

#include "options/choice.h"
#include "output.h"

namespace ballast::app {
namespace {

constexpr int bad_use = 2;

constexpr const char* description =
    "Trains, evaluates and transforms small neural networks, and shows what normalization does for them.\n"
    "Exit codes: 0 done, 1 training failed or output can't be written, 2 bad usage or input, 128 + its "
    "number "
    "after a signal\n"
    "(129 hangup, 130 Ctrl-C, 141 closed pipe, 143 termination), where training has saved what it needs to "
    "go on.";

constexpr const char* examples =
    "Examples:\n"
    "  ballast train                                                the cnn with batch norm on the built-in "
    "digits\n"
    "  ballast train --data mnist/ --model mlp --norm layer --out runs/a   on MNIST's four files in the "
    "folder mnist\n"
    "  ballast eval runs/a                                          its accuracy again, from the files it "
    "saved\n"
    "  ballast fold runs/a                                          the network without its batch norms, for "
    "inference";

/// What options are for, in lines of at most 100 characters beside their names, and one empty line between
/// groups (CLI11 has two).
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(28); }

  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override {
    std::string text = CLI::Formatter::make_help(app, std::move(name), mode);
    for (size_t at = 0; (at = text.find("\n\n\n", at)) != std::string::npos;) text.erase(at, 1);
    return text;
  }

  std::string make_option(const CLI::Option* option, bool positional) const override {
    constexpr size_t line = 100;
    const size_t room = line - get_column_width();
    std::istringstream words(make_option_desc(option));
    std::string text, last;
    for (std::string word; words >> word;) {
      if (!last.empty() && last.size() + 1 + word.size() > room) text += std::exchange(last, "") + "\n";
      last += (last.empty() ? "" : " ") + word;
    }
    std::ostringstream out;
    CLI::detail::format_help(out, make_option_name(option, positional) + make_option_opts(option),
                             text + last, get_column_width());
    return out.str();
  }
};

void add_option(CLI::App& command, const Option& option) {
  if (std::holds_alternative<bool*>(option.value)) {
    command.add_flag("--" + option.name, *std::get<bool*>(option.value), option.help)->group(option.group);
    return;
  }
  const bool list = placeholder(option).ends_with('S');
  CLI::Option* added =
      command
          .add_option((option.positional      ? ""
                       : option.name == "out" ? "-o,--"
                                              : "--") +
                          option.name,
                      [option](const CLI::results_t& words) { return read_words(option, words), true; },
                      option.help)
          ->type_name(option.positional ? "" : placeholder(option))
          ->default_str(value_text(option))
          ->required(option.required)
          ->expected(option.positional && list ? -1 : 1)
          ->group(option.positional ? "Positionals" : option.group);
  if (list)
    added->allow_extra_args(option.positional)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  else
    added->take_last();
}

/// A command as CLI11 knows it, with what it fills in.
struct Parsed {
  CLI::App* app;
  Invocation invocation;

  Given given() const {
    Given given;
    for (const CLI::Option* option : app->get_options())
      if (option->count() > 0 && !option->get_lnames().empty()) given.insert(option->get_lnames().front());
    return given;
  }
};

Parsed add_command(CLI::App& app, const Command& command) {
  CLI::App* added = app.add_subcommand(command.name, command.summary);
  added->footer(command.examples);
  // The program's help lists summaries; a command's own has the description.
  added->preparse_callback([added, text = command.description](size_t) { added->description(text); });
  Parsed parsed{added, command.begin()};
  for (const Option& option : parsed.invocation.options) add_option(*added, option);
  for (const Option& option : parsed.invocation.options)
    if (!option.needs.empty()) added->get_option("--" + option.name)->needs("--" + option.needs);
  return parsed;
}

std::vector<std::string> names_of(const std::vector<Parsed>& commands) {
  std::vector<std::string> names;
  names.reserve(commands.size());
  for (const Parsed& command : commands) names.push_back(command.app->get_name());
  return names;
}

std::string unknown_argument(const std::string& argument, const Parsed& command) {
  std::vector<std::string> known = {"--help"};
  for (const Option& option : command.invocation.options)
    if (!option.positional) known.push_back("--" + option.name);
  const auto has = [&](const std::string& name) { return std::ranges::find(known, name) != known.end(); };
  if (!argument.starts_with('-'))
    return fmt::format("unknown argument \"{}\"{}", argument,
                       has("--data") ? fmt::format("; did you mean --data {}?", argument) : "");
  return fmt::format("unknown option \"{}\"{}", argument,
                     suggestion(argument.substr(0, argument.find('=')), known));
}

/// CLI11's message as one line that says what to do.
std::string reworded(const CLI::App& app, const std::vector<Parsed>& commands, const CLI::ParseError& error) {
  std::string text = error.what();
  const std::vector<std::string> unknown = app.remaining(true), names = names_of(commands);
  const auto used = std::ranges::find_if(commands, [](const Parsed& c) { return c.app->parsed(); });
  const bool none = used == commands.end();
  if (!unknown.empty() && none && unknown.front().starts_with('-'))
    text = fmt::format("unknown option \"{}\"", unknown.front());
  else if (!unknown.empty() && none)
    text =
        fmt::format("unknown command \"{}\"{}", unknown.front(), suggestion_or_all(unknown.front(), names));
  else if (!unknown.empty())
    text = unknown_argument(unknown.front(), *used);
  std::ranges::replace(text, '\n', ' ');
  return fmt::format("{}; see ballast {}--help", text, none ? "" : used->app->get_name() + " ");
}

}  // namespace

int run_command_line(int argc, char** argv, const std::vector<const Command*>& commands) {
  CLI::App app(description, "ballast");
  app.footer(examples);
  app.require_subcommand(1);
  app.set_version_flag("--version", "ballast " BALLAST_VERSION);
  app.formatter(std::make_shared<HelpFormatter>());
  std::vector<Parsed> parsed;
  parsed.reserve(commands.size());
  for (const Command* command : commands) parsed.push_back(add_command(app, *command));
  if (argc <= 1) {
    complain("{}", app.help());
    return bad_use;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForVersion& version) {
    say("{}\n", version.what());
    return 0;
  } catch (const CLI::Success&) {
    say("{}", app.help());
    return 0;
  } catch (const CLI::ParseError& error) {
    throw ValueError(reworded(app, parsed, error));
  }
  const auto used = std::ranges::find_if(parsed, [](const Parsed& c) { return c.app->parsed(); });
  return used->invocation.run(used->given());
}

}  // namespace ballast::app
