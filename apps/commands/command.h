#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "options/option.h"

namespace ballast::app {

/// A command that is about to be used: its options, which the command line fills in, and its code. `run`
/// returns the exit code, 0 or 128 + the signal that stopped it, prints what the user asked for, and throws
/// an Error for everything else.
struct Invocation {
  OptionList options;
  std::function<int(Given)> run;
};

/// A subcommand of `ballast`. Each is one file, which defines one of these; commands.cpp lists them.
struct Command {
  std::string name, summary, description, examples;
  std::function<Invocation()> begin;
};

/// For `Command::begin`: the options are a struct of the command's own with a member `given`, which `list`
/// describes and `run` gets.
template <class Options>
std::function<Invocation()> invocation(OptionList (*list)(Options&), int (*run)(const Options&)) {
  return [list, run] {
    const auto options = std::make_shared<Options>();
    return Invocation{list(*options), [options, run](Given given) {
                        options->given = std::move(given);
                        return run(*options);
                      }};
  };
}

/// All of them, in the order of the help.
const std::vector<const Command*>& commands();

}  // namespace ballast::app
