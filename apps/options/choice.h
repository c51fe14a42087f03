#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include <ballast/core/check.h>
#include <ballast/data/detail/nearest.h>

namespace ballast::app {

/// One of the things that an option chooses from. Tables of these are the only place where their names stand:
/// help texts, checks and messages are made from them.
template <class Make>
struct Choice {
  std::string name, help;
  Make make;
  /// Options that have an effect with this choice and not with those that don't list them.
  std::vector<std::string> options = {};
};

template <class Make>
using Choices = std::vector<Choice<Make>>;

using detail::suggestion;
using detail::suggestion_or_all;

template <class Make>
std::vector<std::string> names_of(const Choices<Make>& choices) {
  std::vector<std::string> names;
  for (const Choice<Make>& choice : choices) names.push_back(choice.name);
  return names;
}

/// "sgd (stochastic gradient descent), adam (...)"
template <class Make>
std::string help_of(const Choices<Make>& choices) {
  std::string text;
  for (const Choice<Make>& choice : choices) {
    if (!text.empty()) text += ", ";
    text += choice.help.empty() ? choice.name : fmt::format("{} ({})", choice.name, choice.help);
  }
  return text;
}

/// Throws ValueError unless `name` is one of `known`.
void check_known(std::string_view option, std::string_view name, const std::vector<std::string>& known);

/// The choice of that name. Throws ValueError, which names the option, if there is none.
template <class Make>
const Choice<Make>& find(std::string_view option, const Choices<Make>& choices, std::string_view name) {
  check_known(option, name, names_of(choices));
  for (const Choice<Make>& choice : choices)
    if (choice.name == name) return choice;
  throw ValueError(fmt::format("--{} {}", option, name));  // check_known has thrown
}

}  // namespace ballast::app
