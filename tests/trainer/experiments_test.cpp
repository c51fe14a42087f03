// Experiments: statistics over seeds, tables, verdicts, and grids that are stopped and resumed.
#include <doctest/doctest.h>

#include <atomic>
#include <cmath>

#include <ballast/core/random.h>

#include "../temp_folder.h"
#include "../threads.h"
#include "experiments/experiment.h"
#include "experiments/show.h"
#include "page_data.h"

using namespace ballast;
using namespace ballast::app;
using namespace ballast::app::experiments;

namespace {

const GridAxis norms{"norm", {"none", "batch"}}, rates{"lr", {"0.1", "1"}};

Outcome outcome(const std::string& norm, const std::string& lr, uint64_t seed, double accuracy) {
  return {{{"norm", norm}, {"lr", lr}},
          seed,
          {{{"accuracy", accuracy}}, {{"loss", {accuracy, 2 * accuracy}}}},
          1};
}

const Results& results() {
  static const Results all({outcome("none", "0.1", 0, 90), outcome("none", "0.1", 1, 94),
                            outcome("none", "1", 0, NAN), outcome("none", "1", 1, 50),
                            outcome("batch", "0.1", 0, 96), outcome("batch", "0.1", 1, 97)});
  return all;
}

/// Whose runs give a number of their setting, seed and random state, and can fail.
struct Fake {
  std::atomic<int> runs = 0;
  std::atomic<int> fails_at = -1;
  Experiment experiment{.name = "fake",
                        .settings = grid({norms, rates}),
                        .run =
                            [this](const Trial& trial) {
                              if (runs++ == fails_at) throw ValueError("stopped");
                              const double value =
                                  trial.setting.number("lr") + static_cast<double>(rand({1}).item());
                              return Figures{{{"value", value}, {"lost", NAN}}, {{"curve", {value, NAN}}}};
                            },
                        .judge = [](const Results&) { return Findings{}; }};
};

}  // namespace

TEST_CASE("experiments: mean, deviation, median and range over seeds, of which one NaN makes NaN") {
  const OverSeeds four{{1, 2, 4, 9}};
  CHECK(four.mean() == 4);
  CHECK(four.deviation() == doctest::Approx(std::sqrt((9.0 + 4 + 0 + 25) / 3)));
  CHECK(four.median() == 3);
  CHECK(four.least() == 1);
  CHECK(four.largest() == 9);
  CHECK(four.reaching(4) == 2);
  CHECK(four.text(1) == "4.0 ± 3.6");
  CHECK(OverSeeds{{3, 1, 2}}.median() == 2);
  CHECK(OverSeeds{{2.5}}.text(1) == "2.5");

  CHECK(four.error() == doctest::Approx(four.deviation() / 2));
  CHECK(difference(four, OverSeeds{{1, 1, 1, 10}}).all == std::vector<double>{0, 1, 3, -1});
  CHECK_THROWS_AS(difference(four, OverSeeds{{1}}), ValueError);
  CHECK(with_error(0.5, 0.2, 1, "points") == "0.50 points, standard error 0.20");
  CHECK(
      with_error(0.5, 0.3, 1, "points").starts_with("0.50 points, standard error 0.30: within two of these"));

  const OverSeeds lost{{NAN, 3}};
  for (const double figure : {lost.mean(), lost.least(), lost.largest(), lost.median()})
    CHECK(std::isnan(figure));
  CHECK(lost.reaching(1) == 1);
  CHECK(lost.text() == "NaN in 1 of 2");
  CHECK(OverSeeds{{NAN, NAN}}.text() == "NaN");
  CHECK(std::isnan(OverSeeds{}.mean()));
}

