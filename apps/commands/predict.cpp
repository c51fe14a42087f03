#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include <ballast/core/ops/movement.h>
#include <ballast/core/ops/reduce.h>
#include <ballast/data/image.h>

#include "commands/command.h"
#include "options/options.h"
#include "output.h"
#include "trainer/predictor.h"
#include "trainer/table.h"

namespace ballast::app {
namespace {

namespace fs = std::filesystem;

struct PredictOptions {
  std::string path;
  std::vector<std::string> files;
  std::string masks;
  bool json = false, csv = false;
  int64_t top = 1, threads = 0;
  Given given;
};

/// What the model says of one sample: probabilities of the classes, or the values of a regression.
struct Prediction {
  std::string name;  // file:line of a row of a table
  std::optional<int64_t> line;
  std::vector<double> outputs;

  std::string file() const { return line ? name.substr(0, name.rfind(':')) : name; }
};

constexpr int64_t batch_size = 256;

std::vector<Prediction> predictions_of(const Predictor& predictor, const Inputs& inputs) {
  const CheckpointInfo& info = predictor.info();
  const bool regression = info.kind == TargetKind::values;
  std::vector<Prediction> found;
  for (int64_t begin = 0; begin < inputs.x.size(0); begin += batch_size) {
    const int64_t end = std::min(begin + batch_size, inputs.x.size(0));
    const Tensor x = slice(inputs.x, 0, begin, end), y = regression ? predictor.output(x) : predictor(x);
    for (int64_t n = begin; n < end; ++n) {
      const auto sample = static_cast<size_t>(n);
      Prediction prediction{inputs.names[sample], {}, {}};
      if (!inputs.lines.empty()) prediction.line = inputs.lines[sample];
      for (int64_t k = 0; k < info.outputs; ++k) {
        const double value = y.data()[(n - begin) * info.outputs + k];
        prediction.outputs.push_back(regression ? predictor.in_units(value, k) : value);
      }
      found.push_back(std::move(prediction));
    }
  }
  return found;
}

/// With as many digits as a number of single precision has, in JSON.
double rounded(double value) {
  return std::isfinite(value) ? std::stod(fmt::format("{:.7g}", value)) : value;
}

/// Indices of the outputs, the largest first.
std::vector<size_t> ranking(const std::vector<double>& outputs) {
  std::vector<size_t> order(outputs.size());
  for (size_t k = 0; k < order.size(); ++k) order[k] = k;
  std::ranges::stable_sort(order, std::ranges::greater(), [&](size_t k) { return outputs[k]; });
  return order;
}

/// One of the ways to print predictions.
class Printer {
 public:
  Printer(const PredictOptions& options, const Predictor& predictor)
      : options_(options),
        classes_(predictor.info().kind == TargetKind::classes),
        tables_(!predictor.info().schema.empty()),
        names_(predictor.names()) {
    if (options_.csv) {
      std::vector<std::string> titles = {"file"};
      if (tables_) titles.emplace_back("line");
      if (classes_) titles.insert(titles.end(), {"prediction", "probability"});
      titles.insert(titles.end(), names_.begin(), names_.end());
      print_row(titles);
    }
  }

  void print(const Prediction& prediction) const {
    if (options_.json)
      print_json(prediction);
    else if (options_.csv)
      print_csv(prediction);
    else
      print_text(prediction);
  }

 private:
  void print_text(const Prediction& prediction) const {
    std::vector<std::string> parts;
    if (classes_) {
      for (const size_t k : ranking(prediction.outputs)) {
        if (static_cast<int64_t>(parts.size()) == options_.top) break;
        parts.push_back(fmt::format("{} ({:.1f} %)", names_[k], 100 * prediction.outputs[k]));
      }
    } else {
      for (size_t k = 0; k < names_.size(); ++k)
        parts.push_back(fmt::format("{} {:.6g}", names_[k], prediction.outputs[k]));
    }
    say("{}: {}\n", prediction.name, fmt::join(parts, ", "));
  }

  void print_json(const Prediction& prediction) const {
    nlohmann::ordered_json json = {{"file", prediction.file()}};
    if (prediction.line) json["line"] = *prediction.line;
    if (classes_) {
      const size_t best = ranking(prediction.outputs)[0];
      json["prediction"] = names_[best];
      json["probability"] = rounded(prediction.outputs[best]);
    }
    for (size_t k = 0; k < names_.size(); ++k)
      json[classes_ ? "probabilities" : "values"][names_[k]] = rounded(prediction.outputs[k]);
    say("{}\n", json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  }

  void print_csv(const Prediction& prediction) const {
    std::vector<std::string> fields = {prediction.file()};
    if (tables_) fields.push_back(prediction.line ? fmt::format("{}", *prediction.line) : "");
    if (classes_) {
      const size_t best = ranking(prediction.outputs)[0];
      fields.push_back(names_[best]);
      fields.push_back(fmt::format("{:.6g}", prediction.outputs[best]));
    }
    for (const double output : prediction.outputs) fields.push_back(fmt::format("{:.6g}", output));
    print_row(fields);
  }

  /// A line of RFC 4180.
  static void print_row(std::vector<std::string> fields) {
    for (std::string& field : fields) {
      if (field.find_first_of(",\"\n") == std::string::npos) continue;
      for (size_t at = 0; (at = field.find('"', at)) != std::string::npos; at += 2) field.insert(at, 1, '"');
      field = '"' + field + '"';
    }
    say("{}\n", fmt::join(fields, ","));
  }

  const PredictOptions& options_;
  bool classes_, tables_;
  std::vector<std::string> names_;
};

/// Writes the classes of a sample's pixels as images into a folder.
class MaskWriter {
 public:
  MaskWriter(const Predictor& predictor, const std::string& folder) : predictor_(predictor), folder_(folder) {
    const int64_t classes = predictor.info().outputs;
    check<ValueError>(classes <= 256, "--masks: an image has 256 greys, and the model knows {} classes",
                      classes);
    std::error_code error;
    fs::create_directories(folder, error);
    check<ValueError>(!error, "--masks: can't make the folder '{}': {}", folder, error.message());
  }

