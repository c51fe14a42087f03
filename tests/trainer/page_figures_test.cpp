// Every figure in a run's page, computed anew from the data and the saved weights, or from the run's other
// files. The lists of names are complete: a figure that comes to a page without being computed here is an
// error.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include <ballast/core/ops.h>
#include <ballast/data/checkpoint.h>
#include <ballast/data/image.h>
#include <ballast/layers/functional.h>
#include <ballast/optim/adam.h>

#include "../temp_folder.h"
#include "page_data.h"
#include "program.h"
#include "trainer/predictor.h"
#include "trainer/run.h"
#include "trainer/saved_run.h"

using namespace ballast;
using namespace ballast::app;
using Json = nlohmann::ordered_json;

namespace {

constexpr int64_t rows = 240, tested = 60;  // of training; of validation and of test

void ballast_program(std::vector<std::string> words) {
  words.insert(words.begin(), "ballast");
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  REQUIRE(run_program(static_cast<int>(arguments.size()), arguments.data()) == 0);
}

/// Uniform in 0 ... 1.
double next() {
  static uint64_t state = 1;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return static_cast<double>(state >> 40) / static_cast<double>(1 << 24);
}

struct Row {
  std::vector<double> x;
  double y;
};

/// Writes a table for each part; returns those of validation and test as they are in the file.
std::map<std::string, std::vector<Row>> write_tables(const std::string& folder, const std::string& columns,
                                                     const std::function<Row()>& draw) {
  std::filesystem::create_directory(folder);
  std::map<std::string, std::vector<Row>> parts;
  for (const auto& [part, size] : {std::pair{"train", rows}, {"val", tested}, {"test", tested}}) {
    std::string text = columns + "\n";
    for (int64_t i = 0; i < size; ++i) {
      parts[part].push_back(draw());
      text += fmt::format("{},{}\n", fmt::join(parts[part].back().x, ","), parts[part].back().y);
    }
    write_bytes(folder + "/" + part + ".csv", text);
  }
  return parts;
}

/// Images of 4 x 4 pixels of three classes, which overlap.
std::map<std::string, std::vector<Row>> write_images(const std::string& folder) {
  std::string columns;
  for (int i = 0; i < 16; ++i) columns += fmt::format("p{},", i);
  return write_tables(folder, columns + "label", [] {
    Row row{.x = {}, .y = std::floor(3 * next())};
    for (int i = 0; i < 16; ++i) row.x.push_back(std::floor(200 * next() + (i % 3 == row.y ? 50 : 0)));
    return row;
  });
}

std::map<std::string, std::vector<Row>> write_numbers(const std::string& folder) {
  return write_tables(folder, "a,b,y", [] {
    Row row{.x = {std::floor(1000 * next()) / 100, std::floor(1000 * next()) / 100}, .y = 0};
    row.y = std::floor(10 * (20 + 3 * row.x[0] - row.x[0] * row.x[1] + 8 * next())) / 10;
    return row;
  });
}

std::vector<Json> lines_of(const std::string& path) {
  std::vector<Json> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(Json::parse(line));
  return lines;
}

std::set<std::string> names_of(const Json& object) {
  std::set<std::string> names;
  for (const auto& [name, value] : object.items()) names.insert(name);
  return names;
}
using Names = std::set<std::string>;

/// What four digits keep of a number.
doctest::Approx near(double value) { return doctest::Approx(value).epsilon(1.5e-3); }
doctest::Approx close(double value) { return doctest::Approx(value).epsilon(1e-4); }

/// What a network gives for samples of a table, whose values are divided by `unit`.
std::vector<std::vector<double>> outputs(const Predictor& predict, const std::vector<Row>& samples,
                                         const Shape& shape, double unit) {
  std::vector<std::vector<double>> found;
  for (const Row& row : samples) {
    Tensor x(shape);
    for (size_t i = 0; i < row.x.size(); ++i) x.data()[i] = static_cast<real>(row.x[i] / unit);
    const Tensor y = predict(x);
    found.emplace_back(y.values().begin(), y.values().end());
  }
  return found;
}

double loss_of(const std::vector<std::vector<double>>& p, const std::vector<Row>& samples) {
  double sum = 0;
  for (size_t n = 0; n < samples.size(); ++n) sum -= std::log(p[n][static_cast<size_t>(samples[n].y)]);
  return sum / static_cast<double>(samples.size());
}

size_t top_of(const std::vector<double>& p) {
  return static_cast<size_t>(std::max_element(p.begin(), p.end()) - p.begin());
}

std::vector<uint8_t> from_base64(const std::string& text) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<uint8_t> bytes;
  uint32_t bits = 0;
  for (size_t i = 0; i < text.size() && text[i] != '='; ++i) {
    bits = bits << 6 | static_cast<uint32_t>(digits.find(text[i]));
    if (i % 4) bytes.push_back(static_cast<uint8_t>(bits >> (6 - 2 * (i % 4))));
  }
  return bytes;
}

