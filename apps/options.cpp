#include "options.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include <ballast/core/check.h>
#include <ballast/core/parallel.h>
#include <ballast/data/text.h>

#include "known.h"

namespace ballast::inline BALLAST_PRECISION {
namespace {

using Json = nlohmann::ordered_json;

Json value_of(const std::optional<double>& x) { return x ? Json(*x) : Json(); }
template <class T>
Json value_of(const T& x) {
  return x;
}

// nlohmann/json converts any number to any other; here 2.5 epochs are an error.
void read(const Json& value, std::string& x) {
  check<ValueError>(value.is_string(), "must be text in double quotes");
  x = value.get<std::string>();
}
void read(const Json& value, double& x) {
  check<ValueError>(value.is_number(), "must be a number");
  x = value.get<double>();
}
void read(const Json& value, std::optional<double>& x) {
  if (value.is_null()) return x.reset();
  read(value, x.emplace());
}
void read(const Json& value, int64_t& x) {
  const bool fits =
      value.is_number_unsigned() ? value.get<uint64_t>() <= INT64_MAX : value.is_number_integer();
  check<ValueError>(fits, "must be a whole number");
  x = value.get<int64_t>();
}
void read(const Json& value, uint64_t& x) {
  check<ValueError>(value.is_number_unsigned(), "must be a whole number that isn't negative");
  x = value.get<uint64_t>();
}
template <class T>
void read(const Json& value, std::vector<T>& x) {
  check<ValueError>(value.is_array(), "must be a list such as {}",
                    std::is_same_v<T, int64_t> ? "[512, 512]" : "[\"0\", \"*.bias\"]");
  x.clear();
  for (const Json& element : value) read(element, x.emplace_back());
}

template <class Options>
Json object_of(const Options& options) {
  Json object;
  for_each_option(const_cast<Options&>(options), [&](const char* name, const auto& member, const char*) {
    object[name] = value_of(member);
  });
  return object;
}

template <class Options>
void read_object(const Json& object, Options& options) {
  for_each_option(options, [&](const char* name, auto& member, const char*) {
    if (!object.contains(name)) return;
    try {
      read(object[name], member);
    } catch (const ValueError& error) {
      throw ValueError(fmt::format("{} {}", name, error.message));
    }
  });
}

void check_number(const char* name, double value, double least, double most) {
  check<ValueError>(value >= least && value <= most, "--{} {}: give {} to {}", name, value, least, most);
}

void check_positive(const char* name, int64_t value) {
  check<ValueError>(value >= 1, "--{} {}: it must be at least 1", name, value);
}

// config.toml can hold nothing else.
void check_text(const char* name, const std::string& text) {
  check<ValueError>(first_invalid_utf8(text) == text.size(), "--{}: it is not UTF-8", name);
}

/// So that resuming and evaluating find it from any folder.
std::string absolute(const std::string& path) {
  return std::filesystem::absolute(path).lexically_normal().native();
}

/// The value of a line `key = value # comment`, where a # within quotes is no comment.
std::string without_comment(const std::string& text) {
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\')
      ++i;
    else if (text[i] == '"')
      quoted = !quoted;
    else if (text[i] == '#' && !quoted)
      return text.substr(0, i);
  }
  return text;
}

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

}  // namespace

void validate(TrainOptions& options) {
  TrainingOptions& t = options.training;
  check_known("optimizer", t.optimizer, known_optimizers);
  check_known("schedule", t.schedule, known_schedules);
  check_known("model", options.model.model, known_models);
  check_known("norm", options.model.norm, known_norms);
  check_known("act", options.model.act, known_activations);
  if (!t.lr) t.lr = t.optimizer == "sgd" ? 0.05 : 0.003;
  if (!t.weight_decay) t.weight_decay = t.optimizer == "adamw" ? 0.01 : 0;
  check<ValueError>(*t.lr > 0 && std::isfinite(*t.lr), "--lr {}: it must be above 0", *t.lr);
  check_number("weight-decay", *t.weight_decay, 0, 1e6);
  check_number("momentum", t.momentum, 0, 1);
  check_number("dropout", options.model.dropout, 0, 1);
  check_number("warmup", static_cast<double>(t.warmup), 0, 1e15);
  check_positive("batch-size", t.batch_size);
  check_positive("epochs", t.epochs);
  check_positive("train-size", options.data.train_size);
  check_positive("test-size", options.data.test_size);
  check_text("data", options.data.data);
  check_text("init-from", t.init_from);
  for (const std::vector<std::string>* patterns : {&t.freeze, &t.freeze_stats, &t.freeze_mode})
    for (const std::string& pattern : *patterns) check_text("freeze", pattern);
  check_data_options(options.data, options.given);
  if (options.data.data != "digits") options.data.data = absolute(options.data.data);
  if (!t.init_from.empty()) t.init_from = absolute(t.init_from);
  parse_save_interval(t.save_every);
}