TEST_CASE("experiments: settings of a grid are found by some of their entries") {
  const std::vector<Setting> all = grid({norms, rates});
  CHECK(all.size() == 4);
  CHECK(all[1].text() == "norm=none lr=1");
  CHECK(all[1].number("lr") == 1);
  CHECK_THROWS_AS(all[1]["depth"], ValueError);

  CHECK(results().mean({{"norm", "none"}, {"lr", "0.1"}}, "accuracy") == 92);
  CHECK(results().of({{"norm", "batch"}}, "accuracy").all == std::vector<double>{96, 97});
  CHECK_THROWS_AS(results().of({{"norm", "layer"}}, "accuracy"), ValueError);
  CHECK(results().of_if_any({{"norm", "layer"}}, "accuracy").all.empty());
}

TEST_CASE("experiments: a curve over seeds has mean, least and largest, and leaves NaNs out") {
  const Series curve = results().curve({{"norm", "none"}}, "loss", {0, 1, 2}, "none");
  CHECK(curve.y[0] == (90.0 + 94 + 50) / 3);
  CHECK(curve.low[1] == 100);
  CHECK(curve.high[1] == 188);
  CHECK(std::isnan(curve.y[2]));
}

TEST_CASE("experiments: a table has the reference below what was measured, and blanks where nothing was") {
  const Table table = table_of(results(), {.title = "t",
                                           .rows = norms,
                                           .columns = rates,
                                           .value = "accuracy",
                                           .decimals = 0,
                                           .reference = {{"none", {"91", "NaN"}}}});
  CHECK(table.columns == std::vector<std::string>{"norm \\ lr", "0.1", "1"});
  REQUIRE(table.rows.size() == 3);
  CHECK(table.rows[0] == std::vector<std::string>{"none", "92 ± 3", "NaN in 1 of 2"});
  CHECK(table.rows[1] == std::vector<std::string>{"  reference", "91", "NaN"});
  CHECK(table.rows[2] == std::vector<std::string>{"batch", "96 ± 1", ""});
}

TEST_CASE("experiments: a claim of which a part fails holds in part") {
  CHECK(verdict({.claim = {{"a", true}, {"b", true}}}) == "holds");
  CHECK(verdict({.claim = {{"a", true}, {"b", false}, {"c", false}}}) ==
        "holds in part, not that b, nor that c");
  CHECK(verdict({.claim = {{"a", false}, {"b", false}}}) == "doesn't hold");
  CHECK(verdict({.checks = {{"x", "7", true}, {"y", "7", false}}}) == "holds in part");
  CHECK(verdict({.checks = {{"x", "7", true}}}) == "holds");
  CHECK(verdict({.checks = {{"x", "7", false}}}) == "doesn't hold");
}

TEST_CASE("experiments: verdicts and reasons are shown, but not of a quick look") {
  const Experiment experiment{.name = "fake", .claim = "A claim"};
  const Images images{};
  GridOptions options;
  Shown shown{experiment, images, options, results(), {}};
  shown.findings = {.tables = {{"", {"a"}, {{"1"}}}},
                    .checks = {{"x is small", "7", false, "it is not"}},
                    .claim = {{"it is small", false}}};
  CHECK(heading(shown) == "A claim: doesn't hold");
  CHECK(text_of(shown).find("does not hold  x is small: 7\n") != std::string::npos);
  CHECK(text_of(shown).find("why: it is not\n") != std::string::npos);
  CHECK(markdown_of(shown, "").find("| x is small (it is not) | 7 | **does not hold** |\n") !=
        std::string::npos);
  const TempFolder folder;
  write_report(folder / "report.html", shown);
  const auto sections = page_data(folder / "report.html", "sections")["sections"];
  REQUIRE(sections.size() == 3);
  const auto facts = sections[0]["blocks"][0]["facts"];
  REQUIRE(facts.is_array());
  CHECK(facts[3] == nlohmann::ordered_json::array({"seeds", "3"}));
  CHECK(sections[1]["blocks"][0]["rows"].size() == 1);
  options.quick = true;
  CHECK(heading(shown) == "A claim");
  CHECK(text_of(shown).find("does not hold") == std::string::npos);
  CHECK(markdown_of(shown, "").find("does not hold") == std::string::npos);
}