/// Eigenvalues of a symmetric matrix, by Jacobi's rotations.
std::vector<double> eigenvalues(std::vector<std::vector<double>> a) {
  const size_t n = a.size();
  for (int sweep = 0; sweep < 60; ++sweep)
    for (size_t p = 0; p < n; ++p)
      for (size_t q = p + 1; q < n; ++q) {
        const double angle = std::atan2(2 * a[p][q], a[q][q] - a[p][p]) / 2, c = std::cos(angle),
                     s = std::sin(angle);
        for (size_t k = 0; k < n; ++k) {
          const double x = a[k][p], y = a[k][q];
          a[k][p] = c * x - s * y, a[k][q] = s * x + c * y;
        }
        for (size_t k = 0; k < n; ++k) {
          const double x = a[p][k], y = a[q][k];
          a[p][k] = c * x - s * y, a[q][k] = s * x + c * y;
        }
      }
  std::vector<double> values;
  for (size_t i = 0; i < n; ++i) values.push_back(a[i][i]);
  std::sort(values.begin(), values.end());
  return values;
}

/// The values of each channel of (N, C, ...), as doubles.
std::vector<std::vector<double>> channels_of(const Tensor& x) {
  const int64_t channels = x.size(1), positions = x.shape().count(2, x.rank());
  std::vector<std::vector<double>> found(static_cast<size_t>(channels));
  for (int64_t i = 0; i < x.count(); ++i)
    found[static_cast<size_t>(i / positions % channels)].push_back(double{x.data()[i]});
  return found;
}

double mean_of_all(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double covariance_of(const std::vector<double>& a, const std::vector<double>& b) {
  const double x = mean_of_all(a), y = mean_of_all(b);
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - x) * (b[i] - y);
  return sum / static_cast<double>(a.size());
}

void check_stats(const Json& stats, const Tensor& x) {
  CHECK(names_of(stats) == Names{"mean", "deviation", "percentiles", "histogram"});
  std::vector<double> sorted(x.values().begin(), x.values().end());
  std::sort(sorted.begin(), sorted.end());
  const double deviation = std::sqrt(covariance_of(sorted, sorted));
  CHECK(std::abs(stats["mean"].get<double>() - mean_of_all(sorted)) < 1e-3 * deviation);
  CHECK(stats["deviation"].get<double>() == near(deviation));
  std::vector<double> percentiles;
  for (const double percent : {1, 25, 50, 75, 99}) {
    const double rank = std::ceil(percent / 100 * static_cast<double>(sorted.size()) - 1e-9);
    percentiles.push_back(sorted[static_cast<size_t>(std::max(rank, 1.0)) - 1]);
    CHECK(std::abs(stats["percentiles"][percentiles.size() - 1].get<double>() - percentiles.back()) <
          1e-3 * (deviation + std::abs(percentiles.back())));
  }
  // Of bins of equal width. A value at the border of two may be in either: cumulated counts are compared with
  // those a little to the left and a little to the right.
  REQUIRE(stats["histogram"].size() == 40);
  const double low = percentiles.front(), width = (percentiles.back() - low) / 40;
  const auto first = std::lower_bound(sorted.begin(), sorted.end(), low);
  int64_t counted = 0;
  for (size_t bin = 0; bin < 39; ++bin) {
    counted += stats["histogram"][bin].get<int64_t>();
    const double border = low + width * static_cast<double>(bin + 1), little = 1e-5 * width;
    CHECK(counted >= std::lower_bound(sorted.begin(), sorted.end(), border - little) - first);
    CHECK(counted <= std::upper_bound(sorted.begin(), sorted.end(), border + little) - first);
  }
  CHECK(counted + stats["histogram"][39].get<int64_t>() ==
        std::upper_bound(sorted.begin(), sorted.end(), percentiles.back()) - first);
}