void check_data_options(const DataOptions& options, const Given& given) {
  for (const char* size : {"train-size", "test-size"})
    check<ValueError>(options.data == "digits" || !given.contains(size),
                      "--{}: only for the built-in digits; {} is used whole", size, options.data);
}

void use_threads(int64_t count) {
  check<ValueError>(count >= 0 && count <= 256, "--threads {}: give 1 to 256, or 0 for all processors",
                    count);
  if (count > 0) set_num_threads(static_cast<int>(count));
}

SaveInterval parse_save_interval(const std::string& text) {
  const bool in_seconds = text.ends_with('s');
  const char *begin = text.data(), *end = begin + text.size() - in_seconds;
  SaveInterval interval;
  const std::from_chars_result read = in_seconds ? std::from_chars(begin, end, interval.seconds)
                                                 : std::from_chars(begin, end, interval.steps);
  check<ValueError>(read.ec == std::errc{} && read.ptr == end && (interval.seconds > 0 || interval.steps > 0),
                    "--save-every \"{}\": give seconds, as in 60s, or steps, as in 500", text);
  return interval;
}

template <class Options>
std::string to_json(const Options& options) {
  return object_of(options).dump();
}

template <class Options>
Options from_json(const std::string& text) {
  const Json object = Json::parse(text, nullptr, false);
  check<ValueError>(object.is_object(), "the options are no JSON object");
  Options options;
  read_object(object, options);
  return options;
}

template <class Options>
Options merged(const Options& base, const Options& other, const Given& given) {
  Json object = object_of(base);
  const Json values = object_of(other);
  for (const std::string& name : given)
    if (values.contains(name)) object[name] = values[name];
  Options result = base;
  read_object(object, result);
  return result;
}

template std::string to_json(const TrainOptions&);
template std::string to_json(const DataOptions&);
template std::string to_json(const ModelOptions&);
template TrainOptions from_json(const std::string&);
template DataOptions from_json(const std::string&);
template ModelOptions from_json(const std::string&);
template TrainOptions merged(const TrainOptions&, const TrainOptions&, const Given&);
template DataOptions merged(const DataOptions&, const DataOptions&, const Given&);
template ModelOptions merged(const ModelOptions&, const ModelOptions&, const Given&);

// JSON's strings, numbers and lists are TOML's as well.
std::string to_toml(const TrainOptions& options) {
  std::string text;
  const Json object = object_of(options);
  for (const auto& [name, value] : object.items()) text += fmt::format("{} = {}\n", name, value.dump());
  return text;
}

void read_config(const std::string& path, TrainOptions& options) {
  std::ifstream file(path);
  if (!file) throw FileError(path, "OPEN", "can't read it; give the config.toml of a run");
  Json object = object_of(options);
  Given seen;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    const auto fail = [&](const char* code, const std::string& why) {
      throw FileError(path, code, fmt::format("{} at line {}", why, number));
    };
    const std::string content = trimmed(without_comment(line));
    if (content.empty()) continue;
    const size_t equals = content.find('=');
    if (equals == std::string::npos) fail("SYNTAX", "each line must be 'name = value'");
    const std::string name = trimmed(content.substr(0, equals));
    if (!object.contains(name)) fail("KEY", fmt::format("there is no option \"{}\"", name));
    if (!seen.insert(name).second) fail("KEY", fmt::format("\"{}\" was given before", name));
    const Json value = Json::parse(content.substr(equals + 1), nullptr, false);
    if (value.is_discarded() || value.is_null())
      fail("VALUE", fmt::format("{}: text needs double quotes, lists brackets", name));
    if (options.given.contains(name)) continue;
    object[name] = value;
    try {
      read_object(object, options);
    } catch (const ValueError& error) {
      fail("VALUE", error.message);
    }
  }
}

}  // namespace ballast::inline BALLAST_PRECISION