  void write(const Inputs& inputs) {
    for (int64_t begin = 0; begin < inputs.x.size(0); begin += batch_size) {
      const int64_t end = std::min(begin + batch_size, inputs.x.size(0));
      const Tensor scores = predictor_.output(slice(inputs.x, 0, begin, end));
      const int64_t count = scores.size(0), classes = scores.size(1),
                    pixels = scores.count() / count / classes;
      const Labels best = argmax(transpose(reshape(scores, {count, classes, pixels})));
      for (int64_t n = begin; n < end; ++n) {
        Image mask{1, pixels / scores.size(-1), scores.size(-1), {}};
        for (int64_t i = (n - begin) * pixels; i < (n - begin + 1) * pixels; ++i)
          mask.pixels.push_back(static_cast<uint8_t>(best[i] * 255 / std::max<int64_t>(classes - 1, 1)));
        const std::string& name = inputs.names[static_cast<size_t>(n)];
        const std::string path = free_path(name);
        write_png(path, mask);
        say("{}: {}\n", name, path);
      }
    }
  }

 private:
  /// In the folder, after an image's name or that of a file and the place in it, such as data.npz:7.
  std::string free_path(const std::string& name) {
    const size_t colon = name.rfind(':');
    const bool numbered = colon != std::string::npos && is_whole_number(name.substr(colon + 1));
    std::string stem = fs::path(numbered ? name.substr(0, colon) : name).stem().string();
    if (numbered) stem.append(1, '-').append(name, colon + 1);
    std::string path = (fs::path(folder_) / (stem + ".png")).string();
    for (int copy = 2; !written_.insert(path).second; ++copy)
      path = (fs::path(folder_) / fmt::format("{}-{}.png", stem, copy)).string();
    return path;
  }

  const Predictor& predictor_;
  std::string folder_;
  std::set<std::string> written_;
};

int run(const PredictOptions& options) {
  check<ValueError>(!options.json || !options.csv, "--json and --csv: choose one of them");
  use_threads(options.threads);
  const Predictor predictor(options.path);
  const bool pixels = predictor.info().kind == TargetKind::positions;
  check<ValueError>(!pixels || !options.masks.empty(),
                    "{}: the model gives a class for each pixel; --masks DIR writes them as images",
                    options.path);
  check<ValueError>(pixels || options.masks.empty(),
                    "--masks: {} gives one prediction for a sample, not one for each pixel", options.path);
  check<ValueError>(!pixels || (!options.json && !options.csv),
                    "--masks: --json and --csv have no effect with it");
  std::optional<MaskWriter> masks;
  if (pixels) masks.emplace(predictor, options.masks);
  const Printer printer(options, predictor);
  int64_t bad = 0;
  for (const std::string& path : options.files) {
    // A file that can't be read is named, and the others are predicted.
    try {
      for (const std::string& file : files_below(path)) {
        try {
          const Inputs inputs = predictor.read(file);
          for (const std::string& error : inputs.errors) complain("error: {}\n", error);
          bad += static_cast<int64_t>(inputs.errors.size());
          if (inputs.names.empty()) continue;
          if (masks) {
            masks->write(inputs);
            continue;
          }
          for (const Prediction& prediction : predictions_of(predictor, inputs)) printer.print(prediction);
        } catch (const Error& error) {
          complain("error: {}\n", error.message);
          ++bad;
        }
      }
    } catch (const FileError& error) {
      complain("error: {}\n", error.message);
      ++bad;
    }
  }
  return bad == 0 ? 0 : 1;
}

OptionList list(PredictOptions& o) {
  return {
      path_option(o.path, true),
      {.name = "FILES",
       .value = &o.files,
       .help = "images, folders of images, tables, IDX, .npy or .npz files; - for standard input",
       .positional = true,
       .required = true},
      {.name = "top", .value = &o.top, .help = "number of classes to print, the likeliest first", .least = 1},
      {.name = "masks",
       .value = &o.masks,
       .help =
           "of a model that gives a class for each pixel: the folder to write these to, an image for each "
           "sample, class k of K as the grey 255 k / (K - 1)",
       .placeholder = "DIR"},
      {.name = "json", .value = &o.json, .help = "print a JSON object per sample, with all probabilities"},
      {.name = "csv", .value = &o.csv, .help = "print a table in CSV, with all probabilities"},
      {.name = "threads",
       .value = &o.threads,
       .help = "threads to compute with, 0 for all processors",
       .least = 0,
       .most = 256}};
}

}  // namespace

extern const Command predict;
const Command predict{
    "predict", "what a trained network says of files",
    "Prints the class of each image or row, and its probability by softmax; or the values of a regression.\n"
    "Images are resized to what the network takes. Columns of a table are found by name or, without a\n"
    "header, by place; others may be there. Rows of a table are named by their line in the file, samples\n"
    "of an array by their place in it from 0. A file or row that can't be read is named on standard error,\n"
    "the others are predicted all the same, and the exit code is 1.",
    "Examples:\n"
    "  ballast predict runs/a photo.jpg --top 3           the three likeliest classes\n"
    "  ballast predict runs/a/best.safetensors photos/    all images in a folder\n"
    "  ballast predict runs/table new.csv --csv           a row for each row",
    invocation(list, run)};

}  // namespace ballast::app
