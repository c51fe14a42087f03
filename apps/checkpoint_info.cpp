#include "checkpoint_info.h"

#include <filesystem>
#include <nlohmann/json.hpp>

namespace ballast::inline BALLAST_PRECISION {

using Json = nlohmann::ordered_json;

Metadata to_metadata(const CheckpointInfo& info) {
  const Json json = {
      {"model", Json::parse(to_json(info.model))},
      {"data", Json::parse(to_json(info.data))},
      {"sample_shape", std::vector<int64_t>(info.sample_shape.begin(), info.sample_shape.end())},
      {"classes", info.classes},
      {"mean", info.standardization.mean},
      {"std", info.standardization.std},
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
    return CheckpointInfo{
        .model = from_json<ModelOptions>(json.at("model").dump()),
        .data = from_json<DataOptions>(json.at("data").dump()),
        .sample_shape = Shape(sizes.data(), static_cast<int64_t>(sizes.size())),
        .classes = classes,
        .standardization = {json.at("mean").get<double>(), json.at("std").get<double>()},
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

Split load_data(const DataOptions& options) {
  if (options.data == "digits") return digits(options.train_size, options.test_size);
  return mnist(options.data);
}

}  // namespace ballast::inline BALLAST_PRECISION