TEST_CASE(
    "experiments: a grid that was stopped goes on with the runs that are missing, to the same figures") {
  const Threads one(1);  // so that no other run is under way when one fails
  const TempFolder folder;
  const Images images{.name = "some", .fingerprint = "1"};
  Fake whole;
  const Results expected = run_grid(whole.experiment, images, {folder / "whole", 2});
  CHECK(whole.runs == 8);
  CHECK(expected.of({{"lr", "1"}}, "value").all[0] !=
        expected.of({{"lr", "1"}}, "value").all[1]);  // two seeds

  Fake stopped;
  stopped.fails_at = 5;
  CHECK_THROWS_AS(run_grid(stopped.experiment, images, {folder / "stopped", 2}), ValueError);
  stopped.fails_at = -1;
  const int before = stopped.runs;
  CHECK(before < 8);
  const Results resumed = run_grid(stopped.experiment, images, {folder / "stopped", 2});
  CHECK(stopped.runs - before < 8);
  CHECK(stopped.runs - before >= 3);
  REQUIRE(resumed.all().size() == 8);
  for (size_t i = 0; i < 8; ++i) {
    CHECK(resumed.all()[i].setting.text() == expected.all()[i].setting.text());
    CHECK(resumed.all()[i].figures.values.at("value") == expected.all()[i].figures.values.at("value"));
    CHECK(std::isnan(resumed.all()[i].figures.values.at("lost")));  // null in the file
    CHECK(resumed.all()[i].figures.curves.at("curve").size() == 2);
  }
  const int after = stopped.runs;
  run_grid(stopped.experiment, images, {folder / "stopped", 2});
  CHECK(stopped.runs == after);
}

TEST_CASE("experiments: kept runs of other data or another revision are refused") {
  const TempFolder folder;
  Fake fake;
  run_grid(fake.experiment, {.name = "some", .fingerprint = "1"}, {folder / "a", 1});
  CHECK_THROWS_AS(run_grid(fake.experiment, {.name = "some", .fingerprint = "2"}, {folder / "a", 1}),
                  ValueError);
  CHECK_THROWS_AS(run_grid(fake.experiment, {.name = "some", .fingerprint = "1"}, {folder / "a", 1, true}),
                  ValueError);
  fake.experiment.revision = 2;
  CHECK_THROWS_AS(run_grid(fake.experiment, {.name = "some", .fingerprint = "1"}, {folder / "a", 1}),
                  ValueError);
}

TEST_CASE("experiments: a line of a picture is broken where there is no number, and scaled by logarithms") {
  const Plot plot{"t", {"x", true}, {"y < 1", false, 0, 100}, {{"s", {1, 10, 100, 1000}, {0, 50, NAN, 100}}}};
  const std::string svg = svg_of(plot);
  CHECK(svg.find("<path d=\"M64.0 352.0L232.7 193.0M570.0 34.0\"") != std::string::npos);
  CHECK(svg.find("y &lt; 1") != std::string::npos);
  const std::string near = svg_of({"t", {"x"}, {"y", true}, {{"s", {0, 1}, {3, 30}}}});
  for (const char* tick : {">5<", ">10<", ">20<"}) CHECK(near.find(tick) != std::string::npos);
  CHECK(near.find(">2<") == std::string::npos);
}

TEST_CASE("experiments: each has what its page and its list need") {
  for (const Experiment* experiment : all_experiments()) {
    CAPTURE(experiment->name);
    CHECK(experiment->run);
    CHECK(experiment->judge);
    CHECK(experiment->seeds >= 3);
    CHECK(!experiment->settings.empty());
    for (const std::string& text :
         {experiment->claim, experiment->source, experiment->setup, experiment->reference})
      CHECK(!text.empty());
  }
}
