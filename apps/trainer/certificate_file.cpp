#include "trainer/certificate_file.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include <ballast/data/atomic_file.h>

namespace ballast::app {
namespace {

using Json = nlohmann::ordered_json;

std::string to_hex(uint64_t hash) { return fmt::format("{:016x}", hash); }

uint64_t from_hex(const std::string& text) {
  uint64_t hash = 0;
  const char* end = text.data() + text.size();
  const std::from_chars_result read = std::from_chars(text.data(), end, hash, 16);
  check<ValueError>(read.ec == std::errc{} && read.ptr == end, "\"{}\" is no hash", text);
  return hash;
}

double positive(const Json& json) {
  const auto number = json.get<double>();
  check<ValueError>(std::isfinite(number) && number >= 0, "{} is no bound", number);
  return number;
}

}  // namespace

void write_certificate(const std::string& path, const Certificate& certificate,
                       const CertifiedImages& images) {
  Json layers = Json::array();
  for (const LayerBound& layer : certificate.layers)
    layers.push_back(
        {{"path", layer.path}, {"layer", layer.layer}, {"bound", layer.bound}, {"attained", layer.attained}});
  const Json json = {
      {"checkpoint", std::filesystem::path(images.checkpoint).filename().native()},
      {"data", images.data},
      {"statistics_hash", to_hex(certificate.statistics_hash)},
      {"weights_hash", to_hex(certificate.weights_hash)},
      {"bound", certificate.bound},
      {"layers", layers},
      {"radii", images.radii},
  };
  write_file_atomically(path, json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

Certificate read_certificate(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw FileError(path, "OPEN", "can't read it; give a file that ballast certify wrote");
  try {
    const Json json = Json::parse(file);
    Certificate certificate{positive(json.at("bound")),
                            {},
                            from_hex(json.at("statistics_hash").get<std::string>()),
                            from_hex(json.at("weights_hash").get<std::string>())};
    for (const Json& layer : json.at("layers"))
      certificate.layers.push_back({layer.at("path").get<std::string>(),
                                    layer.at("layer").get<std::string>(),
                                    positive(layer.at("bound")),
                                    positive(layer.at("attained")),
                                    {}});
    return certificate;
  } catch (const std::exception& error) {
    throw FileError(path, "CERTIFICATE",
                    fmt::format("this is no certificate of ballast certify: {}", error.what()));
  }
}

}  // namespace ballast::app
