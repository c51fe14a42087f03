// Tables as samples and targets.
#include "trainer/table.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <string>

#include <ballast/core/check.h>
#include <ballast/data/atomic_file.h>

#include "../temp_folder.h"
#include "trainer/data.h"

using namespace ballast;
using namespace ballast::app;

namespace {

CsvTable table_of(const std::string& text, const CsvOptions& options = {}) {
  const TempFolder folder;
  const std::string path = folder / "table.csv";
  write_file_atomically(path, text);
  return read_csv(path, options);
}

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const ValueError& error) {
    return error.message;
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

constexpr auto houses = "area,town,rooms,price\n50,B,2,100.5\n80,A,3,200.25\n20,C,1,50\n";

}  // namespace

TEST_CASE("table: numbers are one value, categories one of several, the last column is the target") {
  const CsvTable table = table_of(houses);
  const TableSchema schema = schema_of(table, {});
  CHECK(schema.width() == 5);
  CHECK(schema.shape == Shape{5});
  CHECK(!schema.classes());
  const Dataset data = table_dataset(table, schema);
  CHECK(data.size == 3);
  CHECK(data.kind == TargetKind::values);
  CHECK(data.sample(0).x == std::vector<real>{50, 0, 1, 0, 2});
  CHECK(data.sample(1).x == std::vector<real>{80, 1, 0, 0, 3});
  CHECK(data.sample(2).x == std::vector<real>{20, 0, 0, 1, 1});
  CHECK(data.sample(1).values == std::vector<real>{real(200.25)});
  CHECK(data.class_names == std::vector<std::string>{"price"});
}

TEST_CASE("table: texts and whole numbers are classes, unless a regression is wanted") {
  const CsvTable table = table_of(houses);
  const TableSchema towns = schema_of(table, {.label = {"town"}});
  CHECK(towns.targets[0].texts == std::vector<std::string>{"A", "B", "C"});
  CHECK(table_dataset(table, towns).sample(2).label() == 2);
  const TableSchema rooms = schema_of(table, {.label = {"rooms"}});
  CHECK(rooms.targets[0].texts == std::vector<std::string>{"1", "2", "3"});
  CHECK(table_dataset(table, rooms).sample(0).label() == 1);
  const TableSchema quantity = schema_of(table, {.label = {"rooms"}, .task = "regression"});
  CHECK(table_dataset(table, quantity).sample(0).values == std::vector<real>{2});
  const TableSchema two = schema_of(table, {.label = {"price", "rooms"}});
  CHECK(table_dataset(table, two).sample(0).values == std::vector<real>{real(100.5), 2});
  CHECK(table_dataset(table, two).sample(0).x.size() == 4);
}

TEST_CASE("table: a column called label, class, target or y is the target wherever it stands") {
  CHECK(schema_of(table_of("Class,a\n1,2\n0,3\n"), {}).targets[0].name == "Class");
  CHECK(schema_of(table_of("y,a\n1,2\n0,3\n"), {}).targets[0].name == "y");
  CHECK(schema_of(table_of("z,a\n1,2\n0,3\n"), {}).targets[0].name == "a");
}

TEST_CASE("table: more than 100 whole numbers are quantities") {
  std::string text = "a,b\n";
  for (int n = 0; n < 101; ++n) text += fmt::format("1,{}\n", n);
  CHECK(!schema_of(table_of(text), {}).classes());
  CHECK(schema_of(table_of(text.substr(0, text.rfind("1,100"))), {}).classes());
}

TEST_CASE("table: another table is read by the schema of the first, by the names of its columns") {
  const TableSchema schema = schema_of(table_of(houses), {});
  const CsvTable other = table_of("rooms,town,area\n4,C,60\n");
  CHECK(inputs_of(other, schema) == std::vector<real>{60, 0, 0, 1, 4});
  CHECK(contains(message_of([&] { inputs_of(table_of("rooms,town,area\n4,D,60\n"), schema); }),
                 "line 2: column \"town\": \"D\" isn't among the values that training knew: A, B, C"));
  CHECK(contains(message_of([&] { inputs_of(table_of("rooms,town,arae\n4,A,60\n"), schema); }),
                 "no column \"area\"; did you mean arae?"));
  CHECK(contains(message_of([&] { inputs_of(table_of("rooms,town,area\n4,A,big\n"), schema); }),
                 "it must be of numbers"));
}

