#include "trainer/checkpoint_info.h"

#include <filesystem>
#include <nlohmann/json.hpp>

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

Standardization standardization_of(const Json& json) {
  const auto numbers = [&](const char* name) {
    const Json& value = json.at(name);
    return value.is_number() ? std::vector{value.get<double>()} : value.get<std::vector<double>>();
  };
  Standardization found{numbers("mean"), numbers("std")};
  check<ValueError>(!found.std.empty() && found.mean.size() == found.std.size(),
                    "{} means and {} standard deviations", found.mean.size(), found.std.size());
  return found;
}

}  // namespace

std::string data_name(const CheckpointInfo& info) {
  if (info.data.data.empty()) return info.data_name;
  const fs::path path = fs::path(info.data.data).lexically_normal();
  return (path.has_filename() ? path.filename() : path.parent_path().filename()).native();
}

Metadata to_metadata(const CheckpointInfo& info, const std::string& path) {
  DataOptions data = info.data;
  if (data.data != "digits" && !data.data.empty()) data.data = way_to(data.data, path);
  const Json json = {
      {"model", Json::parse(json_of(info.model))},
      {"data", Json::parse(json_of(data))},
      {"data_name", data_name(info)},
      {"fingerprint", info.fingerprint},
      {"sample_shape", std::vector<int64_t>(info.sample_shape.begin(), info.sample_shape.end())},
      {"classes", info.classes},
      {"mean", json_of(info.standardization.mean)},
      {"std", json_of(info.standardization.std)},
      {"epoch", info.epoch},
      {"step", info.step},
      {"test_loss", info.test_loss},
      {"test_accuracy", info.test_accuracy},
  };
  return {{"ballast", json.dump()}};
}

std::optional<CheckpointInfo> checkpoint_info(const std::string& path, const Metadata& metadata) {
  const auto found = metadata.find("ballast");
  if (found == metadata.end()) return {};
  try {
    const Json json = Json::parse(found->second);
    const auto sizes = json.at("sample_shape").get<std::vector<int64_t>>();
    const auto classes = json.at("classes").get<int>();
    check<ValueError>(classes >= 1 && classes <= 1'000'000, "{} classes", classes);
    auto data = options_from_json<DataOptions>(json.at("data").dump());
    if (data.data != "digits" && !data.data.empty())
      data.data = (fs::absolute(path).parent_path() / data.data).lexically_normal().native();
    return CheckpointInfo{
        .model = options_from_json<ModelOptions>(json.at("model").dump()),
        .data = data,
        .data_name = json.value("data_name", ""),
        .fingerprint = json.value("fingerprint", Fingerprint()),
        .sample_shape = Shape(sizes.data(), static_cast<int64_t>(sizes.size())),
        .classes = classes,
        .standardization = standardization_of(json),
        .epoch = json.at("epoch").get<int64_t>(),
        .step = json.at("step").get<int64_t>(),
        .test_loss = json.at("test_loss").get<double>(),
        .test_accuracy = json.at("test_accuracy").get<double>(),
    };
  } catch (const std::exception& error) {
    throw FileError(path, "METADATA",
                    fmt::format("what it says about its model makes no sense: {}", error.what()));
  }
}

std::string checkpoint_of(const std::string& path) {
  if (!std::filesystem::is_directory(path)) return path;
  const std::string last = path + "/last.safetensors";
  check<ValueError>(
      std::filesystem::exists(last),
      "{}: there is no last.safetensors; give the folder of a run that has finished an epoch, or a "
      "checkpoint",
      path);
  return last;
}

}  // namespace ballast::app
