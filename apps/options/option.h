#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace ballast::app {

/// Where the value of an option is kept, and with that of what kind it is.
using OptionValue = std::variant<std::string*, bool*, int64_t*, double*, std::optional<double>*,
                                 std::vector<int64_t>*, std::vector<double>*, std::vector<std::string>*>;

/// Everything there is to know of an option, once, for the command line, config.toml and the files of a run.
struct Option {
  std::string name;  // "batch-size"; on the command line --batch-size
  OptionValue value;
  std::string help;
  /// What it stands for in --help; "" for what its kind says: TEXT, COUNT, NUMBER, ...
  std::string placeholder = {};
  /// Of a number, or of each number in a list.
  double least = std::numeric_limits<double>::lowest(), most = std::numeric_limits<double>::max();
  /// The only values of a text, where there are some.
  std::vector<std::string> choices = {};
  /// Throws ValueError for a text that it can't be.
  void (*check_text)(const std::string&) = nullptr;
  /// Another option without which it has no effect.
  std::string needs = {};
  /// Given by its place on the command line instead of its name.
  bool positional = false, required = false;
  /// The heading above it in --help.
  std::string group = "Options";
};

using OptionList = std::vector<Option>;

/// Names of the options that were given rather than left at their defaults.
using Given = std::set<std::string>;

/// `list`, to stand under the heading `group`.
OptionList grouped(const std::string& group, OptionList list);

/// The groups of --help, each a heading and the names of its options.
using Groups = std::vector<std::pair<std::string, std::vector<std::string>>>;
/// `list` in the order of the groups, under their headings; what they don't name follows as it was.
OptionList arranged(OptionList list, const Groups& groups);

/// `list` followed by `more`.
OptionList joined(OptionList list, const OptionList& more);

/// Reads the values of an option from the words given for it; of a single value the last word counts. Lists
/// are separated by commas, but for positional ones. Throws ValueError, which names the option.
void read_words(const Option& option, const std::vector<std::string>& words);

/// The value as it would be written on the command line; "" for none.
std::string value_text(const Option& option);

/// What the value is called in --help: "COUNT".
std::string placeholder(const Option& option);

/// The options as a JSON object, and back; one that isn't in the object, because the file is older than it,
/// keeps its value. Throws ValueError.
std::string to_json(const OptionList& list);
void read_json(const std::string& text, const OptionList& list);

/// Reads one value, written as JSON. Throws ValueError that names the option.
void read_json_value(const std::string& text, const Option& option);

/// The options as lines `name = value` of TOML.
std::string to_toml(const OptionList& list);

/// Copies the values of the options named in `given`; the two lists are of the same options.
void take(const OptionList& to, const OptionList& from, const Given& given);

}  // namespace ballast::app