void check_condition(const Json& layer, const Tensor& x) {
  const auto all = channels_of(x);
  std::vector<std::vector<double>> covariance, correlation;
  for (const auto& a : all) {
    covariance.emplace_back(), correlation.emplace_back();
    for (const auto& b : all) {
      covariance.back().push_back(covariance_of(a, b));
      correlation.back().push_back(covariance.back().back() /
                                   std::sqrt(covariance_of(a, a) * covariance_of(b, b)));
    }
  }
  for (const auto& [name, matrix] :
       {std::pair{"condition", covariance}, {"correlation_condition", correlation}}) {
    const std::vector<double> found = eigenvalues(matrix);
    REQUIRE(found.front() > 1e-6 * found.back());  // far from what is left out as rounding
    CHECK(layer[name].get<double>() == near(found.back() / found.front()));
  }
}

double length(const Tensor& x) {
  double squares = 0;
  for (const double v : x.values()) squares += v * v;
  return std::sqrt(squares);
}

const std::string& text(const Json& json) { return json.get_ref<const std::string&>(); }

/// A network that a run has saved, and what comes out of each layer for the first batch of training as it is
/// in training.
struct Forward {
  Run run;
  std::vector<Tensor> x;
  Tape tape;
  Tensor loss;

  Forward(const std::string& folder, const TrainOptions& options) : run(options) {
    load(folder + "/last.safetensors", run.model);
    Loader loader(run.loader.dataset(), {.batch_size = 128, .seed = 0});
    const Batch batch = *loader.begin();
    x.push_back(batch.x);
    {
      const FrozenStatisticsScope frozen;
      for (size_t i = 0; i < run.model.size(); ++i) x.push_back(run.model[i](x.back()));
    }
    loss = cross_entropy(x.back(), batch.y);
    tape.backward(loss);
  }
};

}  // namespace

