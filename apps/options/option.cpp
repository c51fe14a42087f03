#include "options/option.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include <ballast/core/check.h>
#include <ballast/data/text.h>

#include "options/choice.h"

namespace ballast::app {
namespace {

using Json = nlohmann::ordered_json;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;  // clang 14 doesn't deduce it by itself

template <class T>
constexpr const char* kind_of = "NUMBER";
template <>
constexpr const char* kind_of<std::string> = "TEXT";
template <>
constexpr const char* kind_of<int64_t> = "COUNT";
template <>
constexpr const char* kind_of<bool> = "";
template <class T>
constexpr const char* kind_of<std::vector<T>> = "NUMBERS";
template <>
constexpr const char* kind_of<std::vector<int64_t>> = "COUNTS";
template <>
constexpr const char* kind_of<std::vector<std::string>> = "PATTERNS";

void check_range(const Option& option, double value, const std::string& text) {
  if (value >= option.least && value <= option.most) return;
  const bool limited = option.most < std::numeric_limits<double>::max();
  throw ValueError(fmt::format("--{} {}: give {}", option.name, text,
                               limited ? fmt::format("{} to {}", option.least, option.most)
                                       : fmt::format("at least {}", option.least)));
}

void check_text(const Option& option, const std::string& text) {
  check<ValueError>(!text.empty(), "--{}: the text is empty; leave the option out for its default",
                    option.name);
  check<ValueError>(first_invalid_utf8(text) == text.size(), "--{}: it is not UTF-8", option.name);
  if (!option.choices.empty()) check_known(option.name, text, option.choices);
  if (option.check_text) option.check_text(text);
}

// Words of the command line.

template <class T>
T number_from(const Option& option, const std::string& word) {
  T value{};
  const char *begin = word.data() + word.starts_with('+'), *end = word.data() + word.size();
  const std::from_chars_result read = std::from_chars(begin, end, value);
  const char* kind = std::is_integral_v<T> ? "whole number" : "number";
  check<ValueError>(read.ec != std::errc::result_out_of_range, "--{}: {} is too large or too small for a {}",
                    option.name, word, kind);
  check<ValueError>(read.ec == std::errc{} && read.ptr == end && std::isfinite(static_cast<double>(value)),
                    "--{}: \"{}\" is not a {}", option.name, word, kind);
  check_range(option, static_cast<double>(value), word);
  return value;
}

void from_word(const Option& option, const std::string& word, std::string& x) {
  check_text(option, word);
  x = word;
}
void from_word(const Option& option, const std::string& word, int64_t& x) {
  x = number_from<int64_t>(option, word);
}
void from_word(const Option& option, const std::string& word, double& x) {
  x = number_from<double>(option, word);
}
void from_word(const Option& option, const std::string& word, std::optional<double>& x) {
  x = number_from<double>(option, word);
}

template <class T>
void from_words(const Option& option, const std::vector<std::string>& words, T& x) {
  from_word(option, words.back(), x);
}
void from_words(const Option&, const std::vector<std::string>&, bool& x) { x = true; }
template <class T>
void from_words(const Option& option, const std::vector<std::string>& words, std::vector<T>& x) {
  x.clear();
  for (const std::string& word : words) {
    for (size_t begin = 0; begin <= word.size();) {
      const size_t end = option.positional ? word.size() : std::min(word.find(',', begin), word.size());
      check<ValueError>(end > begin, "--{} \"{}\": give values separated by commas", option.name, word);
      from_word(option, word.substr(begin, end - begin), x.emplace_back());
      begin = end + 1;
    }
  }
}

// JSON. nlohmann/json converts any number to any other; here 2.5 epochs are an error.

Json json_of(const std::optional<double>& x) { return x ? Json(*x) : Json(); }
template <class T>
Json json_of(const T& x) {
  return x;
}

void from_json(const Option& option, const Json& value, std::string& x) {
  check<ValueError>(value.is_string(), "{} must be text in quotes", option.name);
  x = value.get<std::string>();
  // Files list all options, those that were left out too: there, empty is none.
  if (!x.empty() || !option.choices.empty() || option.check_text) check_text(option, x);
}
void from_json(const Option& option, const Json& value, bool& x) {
  check<ValueError>(value.is_boolean(), "{} must be true or false", option.name);
  x = value.get<bool>();
}
void from_json(const Option& option, const Json& value, double& x) {
  check<ValueError>(value.is_number(), "{} must be a number", option.name);
  x = value.get<double>();
  check_range(option, x, value.dump());
}
void from_json(const Option& option, const Json& value, std::optional<double>& x) {
  if (value.is_null()) return x.reset();
  from_json(option, value, x.emplace());
}
void from_json(const Option& option, const Json& value, int64_t& x) {
  const bool fits =
      value.is_number_unsigned() ? value.get<uint64_t>() <= INT64_MAX : value.is_number_integer();
  check<ValueError>(fits, "{} must be a whole number", option.name);
  x = value.get<int64_t>();
  check_range(option, static_cast<double>(x), value.dump());
}
template <class T>
void from_json(const Option& option, const Json& value, std::vector<T>& x) {
  check<ValueError>(value.is_array(), "{} must be a list such as {}", option.name,
                    std::is_same_v<T, std::string> ? "[\"0\", \"*.bias\"]" : "[512, 512]");
  x.clear();
  for (const Json& element : value) from_json(option, element, x.emplace_back());
}

Json object_of(const OptionList& list) {
  Json object = Json::object();
  for (const Option& option : list)
    std::visit([&](const auto* x) { object[option.name] = json_of(*x); }, option.value);
  return object;
}

}  // namespace

OptionList grouped(const std::string& group, OptionList list) {
  for (Option& option : list) option.group = group;
  return list;
}

OptionList arranged(OptionList list, const Groups& groups) {
  OptionList found;
  for (const auto& [group, names] : groups)
    for (const std::string& name : names) {
      const auto option = std::ranges::find(list, name, &Option::name);
      if (option == list.end()) continue;
      option->group = group;
      found.push_back(std::move(*option));
      list.erase(option);
    }
  return joined(std::move(found), list);
}

OptionList joined(OptionList list, const OptionList& more) {
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

void read_words(const Option& option, const std::vector<std::string>& words) {
  std::visit([&](auto* x) { from_words(option, words, *x); }, option.value);
}

std::string value_text(const Option& option) {
  return std::visit(
      Overloaded{[](const std::string* x) { return *x; }, [](const bool*) { return std::string(); },
                 [](const std::optional<double>* x) { return *x ? fmt::format("{}", **x) : ""; },
                 [](const int64_t* x) { return fmt::format("{}", *x); },
                 [](const double* x) { return fmt::format("{}", *x); },
                 [](const auto* list) { return fmt::format("{}", fmt::join(*list, ",")); }},
      option.value);
}

std::string placeholder(const Option& option) {
  if (!option.placeholder.empty()) return option.placeholder;
  return std::visit([]<class T>(const T*) -> std::string { return kind_of<T>; }, option.value);
}

std::string to_json(const OptionList& list) { return object_of(list).dump(); }

void read_json(const std::string& text, const OptionList& list) {
  const Json object = Json::parse(text, nullptr, false);
  check<ValueError>(object.is_object(), "the options are no JSON object");
  for (const Option& option : list)
    if (const auto value = object.find(option.name); value != object.end())
      std::visit([&](auto* x) { from_json(option, *value, *x); }, option.value);
}

void read_json_value(const std::string& text, const Option& option) {
  std::visit([&](auto* x) { from_json(option, Json::parse(text), *x); }, option.value);
}

std::string to_toml(const OptionList& list) {
  std::string text;
  const Json object = object_of(list);
  for (const auto& [name, value] : object.items()) text += fmt::format("{} = {}\n", name, value.dump());
  // JSON's strings, numbers and lists are TOML's as well, but for one character that TOML wants escaped.
  for (size_t at = 0; (at = text.find('\x7f', at)) != std::string::npos;) text.replace(at, 1, "\\u007f");
  return text;
}

void take(const OptionList& to, const OptionList& from, const Given& given) {
  for (size_t i = 0; i < to.size(); ++i) {
    if (!given.contains(to[i].name)) continue;
    std::visit([&]<class T>(T* x) { *x = *std::get<T*>(from[i].value); }, to[i].value);
  }
}

}  // namespace ballast::app
