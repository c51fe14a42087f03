#include "trainer/test_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include <ballast/core/scope.h>
#include <ballast/data/loader.h>

namespace ballast::app {
namespace {

using Json = nlohmann::ordered_json;

std::string base64(const std::vector<uint8_t>& bytes) {
  constexpr auto digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = i; k < i + 3; ++k) group = group << 8 | (k < bytes.size() ? bytes[k] : 0u);
    for (size_t k = 0; k < 4; ++k) text += i + k > bytes.size() ? '=' : digits[group >> (18 - 6 * k) & 63];
  }
  return text;
}

void add_classes(Json& json, const ClassReport& report, const std::vector<std::string>& names) {
  json["expected_calibration_error"] = report.calibration_error;
  if (report.of_positions) json["mean_iou"] = report.mean_iou();
  for (int64_t k = 0; k < report.classes; ++k) {
    const ClassFigures figures = report.of(k);
    Json line = {{"name", names[static_cast<size_t>(k)]},
                 {"precision", figures.precision()},
                 {"recall", figures.recall()},
                 {"f1", figures.f1()}};
    if (report.of_positions) line["iou"] = figures.iou();
    line[report.of_positions ? "positions" : "samples"] = figures.samples();
    json["classes"].push_back(std::move(line));
    const auto row = report.confusion.begin() + k * report.classes;
    //~ const auto row = report.confusion.begin();
    json["confusion"].push_back(std::vector<int64_t>(row, row + report.classes));
  }
}

Json json_of(const TestReport& report, const CheckpointInfo& info) {
  const Evaluation& total = report.total;
  Json json = {{"loss", total.loss}};
  if (report.kind != TargetKind::values) {
    json["accuracy"] = total.accuracy();
    json["correct"] = total.correct;
    json["labels"] = total.size;
    if (report.classes.classes > 0) add_classes(json, report.classes, output_names(info));
    return json;
  }
  json["r2"] = total.r2;
  const std::vector<double>& units = info.target_standardization.std;
  if (units.size() == 1) {
    json["mean_absolute_error"] = total.absolute_error * units[0];
    json["root_mean_squared_error"] = std::sqrt(total.loss) * units[0];
    //~ json["root_mean_squared_error"] = std::sqrt(total.loss * units[0]);
  }
  return json;
}

void add_mistakes(Json& json, const TestReport& report, const CheckpointInfo& info, const Dataset& test) {
  const std::vector<std::string> names = output_names(info);
  const int64_t channels = test.sample_shape.rank() == 3 ? test.sample_shape[0] : 0;
  json["mistakes"] = Json::array();
  for (const Mistake& mistake : report.classes.mistakes) {
    Json line = {{"index", mistake.index},
                 {"label", names[static_cast<size_t>(mistake.label)]},
                 {"prediction", names[static_cast<size_t>(mistake.prediction)]},
                 {"probability", mistake.probability}};
    if (channels == 1 || channels == 3)
      line["image"] =
          "data:image/png;base64," +
          base64(encode_png(image_of(test.sample(mistake.index).x, test.sample_shape, info.standardization)));
    json["mistakes"].push_back(std::move(line));
  }
}

/// Without the digits that are noise where numbers as large as `scale` were computed in float, whose steps
/// are 2^-23 of them: 0.30000001 is 0.3.
double rounded(double value, double scale) {
  const double digits = std::floor(std::log10(0x1p22 / scale));
  if (!std::isfinite(digits) || std::abs(digits) > 15) return value;
  const double step = std::pow(10, std::abs(digits));  // exact, as 10^-n isn't
  return (digits > 0 ? std::round(value * step) / step : std::round(value / step) * step) + 0.0;  // 0, not -0
}

void add_values(Json& json, const TestReport& report, const CheckpointInfo& info) {
  const std::vector<std::string> names = output_names(info);
  const std::vector<double> offsets = info.schema.target_offsets();
  for (size_t k = 0; k < names.size(); ++k) {
    const double std = info.target_standardization.std[k], mean = info.target_standardization.mean[k];
    const auto in_units = [&](const std::vector<real>& all) {
      std::vector<double> values;
      for (size_t i = k; i < all.size(); i += names.size()) {
        const double shift = double{all[i]} * std, read = mean + shift;  // less the offset
        values.push_back(rounded(read + (offsets.empty() ? 0 : offsets[k]),
                                 std::max({std, std::abs(shift), std::abs(read)})));
      }
      return values;
    };
    json["values"].push_back(
        {{"name", names[k]}, {"targets", in_units(report.targets)}, {"outputs", in_units(report.outputs)}});
  }
}

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

void add_outputs(TestReport& report, Module& model, const Dataset& test) {
  constexpr int64_t most = 500;
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < std::min(most, test.size); ++i)
    indices.push_back(i * test.size / std::min(most, test.size));
  const EvalScope evaluating;
  for (const Batch& batch : Loader(subset(test, indices), {.shuffle = false})) {
    const Tensor y = model(batch.x);
    report.targets.insert(report.targets.end(), batch.values.values().begin(), batch.values.values().end());
    report.outputs.insert(report.outputs.end(), y.values().begin(), y.values().end());
  }
}

}  // namespace

Image image_of(const std::vector<real>& x, const Shape& shape, const Standardization& standardization) {
  Image image{shape[0], shape[1], shape[2], {}};
  image.pixels.reserve(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t channel = i / static_cast<size_t>(shape[1] * shape[2]);
    const size_t c = standardization.mean.size() == 1 ? 0 : channel;
    const double value = double{x[i]} * standardization.std[c] + standardization.mean[c];
    image.pixels.push_back(static_cast<uint8_t>(std::lround(255 * std::clamp(value, 0.0, 1.0))));
  }
  return image;
}

TestReport test_report(Module& model, const Dataset& test, int64_t batch_size) {
  TestReport report{.kind = test.kind, .total = {}};
  if (test.kind == TargetKind::classes ||
      (test.kind == TargetKind::positions && test.outputs() <= most_reported_classes)) {
    report.classes = report_on(model, test, batch_size);
    report.total = report.classes.total;
    return report;
  }
  report.total = evaluate(model, test, batch_size);
  if (test.kind == TargetKind::values) add_outputs(report, model, test);
  return report;
}

std::string to_json(const TestReport& report, const CheckpointInfo& info) {
  return text_of(json_of(report, info));
}

std::string to_json(const TestReport& report, const CheckpointInfo& info, const Dataset& test) {
  Json json = json_of(report, info);
  if (report.kind == TargetKind::classes) add_mistakes(json, report, info, test);
  if (report.kind == TargetKind::values) add_values(json, report, info);
  return text_of(json);
}

}  // namespace ballast::app
