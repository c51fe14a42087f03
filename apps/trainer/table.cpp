#include "trainer/table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <set>

#include "options/choice.h"
#include "trainer/text.h"

namespace ballast::app {
namespace {

constexpr size_t few_rows = 20;       // of which nothing is concluded
constexpr size_t most_classes = 100;  // whole numbers that take more values than this are quantities

std::vector<std::string> names_of(const CsvTable& table) {
  std::vector<std::string> names;
  for (const CsvColumn& column : table.columns) names.push_back(column.name);
  return names;
}

/// Whether a column of this name is what a table is there to predict.
bool is_usual_target(const std::string& name) {
  return std::ranges::any_of(std::array{"label", "class", "target", "y"},
                             [&](const char* usual) { return lower(name) == usual; });
}

std::vector<size_t> target_columns(const CsvTable& table, const std::vector<std::string>& label) {
  std::vector<size_t> found;
  for (const std::string& name : label) {
    try {
      found.push_back(table.find(name));
    } catch (const ValueError& error) {
      throw ValueError(fmt::format("--label {}: {}", name, error.message));
    }
  }
  if (!found.empty()) return found;
  for (size_t c = 0; c < table.columns.size(); ++c)
    if (is_usual_target(table.columns[c].name)) return {c};
  return {table.columns.size() - 1};
}

/// A number as the name of a class.
std::string text_of(double number) {
  return number == std::floor(number) ? fmt::format("{:.0f}", number) : fmt::format("{}", number);
}

/// The different values of a column of whole numbers, as texts in the order of the numbers; nothing if there
/// are others, or too many.
std::vector<std::string> whole_numbers(const CsvColumn& column) {
  std::set<double> values;
  for (const double number : column.numbers) {
    if (std::isnan(number)) continue;  // missing
    if (number != std::floor(number) || std::abs(number) > 1e9) return {};
    values.insert(number);
    if (values.size() > most_classes) return {};
  }
  std::vector<std::string> texts;
  texts.reserve(values.size());
  for (const double value : values) texts.push_back(text_of(value));
  return texts;
}

/// See `TableColumn::offset`: 0 unless rounding to `real` would cost more than a thousandth of the deviation.
double offset_of(const CsvColumn& column) {
  double sum = 0, squares = 0, count = 0;
  for (const double number : column.numbers)
    if (!std::isnan(number)) sum += number, ++count;
  if (count == 0) return 0;
  const double mean = sum / count;
  for (const double number : column.numbers)
    if (!std::isnan(number)) squares += (number - mean) * (number - mean);
  const double deviation = std::sqrt(squares / count), rounding = std::abs(mean) * 0x1p-24;
  return deviation > 0 && rounding > 1e-3 * deviation ? std::round(mean) : 0;
  //~ return 0;
}

TableColumn target_of(const CsvColumn& column, const std::string& task) {
  check<ValueError>(
      !column.is_date,
      "--label {}: its values are dates, which can't be predicted; name another column or write "
      "them as numbers, such as the days from a first one",
      column.name);
  TableColumn target{column.name, column.is_text ? column.texts : whole_numbers(column)};
  check<ValueError>(task != "classification" || !target.texts.empty(),
                    "--label {}: its values are no classes: they are not whole numbers, or more than {} "
                    "different ones; leave --task out",
                    column.name, most_classes);
  check<ValueError>(task != "regression" || !column.is_text,
                    "--label {}: its values are texts such as \"{}\", and a regression is of numbers; leave "
                    "--task out",
                    column.name, column.texts.empty() ? "" : column.texts[0]);
  const size_t rows = std::max(column.categories.size(), column.numbers.size());
  const bool come_again = !column.is_text || rows < few_rows || 2 * column.texts.size() <= rows;
  //~ const bool come_again = true;
  check<ValueError>(
      come_again,
      "--label {}: its values are {} different texts in {} rows, such as \"{}\", and classes come "
      "again; name another column or, if these are meant as numbers, write them without "
      "currencies, units and separators of thousands",
      column.name, column.texts.size(), rows, column.texts.empty() ? "" : column.texts[0]);
  if (task == "regression") target.texts.clear();
  if (target.texts.empty()) target.offset = offset_of(column);
  return target;
}

/// Texts for a message, the first twenty; those with a comma in quotes. The empty one stands for a missing
/// value.
std::string some_of(std::vector<std::string> texts) {
  constexpr size_t most = 20;
  for (std::string& text : texts)
    if (text.empty())
      text = "(missing)";
    else if (text.find(',') != std::string::npos)
      text = fmt::format("\"{}\"", text);
  if (texts.size() <= most) return fmt::format("{}", fmt::join(texts, ", "));
  return fmt::format("{}, ... ({} in all)", fmt::join(texts.begin(), texts.begin() + most, ", "),
                     texts.size());
}

/// Where the column is in the table. Numbered columns, of tables without a header, are found by their place.
const CsvColumn& column_of(const CsvTable& table, const TableColumn& wanted) {
  const auto found = std::ranges::find(table.columns, wanted.name, &CsvColumn::name);
  if (found == table.columns.end())
    throw ValueError(fmt::format("the table has no column \"{}\"{}; it has {}", wanted.name,
                                 suggestion(wanted.name, names_of(table)), some_of(names_of(table))));
  check<ValueError>(!wanted.date || found->is_date,
                    "column \"{}\" has no dates; it must be of dates, as in the training table", wanted.name);
  check<ValueError>(wanted.date || !found->is_date,
                    "column \"{}\" has dates; it had none in the training table", wanted.name);
  check<ValueError>(!wanted.texts.empty() || !found->is_text,
                    "column \"{}\" has texts such as \"{}\"; it must be of numbers, as in the training table",
                    wanted.name, found->texts.empty() ? "" : found->texts[0]);
  return *found;
}

TableColumn input_of(const CsvColumn& column, const TableOptions& options) {
  TableColumn input{column.name, column.texts, column.is_date};
  const bool missing = column.is_text && std::ranges::find(column.categories, -1) != column.categories.end();
  if (missing && options.keep_missing) input.texts.emplace_back();
  if (!column.is_text && options.shape.rank() < 2) input.offset = offset_of(column);
  return input;
}

/// The category of each row; -1 where there is none.
std::vector<int32_t> categories_of(const CsvColumn& column, const TableColumn& wanted, int64_t rows) {
  std::map<std::string, int32_t> index;
  for (const std::string& text : wanted.texts) index.emplace(text, static_cast<int32_t>(index.size()));
  const auto category = [&](const std::string& text) {
    const auto found = index.find(text);
    return found == index.end() ? -1 : found->second;
  };
  std::vector<int32_t> found(static_cast<size_t>(rows));
  if (!column.is_text) {
    std::ranges::transform(column.numbers, found.begin(), [&](double number) {
      return category(std::isnan(number) ? "" : text_of(number));
    });
    return found;
  }
  std::vector<int32_t> of_text;
  of_text.reserve(column.texts.size());
  for (const std::string& text : column.texts) of_text.push_back(category(text));
  std::ranges::transform(column.categories, found.begin(),
                         [&](int32_t n) { return n < 0 ? category("") : of_text[static_cast<size_t>(n)]; });
  return found;
}

bool is_missing(const CsvColumn& column, size_t row) {
  return column.is_text ? column.categories[row] < 0 : std::isnan(column.numbers[row]);
}

RowProblem problem_of(const CsvTable& table, const CsvColumn& column, const TableColumn& wanted, size_t row) {
  const auto index = static_cast<int64_t>(row);
  if (is_missing(column, row))
    return {index, table.lines[row], true, fmt::format("column \"{}\": the value is missing", wanted.name)};
  const std::string text = column.is_text ? column.texts[static_cast<size_t>(column.categories[row])]
                                          : text_of(column.numbers[row]);
  return {index, table.lines[row], false,
          fmt::format("column \"{}\": \"{}\" isn't among the values that training knew: {}", wanted.name,
                      text, some_of(wanted.texts))};
}

/// A number as a sample has it.
real value_of(double number, const TableColumn& column) {
  if (std::isnan(number) && column.fill) return static_cast<real>(*column.fill);
  return static_cast<real>(number - column.offset);
}

/// Throws ValueError where a row has none.
std::vector<int32_t> checked_categories(const CsvTable& table, const TableColumn& wanted) {
  const CsvColumn& column = column_of(table, wanted);
  std::vector<int32_t> found = categories_of(column, wanted, table.rows);
  const auto bad = std::ranges::find(found, -1);
  if (bad != found.end()) {
    const RowProblem problem = problem_of(table, column, wanted, static_cast<size_t>(bad - found.begin()));
    throw ValueError(fmt::format("line {}: {}", problem.line, problem.message));
  }
  return found;
}

/// Whether many texts are the same but for their digits, as $1,200 and $950 are.
bool numbers_with_units(const std::vector<std::string>& texts) {
  constexpr size_t few = 20;
  const auto rest = [](std::string text) {
    std::erase_if(
        text, [](char c) { return std::string_view("0123456789.,+-").find(c) != std::string_view::npos; });
    return text;
  };
  return texts.size() > few && std::ranges::all_of(texts, [&](const std::string& text) {
           return rest(text) == rest(texts[0]) && text.size() > rest(text).size();
         });
}

/// Whether all texts are three numbers between points, slashes or dashes, as in 1.5.2024 or 05/01/24 12:00.
bool other_dates(const std::vector<std::string>& texts) {
  return !texts.empty() && std::ranges::all_of(texts, [](const std::string& text) {
    const std::string day = text.substr(0, text.find(' '));
    const size_t mark = day.find_first_not_of("0123456789");
    return mark != std::string::npos && mark > 0 && std::string_view("./-").find(day[mark]) < 3 &&
           std::ranges::count(day, day[mark]) == 2 && day.back() != day[mark] &&
           std::ranges::all_of(day, [&](char c) { return c == day[mark] || (c >= '0' && c <= '9'); });
  });
}

/// Whether each number is the one above and one more.
bool counts_rows(const CsvColumn& column) {
  const std::vector<double>& numbers = column.numbers;
  return !column.is_text && !column.is_date && std::ranges::adjacent_find(numbers, [](double a, double b) {
                                                 return !(b == a + 1);
                                               }) == numbers.end();
}

}  // namespace

int64_t TableSchema::width() const {
  int64_t width = 0;
  for (const TableColumn& column : inputs)
    width += column.texts.empty() ? 1 : static_cast<int64_t>(column.texts.size());
  return width;
}

std::string targets_text(const TableSchema& schema, const std::vector<std::string>& label) {
  std::vector<std::string> names;
  for (const TableColumn& column : schema.targets) names.push_back(column.name);
  return fmt::format("{}{}", fmt::join(names, ", "),
                     !label.empty()              ? ""
                     : is_usual_target(names[0]) ? " (by its name; --label names another)"
                                                 : " (the last column; --label names another)");
}

bool is_whole_number(const std::string& text) {
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const std::from_chars_result read = std::from_chars(text.data(), end, number);
  return read.ec == std::errc{} && read.ptr == end;
}

std::vector<double> TableSchema::input_offsets() const {
  std::vector<double> offsets;
  for (const TableColumn& column : inputs)
    offsets.insert(offsets.end(), std::max<size_t>(column.texts.size(), 1), column.offset);
  return offsets;
}

std::vector<double> TableSchema::in_units(std::vector<double> means) const {
  const std::vector<double> offsets = input_offsets();
  for (size_t n = 0; n < means.size() && n < offsets.size(); ++n) means[n] += offsets[n];
  return means;
}

std::vector<double> TableSchema::target_offsets() const {
  std::vector<double> offsets;
  for (const TableColumn& column : targets) offsets.push_back(column.offset);
  return offsets;
}

TableSchema schema_of(const CsvTable& table, const TableOptions& options) {
  const std::vector<size_t> targets = target_columns(table, options.label);
  check<ValueError>(
      table.columns.size() > targets.size(),
      "the table has {} column{}, which leaves none to predict from; commas, semicolons or tabs "
      "separate columns",
      table.columns.size(), table.columns.size() == 1 ? "" : "s");
  TableSchema schema;
  for (const size_t c : targets) {
    // Several targets are numbers.
    const std::string task = targets.size() > 1 ? "regression" : options.task;
    schema.targets.push_back(target_of(table.columns[c], task));
  }
  for (size_t c = 0; c < table.columns.size(); ++c)
    if (std::ranges::find(targets, c) == targets.end())
      //~ if (true)
      schema.inputs.push_back(input_of(table.columns[c], options));
  schema.shape = options.shape.rank() == 0 ? Shape{schema.width()} : options.shape;
  check<ValueError>(schema.shape.count() == schema.width(),
                    "--shape {}: that is {} values, and a row of the table has {} besides its label",
                    schema.shape, schema.shape.count(), schema.width());
  return schema;
}

std::vector<std::string> doubtful_columns(const CsvTable& table, const TableSchema& schema) {
  std::vector<std::string> found;
  const auto rows = static_cast<size_t>(table.rows);
  if (rows < few_rows || schema.shape.rank() > 1) return found;
  for (const std::vector<TableColumn>* columns : {&schema.inputs, &schema.targets})
    for (const TableColumn& each : *columns)
      if (const CsvColumn& column = column_of(table, each);
          column.is_text && numbers_with_units(column.texts))
        found.push_back(fmt::format(
            "column \"{}\" has {} different texts such as \"{}\"; if these are meant as numbers, write "
            "them without currencies, units and separators of thousands",
            column.name, column.texts.size(), column.texts[0]));
  for (const TableColumn& input : schema.inputs) {
    const CsvColumn& column = column_of(table, input);
    if (column.is_text && other_dates(column.texts))
      found.push_back(fmt::format(
          "column \"{}\" has {} different texts such as \"{}\", each read as a category; if these are "
          "dates, write them as in 2024-05-01",
          column.name, column.texts.size(), column.texts[0]));
    else if (column.is_text && 2 * column.texts.size() > rows)
      found.push_back(
          fmt::format("column \"{}\" has {} different texts in {} rows, too many to learn what each "
                      "means; --ignore {} leaves it out",
                      column.name, column.texts.size(), rows, shell_word(column.name)));
    if (counts_rows(column))
      //~ if (false)
      found.push_back(
          fmt::format("column \"{}\" counts the rows; if it says nothing of them, --ignore {} leaves "
                      "it out",
                      column.name, shell_word(column.name)));
  }
  return found;
}

std::vector<RowProblem> row_problems(const CsvTable& table, const TableSchema& schema, bool keep_missing,
                                     bool targets) {
  std::map<int64_t, RowProblem> found;  // by row
  const auto add = [&](const TableColumn& wanted, bool may_be_missing) {
    const CsvColumn& column = column_of(table, wanted);
    const bool numbers = wanted.texts.empty();
    const std::vector<int32_t> categories =
        numbers ? std::vector<int32_t>() : categories_of(column, wanted, table.rows);
    for (size_t row = 0; row < static_cast<size_t>(table.rows); ++row)
      if (numbers ? !may_be_missing && is_missing(column, row) : categories[row] < 0)
        //~ if (numbers ? is_missing(column, row) : categories[row] < 0)
        found.try_emplace(static_cast<int64_t>(row), problem_of(table, column, wanted, row));
  };
  for (const TableColumn& input : schema.inputs) add(input, keep_missing || input.fill);
  if (targets)
    for (const TableColumn& target : schema.targets) add(target, false);
  std::vector<RowProblem> problems;
  problems.reserve(found.size());
  for (auto& [row, problem] : found) problems.push_back(std::move(problem));
  return problems;
}

MissingValues missing_values(const CsvTable& table, const TableSchema& schema) {
  MissingValues found{.of = table.rows, .columns = {}};
  std::vector<bool> lacks(static_cast<size_t>(table.rows));
  for (const std::vector<TableColumn>* columns : {&schema.inputs, &schema.targets})
    for (const TableColumn& wanted : *columns) {
      const CsvColumn& column = column_of(table, wanted);
      int64_t count = 0;
      for (size_t row = 0; row < lacks.size(); ++row)
        if (is_missing(column, row)) ++count, lacks[row] = true;
      if (count > 0) found.columns.emplace_back(wanted.name, count);
    }
  found.rows = std::ranges::count(lacks, true);
  return found;
}

MissingValues operator+(MissingValues a, const MissingValues& b) {
  a.rows += b.rows, a.of += b.of;
  for (const auto& [name, count] : b.columns) {
    const auto found = std::ranges::find(a.columns, name, &std::pair<std::string, int64_t>::first);
    if (found == a.columns.end())
      a.columns.emplace_back(name, count);
    else
      found->second += count;
    //~ found->second = count;
  }
  return a;
}

std::string text_of(const MissingValues& missing) {
  std::vector<std::string> columns;
  for (const auto& [name, count] : missing.columns) columns.push_back(fmt::format("{} {}", name, count));
  return fmt::format("{} of {} rows lack a value ({})", missing.rows, missing.of, some_of(columns));
}

void remove_rows(CsvTable& table, const std::vector<RowProblem>& problems) {
  const auto remove = [&](auto& values) {
    size_t kept = 0, next = 0;
    for (size_t n = 0; n < values.size(); ++n) {
      if (next < problems.size() && problems[next].row == static_cast<int64_t>(n))
        ++next;
      else
        values[kept++] = values[n];
    }
    values.resize(kept);
  };
  for (CsvColumn& column : table.columns) remove(column.numbers), remove(column.categories);
  remove(table.lines);
  table.rows -= static_cast<int64_t>(problems.size());
}

void check_columns(const CsvTable& table, const TableSchema& schema, bool targets) {
  for (const TableColumn& input : schema.inputs) column_of(table, input);
  if (targets)
    for (const TableColumn& target : schema.targets) column_of(table, target);
}

std::vector<real> inputs_of(const CsvTable& table, const TableSchema& schema) {
  const bool pixels = schema.shape.rank() > 1;
  const int64_t width = schema.width();
  std::vector<real> all(static_cast<size_t>(table.rows * width));
  real* x = all.data();
  for (const TableColumn& input : schema.inputs) {
    const CsvColumn& column = column_of(table, input);
    if (input.texts.empty()) {
      for (int64_t row = 0; row < table.rows; ++row) {
        const real value = value_of(column.numbers[static_cast<size_t>(row)], input);
        x[row * width] = pixels ? value / 255 : value;
        //~ x[row * width] = value;
      }
      x += 1;
    } else {
      const std::vector<int32_t> categories = checked_categories(table, input);
      for (int64_t row = 0; row < table.rows; ++row)
        x[row * width + categories[static_cast<size_t>(row)]] = 1;
      x += input.texts.size();
    }
  }
  return all;
}

Dataset table_dataset(const CsvTable& table, const TableSchema& schema) {
  const std::vector<real> inputs = inputs_of(table, schema);
  Tensor x(schema.shape.inserted(0, table.rows));
  std::ranges::copy(inputs, x.data());
  Dataset dataset;
  if (schema.classes()) {
    const TableColumn& target = schema.targets[0];
    const std::vector<int32_t> classes = checked_categories(table, target);
    Labels labels(table.rows);
    std::ranges::copy(classes, labels.data());
    dataset = from_tensors(x, labels);
    dataset.classes = static_cast<int>(target.texts.size());
    dataset.class_names = target.texts;
    return dataset;
  }
  const auto width = static_cast<int64_t>(schema.targets.size());
  Tensor y({table.rows, width});
  for (int64_t c = 0; c < width; ++c) {
    const CsvColumn& column = column_of(table, schema.targets[static_cast<size_t>(c)]);
    for (int64_t row = 0; row < table.rows; ++row)
      y.data()[row * width + c] =
          value_of(column.numbers[static_cast<size_t>(row)], schema.targets[static_cast<size_t>(c)]);
  }
  dataset = from_tensors(x, y);
  for (const TableColumn& target : schema.targets) dataset.class_names.push_back(target.name);
  return dataset;
}

}  // namespace ballast::app