TEST_CASE("table: rows of pixels have a shape, and are divided by 255") {
  const CsvTable table = table_of("label,a,b,c,d\n1,0,255,51,102\n0,0,0,0,0\n");
  const TableSchema schema = schema_of(table, {.shape = {1, 2, 2}});
  const Dataset data = table_dataset(table, schema);
  CHECK(data.sample_shape == Shape{1, 2, 2});
  CHECK(data.sample(0).x == std::vector<real>{0, 1, real(51) / 255, real(102) / 255});
  CHECK(contains(message_of([&] { schema_of(table, {.shape = {1, 3, 2}}); }), "6 values"));
}

TEST_CASE("table: what makes no sense is refused by name") {
  const CsvTable table = table_of(houses);
  CHECK(contains(message_of([&] { schema_of(table, {.label = {"prise"}}); }), "did you mean price?"));
  CHECK(contains(message_of([&] { schema_of(table, {.label = {"town"}, .task = "regression"}); }), "texts"));
  CHECK(contains(message_of([&] { schema_of(table, {.task = "classification"}); }), "no classes"));
  CHECK(contains(message_of([&] { schema_of(table_of("a\n1\n2\n"), {}); }), "none to predict from"));
}

TEST_CASE("table: texts that hardly come again are no classes, and of inputs doubtful, as counted rows are") {
  std::string text = "n,back,name,kind,y\n";
  for (int n = 0; n < 40; ++n)
    text += fmt::format("{},{},{}{},k{},{}\n", n + 3, -n, n % 21 % 2 ? "n" : "m", n % 21, n % 20, n % 7);
  const CsvTable table = table_of(text);
  const std::vector<std::string> doubts = doubtful_columns(table, schema_of(table, {}));
  REQUIRE(doubts.size() == 2);
  CHECK(contains(doubts[0], "column \"n\" counts the rows"));
  CHECK(contains(doubts[1], "column \"name\" has 21 different texts in 40 rows"));
  CHECK(
      contains(message_of([&] { schema_of(table, {.label = {"name"}}); }), "21 different texts in 40 rows"));
  CHECK(schema_of(table, {.label = {"kind"}}).classes());
  std::string units = "rent,kind,y\n";
  for (int n = 0; n < 60; ++n) units += fmt::format("{} kg,k{},${}.50\n", n % 22 + 1, n % 3, n % 21);
  const CsvTable unit_table = table_of(units);
  const std::vector<std::string> with_units = doubtful_columns(unit_table, schema_of(unit_table, {}));
  REQUIRE(with_units.size() == 2);
  CHECK(contains(with_units[0], "column \"rent\" has 22 different texts such as \"1 kg\""));
  CHECK(contains(with_units[1], "column \"y\" has 21 different texts such as \"$0.50\""));
  CHECK(doubtful_columns(table_of(houses), schema_of(table_of(houses), {})).empty());
}

TEST_CASE("table: missing values are told by row and column, or have a place of their own") {
  const CsvTable table = table_of("a,town,y\n1,A,5\n,B,6\n3,,7\n4,A,\n", {.allow_missing = true});
  const TableSchema strict = schema_of(table, {});
  const std::vector<RowProblem> problems = row_problems(table, strict, false, true);
  REQUIRE(problems.size() == 3);
  CHECK(problems[0].message == "column \"a\": the value is missing");
  CHECK(problems[0].line == 3);
  CHECK(problems[1].message == "column \"town\": the value is missing");
  CHECK(problems[2].message == "column \"y\": the value is missing");
  CHECK(problems[2].line == 5);
  const MissingValues missing = missing_values(table, strict);
  CHECK(text_of(missing) == "3 of 4 rows lack a value (a 1, town 1, y 1)");
  CHECK(text_of(missing + MissingValues{2, 5, {{"town", 2}, {"z", 1}}}) ==
        "5 of 9 rows lack a value (a 1, town 3, y 1, z 1)");
  CHECK(row_problems(table, strict, false, false).size() == 2);
  CsvTable rest = table;
  remove_rows(rest, problems);
  CHECK(rest.rows == 1);
  CHECK(table_dataset(rest, strict).sample(0).x == std::vector<real>{1, 1, 0});

  TableSchema kept = schema_of(table, {.keep_missing = true});
  CHECK(kept.inputs[1].texts == std::vector<std::string>{"A", "B", ""});
  CHECK(row_problems(table, kept, true, false).empty());
  CHECK(std::isnan(inputs_of(table, kept)[4]));
  kept.inputs[0].fill = 2.5;
  CHECK(inputs_of(table, kept) == std::vector<real>{1, 1, 0, 0, real(2.5), 0, 1, 0, 3, 0, 0, 1, 4, 1, 0, 0});
}

