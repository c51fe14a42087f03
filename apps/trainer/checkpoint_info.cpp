#include "trainer/checkpoint_info.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "trainer/formats.h"

namespace ballast::app {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// The way to `folder` from the folder of the file `from`, or "" if only the root is common to both.
std::string way_to(const std::string& folder, const std::string& from) {
  std::error_code error;
  const fs::path here = fs::weakly_canonical(fs::absolute(from), error).parent_path();
  const fs::path there = fs::weakly_canonical(folder, error);
  const fs::path first = *std::next(here.begin(), here.begin() != here.end());
  const bool common = std::next(there.begin()) != there.end() && *std::next(there.begin()) == first;
  return common ? there.lexically_relative(here).native() : "";
}

/// A single number stands by itself, several, one per channel, in a list.
Json json_of(const std::vector<double>& numbers) {
  return numbers.size() == 1 ? Json(numbers[0]) : Json(numbers);
}

Standardization standardization_of(const Json& json, const char* mean, const char* std) {
  const auto numbers = [&](const char* name) {
    const Json& value = json.at(name);
    return value.is_number() ? std::vector{value.get<double>()} : value.get<std::vector<double>>();
  };
  Standardization found{numbers(mean), numbers(std)};
  check<ValueError>(!found.std.empty() && found.mean.size() == found.std.size(),
                    "{} means and {} standard deviations", found.mean.size(), found.std.size());
  return found;
}

const std::vector<std::string> task_names = {"classification", "regression",
                                             "segmentation"};  // of TargetKind

TargetKind kind_of(const std::string& task) {
  const auto found = std::ranges::find(task_names, task);
  check<ValueError>(found != task_names.end(), "its task is \"{}\"", task);
  return static_cast<TargetKind>(found - task_names.begin());
}

/// A number, or null for what isn't finite.
double number_or_nan(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found == json.end() || found->is_null() ? std::numeric_limits<double>::quiet_NaN()
                                                 : found->get<double>();
}

Json json_of(const std::vector<TableColumn>& columns) {
  Json json = Json::array();
  for (const TableColumn& column : columns) {
    json.push_back({{"name", column.name}, {"texts", column.texts}, {"place", column.place}});
    if (column.date) json.back()["date"] = true;
    if (column.offset != 0) json.back()["offset"] = column.offset;
    if (column.fill) json.back()["fill"] = *column.fill;
  }
  return json;
}

Json json_of(const TableSchema& schema) {
  return {{"inputs", json_of(schema.inputs)},
          {"targets", json_of(schema.targets)},
          {"shape", std::vector<int64_t>(schema.shape.begin(), schema.shape.end())},
          {"header", schema.header},
          {"fields", schema.fields}};
}

std::vector<TableColumn> columns_of(const Json& json) {
  std::vector<TableColumn> columns;
  for (const Json& column : json) {
    columns.push_back({.name = column.at("name").get<std::string>(),
                       .texts = column.at("texts").get<std::vector<std::string>>(),
                       .date = column.value("date", false),
                       .place = column.value("place", int64_t{-1}),
                       .offset = column.value("offset", 0.0)});
    if (column.contains("fill")) columns.back().fill = column["fill"].get<double>();
  }
  return columns;
}

TableSchema schema_of(const Json& json) {
  const auto sizes = json.at("shape").get<std::vector<int64_t>>();
  return {columns_of(json.at("inputs")), columns_of(json.at("targets")),
          Shape(sizes.data(), static_cast<int64_t>(sizes.size())), json.value("header", true),
          json.value("fields", int64_t{0})};
}

/// Throws ValueError unless the parts fit one another: the file may come from a stranger.
void check_parts(const CheckpointInfo& info) {
  const auto outputs = static_cast<size_t>(info.outputs);
  check<ValueError>(info.class_names.empty() || info.class_names.size() == outputs, "{} names of {} outputs",
                    info.class_names.size(), outputs);
  check<ValueError>(info.kind != TargetKind::values || info.target_standardization.mean.size() == outputs,
                    "{} means of {} values", info.target_standardization.mean.size(), outputs);
  for (const std::vector<TableColumn>* columns : {&info.schema.inputs, &info.schema.targets})
    for (const TableColumn& column : *columns)
      check<ValueError>(info.schema.fields == 0 || (column.place >= 0 && column.place < info.schema.fields),
                        "column {} of {}", column.place, info.schema.fields);
  check<ValueError>(info.schema.empty() || (info.schema.shape == info.sample_shape &&
                                            info.schema.width() == info.sample_shape.count()),
                    "a table of {} values in samples {}", info.schema.width(), info.sample_shape);
}

}  // namespace