TEST_CASE("page's figures: a classification") {
  const TempFolder folder;
  const std::string data = folder / "data", run = folder / "run";
  const auto parts = write_images(data);
  const std::string model = "conv 2 3 pad=1 bias=true, norm, act, flatten, linear";
  ballast_program({"train", "--data", data, "--shape", "4x4", "--model", model, "--batch-size", "6",
                   "--epochs", "2", "--schedule", "cosine", "--out", run});
  const Json page = page_data(run + "/report.html");
  CHECK(names_of(page) == Names{"groups"});
  REQUIRE(page["groups"].size() == 1);
  const Json& group = page["groups"][0];
  CHECK(names_of(group) == Names{"name", "model", "data", "task", "runs", "curves", "learning_rate",
                                 "results", "planned_epochs", "summary", "config", "test", "layers_over_time",
                                 "layers", "advice", "input", "parameters", "multiply_adds", "norms"});
  CHECK(group["name"] == model + ", batch normalization");
  CHECK(group["model"] == group["name"]);
  CHECK(group["data"] == "data");
  CHECK(group["task"] == "classes");
  CHECK(group["runs"] == Json({"run"}));
  CHECK(group["planned_epochs"] == 2);
  CHECK(group["layers_over_time"].is_null());  // without --probe

  // Curves, results and the summary are of metrics.jsonl, whose figures are of the weights.
  const std::vector<Json> metrics = lines_of(run + "/metrics.jsonl");
  REQUIRE(metrics.size() == 2);
  const Names curves = {"epoch", "seconds", "train_loss", "val_loss", "train_accuracy", "val_accuracy"};
  CHECK(names_of(group["curves"]) == curves);
  for (const std::string& name : curves)
    for (size_t i = 0; i < 2; ++i) {
      const Json& curve = group["curves"][name];
      CHECK((curve.is_array() ? curve : curve["y"])[i] == metrics[i][name]);
    }
  const Json& best = metrics[metrics[1]["val_accuracy"] > metrics[0]["val_accuracy"] ||
                                     (metrics[1]["val_accuracy"] == metrics[0]["val_accuracy"] &&
                                      metrics[1]["val_loss"] < metrics[0]["val_loss"])
                                 ? 1
                                 : 0];
  CHECK(names_of(group["results"]) ==
        Names{"test_score", "val_accuracy", "val_loss", "epoch", "seconds", "images_per_s"});
  for (const char* name : {"val_accuracy", "val_loss", "epoch"})
    CHECK(group["results"][name]["mean"] == best[name]);
  for (const char* name : {"seconds", "images_per_s"})
    CHECK(group["results"][name]["mean"] == metrics[1][name]);
  for (const auto& [name, result] : group["results"].items()) CHECK(result["deviation"].is_null());
  const Json& summary = group["summary"];
  CHECK(names_of(summary) ==
        Names{"model", "norm", "parameters", "epochs", "finished", "final", "best", "machine", "test"});
  CHECK(summary["final"] == metrics[1]);
  CHECK(summary["best"] == best);
  CHECK(summary["parameters"] == 123);

  // 40 steps an epoch, and the cosine's half period from the first to the one behind the last.
  REQUIRE(group["learning_rate"]["step"].size() == 80);
  for (size_t i = 0; i < 80; ++i) {
    CHECK(group["learning_rate"]["step"][i] == i + 1);
    CHECK(group["learning_rate"]["lr"][i].get<double>() ==
          doctest::Approx(0.003 * (1 + std::cos(M_PI * static_cast<double>(i) / 80)) / 2));
  }

  // Training: the same steps one by one.
  {
    Run again(read_run(run).options);
    random_state() = again.at.random;
    AdamW optimizer(again.model, AdamWOptions{.lr = 0.003, .weight_decay = 0.01});
    Loader loader(again.loader.dataset(), {.batch_size = 6, .seed = 0});
    double loss = 0;
    int64_t right = 0, step = 0;
    for (const Batch& batch : loader) {
      optimizer.set_lr(0.003 * (1 + std::cos(M_PI * static_cast<double>(step++) / 80)) / 2);
      Tape tape;
      const Tensor y = again.model(batch.x), found = cross_entropy(y, batch.y);
      tape.backward(found);
      optimizer.step();
      loss += double{found.item()} * 6;
      for (int64_t n = 0; n < 6; ++n) right += argmax(y)[n] == batch.y[n];
    }
    CHECK(metrics[0]["train_loss"].get<double>() == close(loss / rows));
    CHECK(metrics[0]["train_accuracy"].get<double>() == static_cast<double>(right) / rows);
    CHECK(metrics[0]["step"] == 40);
  }

  // Validation and test, from the tables and the saved weights.
  const Predictor predict(run + "/best.safetensors");
  const std::vector<Row>&val = parts.at("val"), &samples = parts.at("test");
  const auto of_val = outputs(predict, val, {1, 1, 4, 4}, 255),
             p = outputs(predict, samples, {1, 1, 4, 4}, 255);
  CHECK(best["val_loss"].get<double>() == close(loss_of(of_val, val)));
  int64_t right = 0;
  for (size_t n = 0; n < val.size(); ++n) right += static_cast<double>(top_of(of_val[n])) == val[n].y;
  CHECK(best["val_accuracy"].get<double>() == static_cast<double>(right) / tested);
  const Json& test = group["test"];
  CHECK(names_of(test) == Names{"loss", "accuracy", "correct", "labels", "expected_calibration_error",
                                "classes", "confusion", "mistakes"});
  CHECK(test["loss"].get<double>() == close(loss_of(p, samples)));
  std::vector<std::vector<int>> confusion(3, std::vector<int>(3));
  std::vector<double> surplus(15);  // of right answers over confidence, in bins
  std::vector<std::pair<double, size_t>> wrong;
  for (size_t n = 0; n < samples.size(); ++n) {
    const size_t label = static_cast<size_t>(samples[n].y), top = top_of(p[n]);
    ++confusion[label][top];
    for (size_t bin = 0; bin < 15; ++bin)
      if (p[n][top] > static_cast<double>(bin) / 15 && p[n][top] <= static_cast<double>(bin + 1) / 15)
        surplus[bin] += (label == top ? 1 : 0) - p[n][top];
    if (label != top) wrong.emplace_back(p[n][top], n);
  }
  CHECK(test["confusion"] == Json(confusion));
  const int correct = confusion[0][0] + confusion[1][1] + confusion[2][2];
  CHECK(test["correct"] == correct);
  CHECK(test["labels"] == tested);
  CHECK(test["accuracy"].get<double>() == doctest::Approx(correct / 60.0));
  CHECK(group["results"]["test_score"]["mean"] == test["accuracy"]);
  CHECK(summary["test"] == Json({{"loss", test["loss"]}, {"accuracy", test["accuracy"]}}));
  double error = 0;
  for (const double s : surplus) error += std::abs(s) / tested;
  CHECK(test["expected_calibration_error"].get<double>() == close(error));
  for (size_t k = 0; k < 3; ++k) {
    const double hits = confusion[k][k], predicted = confusion[0][k] + confusion[1][k] + confusion[2][k],
                 there = confusion[k][0] + confusion[k][1] + confusion[k][2];
    const Json& of_class = test["classes"][k];
    CHECK(names_of(of_class) == Names{"name", "precision", "recall", "f1", "samples"});
    CHECK(of_class["name"] == std::to_string(k));
    CHECK(of_class["precision"].get<double>() == doctest::Approx(hits / predicted));
    CHECK(of_class["recall"].get<double>() == doctest::Approx(hits / there));
    CHECK(of_class["f1"].get<double>() == doctest::Approx(2 * hits / (predicted + there)));
    CHECK(of_class["samples"] == there);
  }
  std::sort(wrong.rbegin(), wrong.rend());
  REQUIRE(wrong.size() > 2);
  REQUIRE(test["mistakes"].size() == std::min<size_t>(wrong.size(), 24));
  for (size_t i = 0; i < test["mistakes"].size(); ++i) {
    const Json& mistake = test["mistakes"][i];
    const auto& [probability, n] = wrong[i];
    CHECK(names_of(mistake) == Names{"index", "label", "prediction", "probability", "image"});
    CHECK(mistake["index"] == n);
    CHECK(mistake["label"] == fmt::format("{}", samples[n].y));
    CHECK(mistake["prediction"] == std::to_string(top_of(p[n])));
    CHECK(mistake["probability"].get<double>() == close(probability));
    const std::string& image = text(mistake["image"]);
    const Image shown = decode_image(from_base64(image.substr(image.find(',') + 1)), "a mistake");
    for (size_t k = 0; k < 16; ++k) CHECK(static_cast<double>(shown.pixels[k]) == samples[n].x[k]);
  }

  // The network, by hand: 2 kernels of 3 x 3 with biases, at 16 places; 3 outputs of 32 inputs.
  CHECK(group["input"] == "(1, 4, 4)");
  CHECK(group["parameters"] == 2 * 9 + 2 + 2 * 2 + 3 * 32 + 3);
  CHECK(group["multiply_adds"] == 16 * 2 * 9 + 3 * 32);
  const Json layers = Json::parse(R"json([
    {"path": "0", "layer": "Conv2d 1 -> 2, 3 x 3", "output": "(2, 4, 4)", "parameters": 20, "multiply_adds": 288},
    {"path": "1", "layer": "BatchNorm2d 2", "output": "(2, 4, 4)", "parameters": 4, "multiply_adds": 0},
    {"path": "2", "layer": "ReLU", "output": "(2, 4, 4)", "parameters": 0, "multiply_adds": 0},
    {"path": "3", "layer": "Flatten", "output": "(32)", "parameters": 0, "multiply_adds": 0},
    {"path": "4", "layer": "Linear 32 -> 3", "output": "(3)", "parameters": 99, "multiply_adds": 96}])json");
  CHECK(group["layers"] == layers);
  const Json norms = Json::parse(
      R"json([{"path": "1", "layer": "BatchNorm2d 2", "channels": 2, "positions": 16, "over_batch": true,
    "channels_together": 1, "over_positions": true, "text": "2 means and variances, each of 6 samples x 16 positions = 96 values; )json"
      R"json(in evaluation those that training has kept"}])json");
  CHECK(group["norms"] == norms);
  // Two rules apply: fewer than 8 samples in a batch, and a bias that the norm subtracts again.
  REQUIRE(group["advice"].size() == 2);
  for (const auto& [i, rule, path, word] :
       {std::tuple{0, "small-batch", "1", "6 samples"}, {1, "bias-before-norm", "0", "bias"}}) {
    const Json& advice = group["advice"][static_cast<size_t>(i)];
    CHECK(names_of(advice) == Names{"rule", "path", "text", "source"});
    CHECK(advice["rule"] == rule);
    CHECK(advice["path"] == path);
    CHECK(text(advice["text"]).find(word) != std::string::npos);
    CHECK(!text(advice["source"]).empty());
  }

  // The options that were given, and no others, are said to be other than the defaults.
  std::map<std::string, std::string> given;
  for (const Json& option : group["config"])
    if (!option[2].get<bool>()) given[text(option[0])] = text(option[1]);
  CHECK(given == std::map<std::string, std::string>{{"data", "data"},
                                                    {"shape", "4x4"},
                                                    {"model", model},
                                                    {"batch-size", "6"},
                                                    {"epochs", "2"},
                                                    {"schedule", "cosine"}});
}

