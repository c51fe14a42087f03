#include "options/config.h"

#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>

#include <ballast/core/check.h>

#include "options/choice.h"

namespace ballast::app {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// The config.toml that `given` stands for: the file itself, or the one in the folder of a run.
std::string config_file(const std::string& given) {
  std::error_code error;
  const std::string path = fs::is_directory(given, error) ? given + "/config.toml" : given;
  if (!fs::is_regular_file(path, error))
    throw FileError(path, "OPEN", "there is no such file; give the folder of a run or its config.toml");
  return path;
}

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  std::stringstream content;
  content << file.rdbuf();
  if (!file) throw FileError(path, "OPEN", "can't read it");
  return content.str();
}

/// Null for what no option can hold: a table, a date, infinity.
Json json_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* whole = node.as_integer()) return whole->get();
  if (const auto* number = node.as_floating_point())
    return std::isfinite(number->get()) ? Json(number->get()) : Json();
  if (const auto* flag = node.as_boolean()) return flag->get();
  const toml::array* array = node.as_array();
  if (!array) return nullptr;
  Json list = Json::array();
  for (const toml::node& element : *array) list.push_back(json_of(element));
  return list;
}

void read_entry(const std::string& name, const toml::node& node, const OptionList& list, const Given& given) {
  const auto option = std::ranges::find(list, name, &Option::name);
  std::vector<std::string> names;
  for (const Option& known : list) names.push_back(known.name);
  check<UsageError>(option != list.end(), "there is no option \"{}\"{}", name, suggestion(name, names));
  const Json value = json_of(node);
  check<ValueError>(!value.is_null(), "{}: give text in quotes, a number or a list", name);
  if (!given.contains(name)) read_json_value(value.dump(), *option);
}

}  // namespace

void read_config(const std::string& given, TrainOptions& options) {
  const std::string path = config_file(given), content = content_of(path);
  const auto fail = [&](const char* code, std::string_view why, const toml::source_region& where) {
    throw FileError(path, code, fmt::format("{} at line {}", why, where.begin.line));
  };
  const OptionList list = options_of(options);
  toml::table table;
  try {
    table = toml::parse(std::string_view(content), std::string_view(path));
  } catch (const toml::parse_error& error) {
    std::istringstream lines(content);
    std::string line;
    for (uint32_t n = 0; n < error.source().begin.line; ++n) std::getline(lines, line);
    fail("SYNTAX", fmt::format("{}, in \"{}\"", error.description(), line), error.source());
  }
  for (const auto& [key, node] : table) {
    try {
      read_entry(std::string(key.str()), node, list, options.given);
    } catch (const UsageError& error) {
      fail("KEY", error.message, key.source());
    } catch (const ValueError& error) {
      fail("VALUE", error.message, key.source());
    }
  }
}

}  // namespace ballast::app
