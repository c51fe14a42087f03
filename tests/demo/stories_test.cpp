// The page that trains live: each story ends as its text says, by the code that the page runs.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "demo/demo.h"
#include "demo/interface.h"

using namespace ballast::demo;
using nlohmann::json;

namespace {

// Writes settings by name where the interface reads them.
void put(const json& settings) {
  std::istringstream words(demo_setting_names());
  int place = 0;
  for (std::string word; words >> word; ++place) {
    const size_t equals = word.find('=');
    const json& value = settings.at(word.substr(0, equals));
    if (value.is_number()) {
      demo_settings()[place] = value;
      continue;
    }
    std::istringstream values(word.substr(equals + 1));
    int number = 0;
    for (std::string name; std::getline(values, name, ',') && name != value; ++number) {
    }
    demo_settings()[place] = number;
  }
}

void start(const json& settings) {
  put(settings);
  REQUIRE(std::string(demo_start()).empty());
}

json stories() {
  std::ifstream file(BALLAST_STORIES);
  return json::parse(file);
}

json merged(json settings, const json& changes) {
  settings.update(changes);
  return settings;
}

}  // namespace

TEST_CASE("stories: each ends as its text says") {
  const json all = stories();
  REQUIRE(all["stories"].size() == 5);
  for (const json& story : all["stories"]) {
    json runs = story.value("besides", json::array());
    runs.push_back(story);
    for (const json& run : runs) {
      start(merged(merged(all["defaults"], story["settings"]), run["settings"]));
      REQUIRE(std::string(demo_train(run.value("steps", story["steps"].get<int>()), 0)).empty());
      for (const json& end : run["ends"]) {
        const double share = demo_test_accuracy(end["side"] == "left" ? 0 : 1);
        CAPTURE(story["name"].get<std::string>());
        CAPTURE(end.dump());
        CHECK(share >= end.value("at_least", 0.0));
        CHECK(share <= end.value("at_most", 1.0));
      }
    }
  }
}

TEST_CASE("stories: what they say of spreads and of lengths of weights") {
  const json all = stories();
  const int per_layer = 4 + 2 * static_cast<int>(quantile_count);
  const auto figure = [&](int side, int depth, int layer, int which) {
    return demo_record()[side * (2 + depth * per_layer) + 2 + layer * per_layer + which];
  };
  const auto run = [&](const json& story, const json& changes) {
    start(merged(merged(all["defaults"], story["settings"]), changes));
    REQUIRE(std::string(demo_train(story["steps"], 1)).empty());
  };
  run(all["stories"][0], json::object());
  for (int layer = 0; layer < 5; ++layer) {
    CAPTURE(layer);
    CHECK(figure(1, 5, layer, 2) > 1);
    CHECK(figure(1, 5, layer, 2) < 2);
    if (layer == 0) continue;
    CHECK(figure(0, 5, layer, 2) / figure(0, 5, layer - 1, 2) == doctest::Approx(1.0 / 3).epsilon(0.1));
  }
  CHECK(figure(0, 5, 4, 0) > 10 * figure(0, 5, 0, 0));  // the gradient, on its way back
  run(all["stories"][1], json::object());
  CHECK(figure(1, 4, 0, 1) == doctest::Approx(20).epsilon(0.1));  // 10 at first
  for (int layer = 0; layer < 4; ++layer) CHECK(figure(0, 4, layer, 0) == 0);
  run(all["stories"][1], {{"lr", 0.1}});
  CHECK(figure(1, 4, 0, 1) < 12);
}

TEST_CASE("both networks begin with the same weights, whatever their norms") {
  Demo demo({.depth = 3, .width = 20, .sides = {Side{}, Side{.norm = Norm::weight}}});
  Demo other({.depth = 3, .width = 20, .sides = {Side{.norm = Norm::batch}, Side{.norm = Norm::rms}}});
  std::map<std::string, std::vector<float>> first;
  for (Demo* one : {&demo, &other}) {
    for (int side : {0, 1}) {
      ballast::for_each_parameter(one->side(side).network, [&](std::string path, ballast::Parameter& p) {
        if (p.shape().rank() != 2 || path.ends_with("_g")) return;
        if (path.ends_with("_v")) path.resize(path.size() - 2);
        const auto values = p.value().values();
        const auto [known, added] = first.try_emplace(path, values.begin(), values.end());
        CAPTURE(path);
        CHECK(std::equal(values.begin(), values.end(), known->second.begin()));
        CHECK(std::any_of(values.begin(), values.end(), [](float w) { return w != 0; }));
      });
    }
  }
  CHECK(first.size() == 4);
}

TEST_CASE("the record: loss, and for each layer gradient and ordered quantiles") {
  json settings =
      merged(stories()["defaults"], {{"depth", 2}, {"left.norm", "batch"}, {"right.norm", "none"}});
  start(settings);
  REQUIRE(std::string(demo_train(1, 1)).empty());
  const float* record = demo_record();
  const int per_layer = 4 + 2 * static_cast<int>(quantile_count), per_side = 2 + 2 * per_layer;
  for (int side : {0, 1}) {
    const float* of_side = record + side * per_side;
    CHECK(of_side[0] > 1.5F);
    CHECK(of_side[0] < 6.0F);
    for (int layer : {0, 1}) {
      const float* at = of_side + 2 + layer * per_layer;
      CHECK(at[0] > 0);
      CHECK(at[1] ==
            doctest::Approx(10).epsilon(0.03));  // 50 units whose weights have a variance of 2 / inputs
      CHECK((at[2] == doctest::Approx(1).epsilon(0.01)) ==
            (side == 0));  // batch norm's, before it has learned
      CHECK(at[3] > 0);
      CHECK(at[3] < at[2]);
      CHECK(std::is_sorted(at + 4, at + 4 + quantile_count));
      CHECK(at[4] < 0);                    // what enters ReLU
      CHECK(at[4 + quantile_count] == 0);  // what leaves it
    }
  }
}

TEST_CASE("a digit alone in its batch gets the same answer, whatever it is") {
  start(merged(stories()["defaults"], {{"depth", 2}, {"left.norm", "batch"}, {"left.evaluation", "batch"}}));
  demo_train(20, 0);
  std::map<int, std::vector<float>> answers;
  for (int image : {0, 1}) {
    CHECK(demo_test_image(image) != demo_test_image(image + 2));
    demo_test_image(image);
    for (int side : {0, 1}) {
      const float* p = demo_classify(side);
      answers[2 * side + image].assign(p, p + 10);
    }
  }
  CHECK(answers[0] == answers[1]);
  CHECK(answers[2] != answers[3]);
}

TEST_CASE("settings out of range are an error with a text") {
  put(merged(stories()["defaults"], {{"batch_size", 1}}));
  CHECK(std::string(demo_start()) == "a batch of 1; give at least 2");
  put(merged(stories()["defaults"], {{"depth", 0}}));
  CHECK(std::string(demo_start()) == "a depth of 0; give 1 to 20");
}