TEST_CASE("page's figures: the learning rate of a run that stopped early ends where it did") {
  const TempFolder folder;
  write_images(folder / "data");
  ballast_program({"train", "--data", folder / "data", "--shape", "4x4", "--model", "flatten, linear", "--lr",
                   "1e-12", "--patience", "1", "--batch-size", "6", "--epochs", "5", "--schedule", "cosine",
                   "--out", folder / "run"});
  const Json group = page_data(folder / "run/report.html")["groups"][0];
  CHECK(group["planned_epochs"] == 5);
  REQUIRE(group["learning_rate"]["step"].size() == 80);  // two epochs: the second was no better
  for (size_t i = 0; i < 80; ++i) {
    CHECK(group["learning_rate"]["step"][i] == i + 1);
    CHECK(group["learning_rate"]["lr"][i].get<double>() ==
          doctest::Approx(1e-12 * (1 + std::cos(M_PI * static_cast<double>(i) / 200)) / 2));
  }
}

TEST_CASE("page's figures: layers over time") {
  const TempFolder folder;
  const std::string data = folder / "data", run = folder / "run", shorter = folder / "shorter";
  write_images(data);
  // The first epoch of two is the whole of another run, whose weights are those of step 40.
  for (const auto& [out, epochs] : {std::pair{run, "2"}, {shorter, "1"}})
    ballast_program({"train", "--data", data, "--shape", "4x4", "--model",
                     "conv 2 3 pad=1, norm, act, flatten, linear", "--batch-size", "6", "--epochs", epochs,
                     "--schedule", "constant", "--probe", "40", "--out", out});
  const Json found = page_data(run + "/report.html")["groups"][0]["layers_over_time"];
  const std::vector<Json> lines = lines_of(run + "/layers.jsonl");
  REQUIRE(lines.size() == 4);
  CHECK(found["about"] == lines[0]);
  CHECK(found["records"] == Json({lines[1], lines[2], lines[3]}));
  const Json about = Json::parse(
      R"json({"samples": 128, "values": 8192, "channels": 32, "percentiles": [1.0, 25.0, 50.0, 75.0, 99.0],
    "layers": [{"path": "0", "layer": "Conv2d 1 -> 2, 3 x 3"}, {"path": "1", "layer": "BatchNorm2d 2"},
               {"path": "2", "layer": "ReLU"}, {"path": "3", "layer": "Flatten"}, {"path": "4", "layer": "Linear 32 -> 3"}]})json");
  CHECK(found["about"] == about);

  const TrainOptions options = read_run(run).options;
  Forward before(shorter, options), now(run, options);
  const Json& record = found["records"][2];
  CHECK(names_of(record) == Names{"step", "loss", "lr", "layers"});
  CHECK(record["step"] == 80);
  CHECK(record["lr"] == 0.003);
  CHECK(record["loss"].get<double>() == near(double{now.loss.item()}));
  CHECK(found["records"][1]["loss"].get<double>() == near(double{before.loss.item()}));
  const Json& layers = record["layers"];
  const Names of_weights = {"output",
                            "input",
                            "gradient",
                            "condition",
                            "correlation_condition",
                            "input_spread",
                            "input_mean_drift",
                            "input_variance_drift",
                            "gradient_norm",
                            "weight_norm",
                            "effective_lr",
                            "angle"};
  CHECK(names_of(layers[0]) == of_weights);
  CHECK(names_of(layers[1]) == Names{"output", "condition", "correlation_condition", "input_spread",
                                     "input_mean_drift", "input_variance_drift", "gradient_norm",
                                     "mean_drift", "variance_drift", "gamma_over_sigma"});
  CHECK(names_of(layers[2]) == Names{"output", "dead_units", "half_active_units"});
  CHECK(names_of(layers[3]) == Names{"output"});
  CHECK(names_of(layers[4]) == of_weights);
  for (size_t i = 0; i < 5; ++i) check_stats(layers[i]["output"], now.x[i + 1]);
  const auto parameters = [](Run& of, size_t layer) {
    std::map<std::string, Parameter*> all;
    for_each_parameter(of.model[layer], [&](const std::string& name, Parameter& p) { all[name] = &p; });
    return all;
  };
  for (const size_t i : {size_t{0}, size_t{1}, size_t{4}}) {
    CAPTURE(i);
    double squares = 0;
    for (const auto& [name, parameter] : parameters(now.run, i))
      squares += std::pow(length(parameter->grad()), 2);
    CHECK(layers[i]["gradient_norm"].get<double>() == near(std::sqrt(squares)));
    check_condition(layers[i], now.x[i]);
    const auto was = channels_of(before.x[i]), is = channels_of(now.x[i]);
    std::vector<double> means, variances;
    double deviations = 0;
    for (size_t c = 0; c < was.size(); ++c) {
      deviations += std::sqrt(covariance_of(is[c], is[c]));
      const double variance = covariance_of(was[c], was[c]);
      if (variance == 0) continue;
      means.push_back(std::abs(mean_of_all(is[c]) - mean_of_all(was[c])) / std::sqrt(variance));
      variances.push_back(std::abs(covariance_of(is[c], is[c]) / variance - 1));
    }
    const auto channels = static_cast<double>(was.size());
    CHECK(layers[i]["input_spread"].get<double>() == near(deviations / channels));
    CHECK(layers[i]["input_mean_drift"].get<double>() == near(median_of(means)));
    CHECK(layers[i]["input_variance_drift"].get<double>() == near(median_of(variances)));
    if (i == 1) continue;
    check_stats(layers[i]["input"], now.x[i]);
    const Parameter &weight = *parameters(now.run, i).at("weight"),
                    &last = *parameters(before.run, i).at("weight");
    check_stats(layers[i]["gradient"], weight.grad());
    const double w = length(weight.value());
    CHECK(layers[i]["weight_norm"].get<double>() == near(w));
    CHECK(layers[i]["effective_lr"].get<double>() == near(0.003 / (w * w)));
    double product = 0;
    for (int64_t k = 0; k < weight.value().count(); ++k)
      product += double{weight.value().data()[k]} * double{last.value().data()[k]};
    CHECK(layers[i]["angle"].get<double>() == near(std::acos(product / w / length(last.value()))));
  }
  int dead = 0, half = 0;
  for (const std::vector<double>& unit : channels_of(now.x[3])) {
    const double active =
        1 - static_cast<double>(std::count(unit.begin(), unit.end(), 0)) / static_cast<double>(unit.size());
    dead += active == 0;
    half += active >= 0.25 && active <= 0.75;
  }
  CHECK(layers[2]["dead_units"].get<double>() == dead / 2.0);
  CHECK(layers[2]["half_active_units"].get<double>() == half / 2.0);
  // Of the norm's running statistics.
  const auto buffers = [](Run& of) {
    std::map<std::string, std::vector<real>> all;
    for_each_buffer(of.model[1], [&](const std::string& name, Buffer& b) {
      all[name] = {b.value().values().begin(), b.value().values().end()};
    });
    return all;
  };
  const auto was = buffers(before.run), is = buffers(now.run);
  const Tensor& gamma = parameters(now.run, 1).at("weight")->value();
  std::vector<double> means, variances, ratios;
  for (size_t c = 0; c < 2; ++c) {
    const double variance = double{was.at("running_var")[c]} + 1e-5,
                 later = double{is.at("running_var")[c]} + 1e-5;
    means.push_back(std::abs(double{is.at("running_mean")[c]} - double{was.at("running_mean")[c]}) /
                    std::sqrt(variance));
    variances.push_back(std::abs(later - variance) / variance);
    ratios.push_back(std::abs(double{gamma.data()[c]}) / std::sqrt(later));
  }
  CHECK(layers[1]["mean_drift"].get<double>() == near(median_of(means)));
  CHECK(layers[1]["variance_drift"].get<double>() == near(median_of(variances)));
  CHECK(layers[1]["gamma_over_sigma"][0].get<double>() == near(std::min(ratios[0], ratios[1])));
  CHECK(layers[1]["gamma_over_sigma"][1].get<double>() == near((ratios[0] + ratios[1]) / 2));
  CHECK(layers[1]["gamma_over_sigma"][2].get<double>() == near(std::max(ratios[0], ratios[1])));
}

