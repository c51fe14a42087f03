#include "trainer/table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "options/choice.h"
#include "trainer/text.h"

namespace ballast::app {
namespace {

constexpr size_t most_categories = 1000;
constexpr size_t most_classes = 100;  // whole numbers that take more values than this are quantities

std::vector<std::string> names_of(const CsvTable& table) {
  std::vector<std::string> names;
  for (const CsvColumn& column : table.columns) names.push_back(column.name);
  return names;
}

std::vector<size_t> target_columns(const CsvTable& table, const std::vector<std::string>& label) {
  std::vector<size_t> found;
  for (const std::string& name : label) {
    try {
      found.push_back(table.find(name));
    } catch (const ValueError& error) {
      throw ValueError(
          fmt::format("--label {}: {}{}", name, error.message, suggestion(name, names_of(table))));
    }
  }
  if (!found.empty()) return found;
  for (size_t c = 0; c < table.columns.size(); ++c)
    for (const char* usual : {"label", "class", "target", "y"})
      if (lower(table.columns[c].name) == usual) return {c};
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
    if (number != std::floor(number) || std::abs(number) > 1e9) return {};
    values.insert(number);
    if (values.size() > most_classes) return {};
  }
  std::vector<std::string> texts;
  texts.reserve(values.size());
  for (const double value : values) texts.push_back(text_of(value));
  return texts;
}

TableColumn target_of(const CsvColumn& column, const std::string& task) {
  TableColumn target{column.name, column.is_text ? column.texts : whole_numbers(column)};
  check<ValueError>(task != "classification" || !target.texts.empty(),
                    "--label {}: its values are no classes: they are not whole numbers, or more than {} "
                    "different ones; leave --task out",
                    column.name, most_classes);
  check<ValueError>(task != "regression" || !column.is_text,
                    "--label {}: its values are texts such as \"{}\", and a regression is of numbers; leave "
                    "--task out",
                    column.name, column.texts.empty() ? "" : column.texts[0]);
  if (task == "regression") target.texts.clear();
  return target;
}

std::string some_of(const std::vector<std::string>& texts) {
  constexpr size_t most = 20;
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
  check<ValueError>(!wanted.texts.empty() || !found->is_text,
                    "column \"{}\" has texts such as \"{}\"; it must be of numbers, as in the training table",
                    wanted.name, found->texts.empty() ? "" : found->texts[0]);
  return *found;
}

/// The category of each row.
std::vector<int32_t> categories_of(const CsvColumn& column, const TableColumn& wanted, int64_t rows) {
  std::map<std::string, int32_t> index;
  for (const std::string& text : wanted.texts) index.emplace(text, static_cast<int32_t>(index.size()));
  std::vector<int32_t> found;
  for (int64_t row = 0; row < rows; ++row) {
    const auto n = static_cast<size_t>(row);
    const std::string text =
        column.is_text ? column.texts[static_cast<size_t>(column.categories[n])] : text_of(column.numbers[n]);
    const auto at = index.find(text);
    if (at == index.end())
      throw ValueError(
          fmt::format("column \"{}\": \"{}\" in row {} isn't among the values that training knew: {}",
                      wanted.name, text, row + 1, some_of(wanted.texts)));
    found.push_back(at->second);
  }
  return found;
}

}  // namespace

int64_t TableSchema::width() const {
  int64_t width = 0;
  for (const TableColumn& column : inputs)
    width += column.texts.empty() ? 1 : static_cast<int64_t>(column.texts.size());
  return width;
}

CsvOptions csv_options(const TableSchema& schema) {
  CsvOptions options;
  for (const TableColumn& column : schema.inputs)
    if (!column.texts.empty()) options.text.push_back(column.name);
  return options;
}

TableSchema schema_of(const CsvTable& table, const TableOptions& options) {
  const std::vector<size_t> targets = target_columns(table, options.label);
  check<ValueError>(table.columns.size() > targets.size(),
                    "the table has {} column{}, which leaves none to "
                    "predict from",
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
      schema.inputs.push_back({table.columns[c].name, table.columns[c].texts});
  for (const TableColumn& column : schema.inputs)
    check<ValueError>(
        column.texts.size() <= most_categories,
        "column \"{}\" has {} different texts, which tell samples apart rather than describe them; "
        "leave it out with --ignore {}",
        column.name, column.texts.size(), column.name);
  schema.shape = options.shape.rank() == 0 ? Shape{schema.width()} : options.shape;
  check<ValueError>(schema.shape.count() == schema.width(),
                    "--shape {}: that is {} values, and a row of the table has {} besides its label",
                    schema.shape, schema.shape.count(), schema.width());
  return schema;
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
        const auto value = static_cast<real>(column.numbers[static_cast<size_t>(row)]);
        x[row * width] = pixels ? value / 255 : value;
        //~ x[row * width] = value;
      }
      x += 1;
    } else {
      const std::vector<int32_t> categories = categories_of(column, input, table.rows);
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
    const std::vector<int32_t> classes = categories_of(column_of(table, target), target, table.rows);
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
      y.data()[row * width + c] = static_cast<real>(column.numbers[static_cast<size_t>(row)]);
  }
  dataset = from_tensors(x, y);
  for (const TableColumn& target : schema.targets) dataset.class_names.push_back(target.name);
  return dataset;
}

}  // namespace ballast::app