TEST_CASE("table: a date is its number of days, which keeps its hours") {
  const CsvTable table = table_of("sold,price\n2024-05-01 06:00,1.5\n2024-05-01 12:00,2.5\n2024-05-02,3.5\n");
  const TableSchema schema = schema_of(table, {});
  REQUIRE(schema.inputs.size() == 1);
  CHECK(schema.inputs[0].date);
  CHECK(schema.width() == 1);
  const Dataset data = table_dataset(table, schema);
  CHECK(double{data.sample(0).x[0]} + schema.inputs[0].offset == 19844.25);
  CHECK(double{data.sample(1).x[0]} + schema.inputs[0].offset == 19844.5);
  CHECK(doubtful_columns(table_of("day,price\n2024-05-01,1.5\n2024-05-02,2.5\n"),
                         schema_of(table_of("day,price\n2024-05-01,1.5\n2024-05-02,2.5\n"), {}))
            .empty());  // it counts the rows, as dates do
  CHECK(contains(message_of([&] { schema_of(table, {.label = {"sold"}}); }), "its values are dates"));
  CHECK(contains(message_of([&] { inputs_of(table_of("sold\n7\n"), schema); }), "must be of dates"));
  TableSchema numbers = schema;
  numbers.inputs[0].date = false;
  CHECK(contains(message_of([&] { inputs_of(table, numbers); }), "has dates"));
}

TEST_CASE("table: dates in another form are told") {
  const auto doubts = [](const std::string& first, const std::string& second) {
    std::string text = "day,price\n";
    for (int i = 0; i < 30; ++i) text += (i % 2 ? first : second) + fmt::format(",{}.5\n", i * i);
    const CsvTable table = table_of(text);
    return fmt::format("{}", fmt::join(doubtful_columns(table, schema_of(table, {})), "\n"));
  };
  for (const auto& [first, second] :
       {std::pair{"1.5.2024", "31.12.2024"}, {"05/06/24 12:00", "05/07/24"}, {"3-5-2024", "4-5-2024"}})
    CHECK(contains(doubts(first, second), "if these are dates, write them as in 2024-05-01"));
  for (const auto& [first, second] : {std::pair{"1.5.2024", "soon"},
                                      {"a/b/c", "d/e/f"},
                                      {"1-2-3-4", "1-2-3-5"},
                                      {"1/2", "3/4"},
                                      {"1.2.", "1.3."}})
    CHECK(doubts(first, second) == "");
}

TEST_CASE("table: timestamps keep their seconds") {
  const CsvTable table =
      table_of("time,y\n1700000001,1800000003\n1700000002,1800000001\n1700000003,1800000002.5\n");
  const TableSchema schema = schema_of(table, {});
  const std::vector<real> x = inputs_of(table, schema);
  CHECK(x[1] - x[0] == 1);
  CHECK(double{x[2]} + schema.input_offsets()[0] == 1700000003);
  const Dataset data = table_dataset(table, schema);
  CHECK(double{data.sample(2).values[0]} + schema.target_offsets()[0] == 1800000002.5);
  CHECK(schema_of(table_of("a,y\n1,1.5\n1000,2\n"), {}).input_offsets() == std::vector<double>{0});
}

TEST_CASE("table: of the data that a model was trained on the test part is measured, of others all") {
  const TempFolder folder;
  std::string text = "a,y\n";
  for (int n = 0; n < 40; ++n) text += fmt::format("{},{}.5\n", n, n * n % 7);
  write_file_atomically(folder / "t.csv", text);
  DataOptions options;
  options.data = folder / "t.csv";
  const LoadedData trained = load_data(options);
  CHECK(trained.split.test.size == 4);
  const Fingerprint print = fingerprint(trained.split);
  const Dataset again = load_data(options, &trained.schema, &print).split.test;
  REQUIRE(again.size == 4);
  CHECK(again.sample(0).x == trained.split.test.sample(0).x);
  const Fingerprint other = {{"test_size", "4"}};
  CHECK(load_data(options, &trained.schema, &other).split.test.size == 40);
}