TEST_CASE("page's figures: a regression, and means over seeds") {
  const TempFolder folder;
  const std::string data = folder / "data";
  const auto parts = write_numbers(data);
  std::vector<std::string> runs;
  for (const char* seed : {"0", "1", "2"}) {
    runs.push_back(folder / ("seed" + std::string(seed)));
    ballast_program({"train", "--data", data, "--task", "regression", "--model", "linear 8, act, linear",
                     "--batch-size", "20", "--lr", "0.02", "--epochs", "3", "--seed", seed, "--out",
                     runs.back()});
  }
  const std::vector<Row>& samples = parts.at("test");
  std::vector<double> targets, of_training;
  for (const Row& row : samples) targets.push_back(row.y);
  for (const Row& row : parts.at("train")) of_training.push_back(row.y);
  const double variance = covariance_of(of_training, of_training);
  std::vector<double> scores;
  for (const std::string& run : runs) {
    const Json group = page_data(run + "/report.html")["groups"][0], &test = group["test"];
    CHECK(group["task"] == "values");
    CHECK(names_of(test) == Names{"loss", "r2", "mean_absolute_error", "root_mean_squared_error", "values"});
    const Predictor predict(run + "/best.safetensors");
    const auto found = outputs(predict, samples, {1, 2}, 1);
    double absolute = 0, squared = 0;
    REQUIRE(test["values"].size() == 1);
    const Json& values = test["values"][0];
    CHECK(names_of(values) == Names{"name", "targets", "outputs"});
    CHECK(values["name"] == "y");
    REQUIRE(values["targets"].size() == tested);
    REQUIRE(values["outputs"].size() == tested);
    for (size_t n = 0; n < samples.size(); ++n) {
      CHECK(values["targets"][n].get<double>() == close(samples[n].y));
      CHECK(values["outputs"][n].get<double>() == close(found[n][0]));
      absolute += std::abs(found[n][0] - samples[n].y) / tested;
      squared += std::pow(found[n][0] - samples[n].y, 2) / tested;
    }
    scores.push_back(1 - squared / covariance_of(targets, targets));
    CHECK(test["r2"].get<double>() == close(scores.back()));
    CHECK(test["mean_absolute_error"].get<double>() == close(absolute));
    CHECK(test["root_mean_squared_error"].get<double>() == close(std::sqrt(squared)));
    CHECK(test["loss"].get<double>() == close(squared / variance));
    CHECK(group["results"]["test_score"]["mean"] == test["r2"]);
    // The best epoch is the one of least validation loss.
    std::vector<double> losses;
    for (const Json& line : lines_of(run + "/metrics.jsonl"))
      losses.push_back(line["val_loss"].get<double>());
    CHECK(group["results"]["val_loss"]["mean"].get<double>() ==
          *std::min_element(losses.begin(), losses.end()));
    const auto of_val = outputs(predict, parts.at("val"), {1, 2}, 1);
    double val = 0;
    for (size_t n = 0; n < of_val.size(); ++n)
      val += std::pow(of_val[n][0] - parts.at("val")[n].y, 2) / tested / variance;
    CHECK(group["results"]["val_loss"]["mean"].get<double>() == close(val));
    CHECK(group["curves"]["val_accuracy"]["y"] == Json({nullptr, nullptr, nullptr}));
  }

  ballast_program({"report", runs[0], runs[1], runs[2], "-o", folder / "page.html"});
  const Json group = page_data(folder / "page.html")["groups"][0];
  CHECK(group["runs"] == Json({"seed0", "seed1", "seed2"}));
  for (size_t epoch = 0; epoch < 3; ++epoch)
    for (const char* name : {"train_loss", "val_loss"}) {
      std::vector<double> values;
      for (const std::string& run : runs)
        values.push_back(lines_of(run + "/metrics.jsonl")[epoch][name].get<double>());
      const Json& curve = group["curves"][name];
      CHECK(curve["y"][epoch].get<double>() == doctest::Approx(mean_of_all(values)));
      CHECK(curve["low"][epoch] == *std::min_element(values.begin(), values.end()));
      CHECK(curve["high"][epoch] == *std::max_element(values.begin(), values.end()));
    }
  const auto check_result = [&](const char* name, const std::vector<double>& values) {
    CAPTURE(name);
    CHECK(group["results"][name]["mean"].get<double>() == doctest::Approx(mean_of_all(values)));
    CHECK(group["results"][name]["deviation"].get<double>() ==
          doctest::Approx(std::sqrt(covariance_of(values, values) * 3 / 2)));
  };
  std::map<std::string, std::vector<double>> values;
  for (const std::string& run : runs) {
    const Json summary = Json::parse(read_all(run + "/summary.json"));
    values["test_score"].push_back(summary["test"]["r2"].get<double>());
    for (const char* name : {"val_loss", "epoch"})
      values[name].push_back(summary["best"][name].get<double>());
    for (const char* name : {"seconds", "images_per_s"})
      values[name].push_back(summary["final"][name].get<double>());
  }
  for (const auto& [name, of_runs] : values) check_result(name.c_str(), of_runs);
  CHECK(group["results"]["val_accuracy"] == Json({{"mean", nullptr}, {"deviation", nullptr}}));
}