std::vector<std::string> output_names(const CheckpointInfo& info) {
  std::vector<std::string> names = info.class_names;
  const char* prefix = info.kind == TargetKind::values ? "value " : "";
  while (static_cast<int64_t>(names.size()) < info.outputs)
    names.push_back(fmt::format("{}{}", prefix, names.size()));
  return names;
}

std::string data_name(const CheckpointInfo& info) {
  if (info.data.data.empty()) return info.data_name;
  const fs::path path = fs::path(split_data_text(info.data.data).path).lexically_normal();
  return (path.has_filename() ? path.filename() : path.parent_path().filename()).native();
}

Metadata to_metadata(const CheckpointInfo& info, const std::string& path) {
  DataOptions data = info.data;
  if (data.data != "digits" && !data.data.empty()) {
    const auto [prefix, folder] = split_data_text(data.data);
    const std::string way = way_to(folder, path);
    // "digits" alone are the built-in ones.
    data.data = way.empty() ? "" : prefix + (way == "digits" ? "./digits" : way);
  }
  Json json = {
      {"model", Json::parse(json_of(info.model))},
      {"data", Json::parse(json_of(data))},
      {"data_name", data_name(info)},
      {"fingerprint", info.fingerprint},
      {"sample_shape", std::vector<int64_t>(info.sample_shape.begin(), info.sample_shape.end())},
      {"task", task_names.at(static_cast<size_t>(info.kind))},
      {"outputs", info.outputs},
      {"class_names", info.class_names},
      {"mean", json_of(info.standardization.mean)},
      {"std", json_of(info.standardization.std)},
      {"epoch", info.epoch},
      {"step", info.step},
      {"val_loss", info.val_loss},
      {"val_accuracy", info.val_accuracy},
  };
  if (info.kind == TargetKind::values) {
    json["target_mean"] = info.target_standardization.mean;
    json["target_std"] = info.target_standardization.std;
  }
  if (!info.schema.empty()) json["table"] = json_of(info.schema);
  return {{"ballast", json.dump()}};
}

std::optional<CheckpointInfo> checkpoint_info(const std::string& path, const Metadata& metadata) {
  const auto found = metadata.find("ballast");
  if (found == metadata.end()) return {};
  try {
    const Json json = Json::parse(found->second);
    const auto sizes = json.at("sample_shape").get<std::vector<int64_t>>();
    const auto outputs =
        json.contains("outputs") ? json["outputs"].get<int64_t>() : json.at("classes").get<int64_t>();
    check<ValueError>(outputs >= 1 && outputs <= 1'000'000, "{} outputs", outputs);
    auto data = options_from_json<DataOptions>(json.at("data").dump());
    if (data.data != "digits" && !data.data.empty()) {
      const auto [prefix, way] = split_data_text(data.data);
      data.data = prefix + (fs::absolute(path).parent_path() / way).lexically_normal().native();
    }
    CheckpointInfo info{
        .model = options_from_json<ModelOptions>(json.at("model").dump()),
        .data = data,
        .data_name = json.value("data_name", ""),
        .fingerprint = json.value("fingerprint", Fingerprint()),
        .sample_shape = Shape(sizes.data(), static_cast<int64_t>(sizes.size())),
        .outputs = outputs,
        .kind = kind_of(json.value("task", task_names[0])),
        .class_names = json.value("class_names", std::vector<std::string>()),
        .schema = json.contains("table") ? schema_of(json["table"]) : TableSchema(),
        .standardization = standardization_of(json, "mean", "std"),
        .target_standardization = json.contains("target_mean")
                                      ? standardization_of(json, "target_mean", "target_std")
                                      : Standardization(),
        .epoch = json.at("epoch").get<int64_t>(),
        .step = json.at("step").get<int64_t>(),
        .val_loss = number_or_nan(json, "val_loss"),
        .val_accuracy = number_or_nan(json, "val_accuracy"),
    };
    check_parts(info);
    return info;
  } catch (const std::exception& error) {
    throw FileError(path, "METADATA",
                    fmt::format("what it says about its model makes no sense: {}", error.what()));
  }
}

std::string checkpoint_of(const std::string& path) {
  if (!std::filesystem::is_directory(path)) return path;
  if (std::filesystem::exists(path + "/best.safetensors")) return path + "/best.safetensors";
  check<ValueError>(!std::filesystem::exists(path + "/state.safetensors"),
                    "{0}: the run was stopped in its first epoch; go on with train --resume {0}", path);
  throw ValueError(
      fmt::format("{}: there is no best.safetensors; give the folder of a run that has finished "
                  "an epoch, or a checkpoint",
                  path));
}

}  // namespace ballast::app
