#include <doctest/doctest.h>
#include <fmt/format.h>

#include <clocale>
#include <cmath>
#include <string>
#include <vector>

#include <ballast/data/csv.h>

#include "malformed.h"

using namespace ballast;
using namespace std::string_literals;

namespace {

CsvTable read(const std::string& text, const CsvOptions& options = {}) {
  const TempFolder folder;
  return read_csv(write(folder, "x.csv", text), options);
}

using Numbers = std::vector<double>;
using Categories = std::vector<int32_t>;
using Texts = std::vector<std::string>;

Texts names(const CsvTable& table) {
  Texts all;
  for (const CsvColumn& column : table.columns) all.push_back(column.name);
  return all;
}

struct Case {
  std::string id, code, text, place;
  CsvOptions options = {};
};

std::vector<Case> corpus() {
  std::string wide;
  for (int i = 0; i < 100'001; ++i) wide += "1,";
  std::string many = "text\n";
  for (int i = 0; i < 100'001; ++i) many += "t" + std::to_string(i) + "\n";
  CsvOptions classes;
  classes.classes = "y";
  return {
      {"V1", "EMPTY", "", ""},
      {"V1 blank lines", "EMPTY", "\n\r\n \n", ""},
      {"V1 nothing but a header", "EMPTY", "x,y\n", ""},
      {"V1 nothing but a byte-order mark", "EMPTY", "\xef\xbb\xbf", ""},
      {"V2", "COLUMNS", "x,y\n1,2\n3\n", "line 3"},
      {"V2 more fields", "COLUMNS", "x,y\n1,2\n3,4,5\n", "line 3"},
      {"V2 after a field of two lines", "COLUMNS", "x,y\n\"a\nb\",2\nc\n", "line 4"},
      {"V2 of tabs", "COLUMNS", "x\ty\n1\t2\n3\n", "line 3"},
      {"V2 of semicolons", "COLUMNS", "1;2\n3\n", "line 2"},
      {"V2 after blank lines", "COLUMNS", "1,2\n\n\n3\n", "line 4"},
      {"V2 a comma at the end", "COLUMNS", "x,y\n1,2\n3,4,\n", "line 3"},
      {"V2 two columns of one name", "COLUMNS", "x,x\n1,2\n", "line 1"},
      {"V3", "VALUE", "x,y\n1,2\nabc,4\n", "line 3"},
      {"V3 hexadecimal", "VALUE", "x,y\n1,2\n0x10,4\n", "line 3"},
      {"V3 two numbers", "VALUE", "x,y\n1,2\n1 2,4\n", "line 3"},
      {"V3 a decimal comma and a decimal point", "VALUE", "x;y\n1,5;2\n3;2.5\n", "line 3"},
      {"V3 a decimal point and a decimal comma", "VALUE", "x\ty\n1\t2.5\n1,5\t2\n", "line 3"},
      {"V3 a decimal comma between commas", "VALUE", "x,y\n\"1,5\",2\n", "line 2"},
      {"V3 separators of thousands", "VALUE", "x;y\n1,5;2\n1.234,5;2\n", "line 3"},
      {"V3 two commas", "VALUE", "x;y\n1;2\n1,234,5;2\n", "line 3"},
      {"V3 minus alone", "VALUE", "x,y\n1,2\n-,4\n", "line 3"},
      {"V4", "VALUE", "x,y\n1,2\n,4\n", "line 3"},
      {"V4 at the end", "VALUE", "x,y\n1,2\n3,\n", "line 3"},
      {"V4 NA", "VALUE", "x,y\n1,2\n3,NA\n", "line 3"},
      {"V4 ?", "VALUE", "x,y\n1,2\n3, ?\n", "line 3"},
      {"V5", "VALUE", "x,y\n1,2\nnan,4\n", "line 3"},
      {"V5 inf", "VALUE", "x,y\n1,2\ninf,4\n", "line 3"},
      {"V5 -inf first", "VALUE", "x,y\n-inf,2\n", "line 2"},
      {"V6", "VALUE", "x,y\n1,2\n1e999,4\n", "line 3"},
      {"V6 first", "VALUE", "x,y\n-1e999,2\n", "line 2"},
      {"V7", "VALUE", "x,y\n1,2\n3\0,4\n"s, "line 3"},
      {"V7 in quotes", "VALUE", "x,y\n1,\"\0\"\n"s, "line 2"},
      {"V7 UTF-16", "VALUE", "\xff\xfex\0,\0y\0\n\0"s, "line 1"},
      {"V8", "VALUE", "x,y\n1,2\n3,2.5\n", "line 3", classes},
      {"V9", "LIMIT", std::string(100 << 20, '1'), "line 1"},
      {"V9 in quotes", "LIMIT", "1\n\"" + std::string(100 << 20, '\n'), "line 2"},
      {"V9 columns", "LIMIT", wide, "line 1"},
      {"V9 texts", "LIMIT", many, "line 100002"},
      {"V10", "QUOTE", "x,y\n1,\"2\n3,4\n5,6\n", "line 2"},
      {"V10 at the end", "QUOTE", "x,y\n1,\"", "line 2"},
      {"V10 a doubled quote at the end", "QUOTE", "x,y\n1,\"2\"\"", "line 2"},
      {"V10 text behind", "QUOTE", "x,y\n1,\"a\"b\n", "line 2"},
      {"UTF-8", "UTF8", "x,y\n1,caf\xe9\n", "line 2"},
      {"UTF-8 name", "UTF8", "x,\xe9t\xe9\n1,2\n", "line 1"},
      {"a web page", "MAGIC", "<!DOCTYPE html>", ""},
      {"gzip cut", "TRUNC", "\x1f\x8b\x08", ""},
  };
}

}  // namespace

TEST_CASE("csv: malformed files are refused, each for its reason") {
  const TempFolder folder;
  for (const Case& c : corpus()) {
    INFO(c.id);
    if (!c.options.classes) leave_for_program("csv", c.text);
    const std::string path = write(folder, "x.csv", c.text);
    std::string message;
    const auto file_mib = static_cast<int64_t>(c.text.size() >> 20);
    CHECK(peak_mib([&] { message = refusal(c.code, [&] { read_csv(path, c.options); }); }) <=
          2 * file_mib + 64);
    INFO(message);
    CHECK(message.starts_with(path + ": "));
    if (!c.place.empty()) CHECK(message.ends_with(c.place));
  }
}

TEST_CASE("csv: numbers and texts, with a header and without") {
  const CsvTable table = read("a,b,kind\n1,-2.5,x\n3e2,.5,y\n+4,6.,x\n");
  CHECK(table.rows == 3);
  CHECK(names(table) == Texts{"a", "b", "kind"});
  CHECK(table.columns[0].numbers == Numbers{1, 300, 4});
  CHECK(table.columns[1].numbers == Numbers{-2.5, 0.5, 6});
  CHECK(table.columns[2].is_text);
  CHECK(table.columns[2].texts == Texts{"x", "y"});
  CHECK(table.columns[2].categories == Categories{0, 1, 0});

  const CsvTable bare = read("1,2\n3,4");
  CHECK(bare.rows == 2);
  CHECK(names(bare) == Texts{"column 0", "column 1"});
  CHECK(bare.columns[1].numbers == Numbers{2, 4});
  CHECK(read("5.1,a\n4.9,b\n").rows == 2);
  CHECK(read("7\n8\n").columns[0].numbers == Numbers{7, 8});
  CHECK(read("1,2\n3,4\n", {.header = true}).rows == 1);
  CHECK(read("a,b\nc,d\n", {.header = false}).rows == 2);
  CHECK(names(read(",a\n0,5\n")) == Texts{"column 0", "a"});  // as pandas writes its index
}

TEST_CASE("csv: a byte-order mark, CRLF, CR and blank lines pass") {
  for (const std::string& text :
       {"\xef\xbb\xbfx,y\r\n1,2\r\n3,4\r\n"s, "x,y\r1,2\r3,4"s, "\n\nx , y\n\n1, 2\n3 ,4\n \n"s}) {
    const CsvTable table = read(text);
    CHECK(names(table) == Texts{"x", "y"});
    CHECK(table.columns[0].numbers == Numbers{1, 3});
    CHECK(table.columns[1].numbers == Numbers{2, 4});
  }
}

TEST_CASE("csv: the locale doesn't matter") {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  for (const char* locale : {"de_DE.UTF-8", "de_DE", "C"}) {
    std::setlocale(LC_ALL, locale);  // where it isn't installed, nothing changes
    CHECK(read("x\n1.5\n2.25e1\n").columns[0].numbers == Numbers{1.5, 22.5});
  }
  std::setlocale(LC_ALL, before.c_str());
}

TEST_CASE("csv: the delimiter is found or given") {
  CHECK(read("x\ty\n1\t2\n").columns[1].numbers == Numbers{2});
  CHECK(read("x;y\n1;2\n").columns[1].numbers == Numbers{2});
  const CsvTable sentences = read("a\tb\nIt is, I think, so\t1\nNo\t2\n");
  CHECK(sentences.columns[0].texts == Texts{"It is, I think, so", "No"});
  CHECK(read("x,y\n\"a;b\",1\n").columns.size() == 2);
  CHECK(read("x|y\n1|2\n", {.delimiter = '|'}).columns[1].numbers == Numbers{2});
}

TEST_CASE("csv: a decimal comma, where none separates the fields") {
  const CsvTable table = read("a;b;n;t\r\n1,5;-0,25;3;x, y\r\n2;,5e1;4;1,5\r\n");
  CHECK(table.columns[0].numbers == Numbers{1.5, 2});
  CHECK(table.columns[1].numbers == Numbers{-0.25, 5});
  CHECK(table.columns[2].numbers == Numbers{3, 4});
  CHECK(table.columns[3].texts == Texts{"1,5", "x, y"});
  CHECK(read("a\tb\n1,5\t2\n").columns[0].numbers == Numbers{1.5});
}

TEST_CASE("csv: dates are days since 1970-01-01") {
  const CsvTable table = read(
      "day,time,x\n1970-01-02,1970-01-01T06:00,1\n2024-02-29,1969-12-31 "
      "18:00:00.0Z,2\n,1970-01-01T12:00+06:30,3\n"
      "0000-03-01,1970-01-01 00:00:01.5-0130,4\n",
      {.allow_missing = true});
  CHECK(names(table) == Texts{"day", "time", "x"});
  CHECK(table.columns[0].is_date);
  CHECK(!table.columns[0].is_text);
  CHECK(!table.columns[2].is_date);
  const Numbers &days = table.columns[0].numbers, &times = table.columns[1].numbers;
  REQUIRE(days.size() == 4);
  CHECK(days[0] == 1);
  CHECK(days[1] == 19782);
  CHECK(std::isnan(days[2]));
  CHECK(days[3] == -719468);  // Hinnant 2021, "chrono-Compatible Low-Level Date Algorithms"
  CHECK(times[0] == 0.25);
  CHECK(times[1] == -0.25);
  CHECK(times[2] == doctest::Approx(5.5 / 24));
  CHECK(times[3] == doctest::Approx((1.5 + 90 * 60) / 86400));
  for (const char* none :
       {"2024-5-1", "2023-02-29", "2024-13-01", "01.05.2024", "2024-05-01T", "2024-05-01 24:00",
        "2024-05-01T12:30x", "2024-05-01T12:30Zx", "2024-05-01T12:30:", "2024-05-01T12:30+0", "20240501x"})
    CHECK_MESSAGE(read(fmt::format("d,x\n{},1\n", none)).columns[0].is_text, none);
  CHECK(refusal("VALUE", [] {
          read("d,x\n2024-05-01,1\nsoon,2\n");
        }).ends_with("'soon' is no date such as 2024-05-01 or 2024-05-01 12:30 at line 3"));
  CHECK(refusal("VALUE", [] { read("d,x\n7,1\n", {.dates = {"d"}}); }).find("'7'") != std::string::npos);
  CHECK(refusal("VALUE", [] { read("d,x\n7,1\n2024-05-01,1\n"); }).find("no finite number") !=
        std::string::npos);
}

TEST_CASE("csv: columns of too many texts are left out and named, on request") {
  std::string text = "a,id,b\n";
  for (int n = 0; n < 100'002; ++n) text += fmt::format("{},x{},y\n", n, n);
  const CsvTable table = read(text, {.skip_long_columns = true});
  CHECK(names(table) == Texts{"a", "b"});
  CHECK(table.long_columns == Texts{"id"});
  CHECK(table.rows == 100'002);
}

TEST_CASE("csv: quoted fields") {
  const CsvTable table = read(
      "\"a,1\",b\n\"x, y\",1\n\"say \"\"so\"\"\",2\n\"two\r\nlines\" ,3\n\" kept \",\"4\"\n\"\"\"\",5\n");
  CHECK(names(table) == Texts{"a,1", "b"});
  CHECK(table.columns[0].texts == Texts{" kept ", "\"", "say \"so\"", "two\nlines", "x, y"});
  CHECK(table.columns[0].categories == Categories{4, 2, 3, 0, 1});
  CHECK(table.columns[1].numbers == Numbers{1, 2, 3, 4, 5});
  CHECK(read("a,b\n5\" disk,1\n").columns[0].texts == Texts{"5\" disk"});
}

TEST_CASE("csv: missing values are kept as such on request") {
  const CsvTable table = read("a,b\n,x\n1,?\nNA,y\nnan,\n2,x\n", {.allow_missing = true});
  for (const char* missing : {"N/A", "n/a", "NaN", "NULL", "null", "None", "<NA>", "#N/A"})
    CHECK(std::isnan(
        read(fmt::format("a,b\n{},1\n2,1\n", missing), {.allow_missing = true}).columns[0].numbers.at(0)));
  const Numbers& a = table.columns[0].numbers;
  REQUIRE(a.size() == 5);
  CHECK(std::isnan(a[0]));
  CHECK(a[1] == 1);
  CHECK(std::isnan(a[2]));
  CHECK(std::isnan(a[3]));
  CHECK(a[4] == 2);
  CHECK(table.columns[1].categories == Categories{0, -1, 1, -1, 0});
}

TEST_CASE("csv: columns are named by the options") {
  const CsvTable table =
      read("id,code,y\na,7,2\nb,x,10\nc,7,2\n", {.text = {"1"}, .ignore = {"id"}, .classes = "-1"});
  CHECK(names(table) == Texts{"code", "y"});
  CHECK(table.columns[0].texts == Texts{"7", "x"});
  CHECK(table.columns[1].texts == Texts{"2", "10"});  // as numbers, not as texts
  CHECK(table.columns[1].categories == Categories{0, 1, 0});
  CHECK(table.find("y") == 1);
  CHECK(table.find("0") == 0);
  CHECK(table.find("-1") == 1);
  for (const std::string wrong : {"z", "2", "-3", ""}) CHECK_THROWS_AS(table.find(wrong), ValueError);
  CHECK_THROWS_WITH_AS(read("x,y\n1,2\n", {.ignore = {"z"}}), "no column is called 'z'; there are 'x', 'y'",
                       ValueError);
}

TEST_CASE("csv: a header is told from values by the types of the columns") {
  const auto head_of = [](const std::string& text) {
    const TempFolder folder;
    const CsvHead head = read_csv_head(write(folder, "x.csv", text));
    return std::string(head.header ? "header" : "values") + (head.in_doubt ? "?" : "");
  };
  CHECK(head_of("a,b,kind\n1,2,x\n3,4,y\n") == "header");
  CHECK(head_of("1,2,x\n3,4,y\n") == "values");
  CHECK(head_of("a,2019,b\n1,2,3\n") == "header?");  // two columns against one
  CHECK(head_of("2019,2020,b\n1,2,3\n") == "values?");
  CHECK(head_of("kind,size\nx,big\ny,small\n") == "header?");
  CHECK(head_of("x,big\ny,small\nz,big\n") == "values?");  // a text comes again
  CHECK(head_of("x,x,big\ny,z,small\n") == "values?");     // a text is there twice
  CHECK(head_of("x,?\ny,1\nx,2\n") == "values?");          // nothing is known of what is missing
  CHECK(head_of("x\n1,5\n") == "header");
  CHECK(head_of("day\n2024-05-01\n2024-05-02\n") == "header");
  CHECK(head_of("2024-05-01,a\n2024-05-02,b\n") == "values");
  CHECK(head_of("2024-05-01,2024-05-02\n7,8\n") == "header");  // a column for each day
  CHECK(read("x,big\ny,small\nz,big\n").rows == 3);
  CHECK(names(read("a,b\n1,2\n", {.names = {"p", "q"}})) == Texts{"p", "q"});
}

TEST_CASE("csv: bad rows are noted and the others read, on request") {
  const CsvTable table = read("a,b,junk\n1,2,?\nx,4,\xe9\n5\n7,,1\n9,10,1\n",
                              {.skip_bad_rows = true, .numbers = {"a"}, .ignore = {"junk"}});
  CHECK(table.rows == 2);
  CHECK(table.fields == 3);
  CHECK(table.lines == std::vector<int64_t>{2, 6});
  CHECK(table.columns[0].numbers == Numbers{1, 9});
  REQUIRE(table.bad_rows.size() == 3);
  CHECK(table.bad_rows[0].line == 3);
  CHECK(table.bad_rows[0].message.find("'x' is no finite number with a decimal point at line 3") !=
        std::string::npos);
  CHECK(table.bad_rows[1].message.find("1 fields, where the first line has 3") != std::string::npos);
  CHECK(table.bad_rows[2].message.find("an empty cell") != std::string::npos);
  // A text at first makes no column of texts where numbers are wanted.
  CHECK(refusal("VALUE", [] { read("a\nx\n", {.numbers = {"a"}}); }).find("'x'") != std::string::npos);
}
