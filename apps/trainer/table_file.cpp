#include "trainer/table_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "output.h"
#include "trainer/formats.h"
#include "trainer/text.h"

namespace ballast::app {
namespace {

/// Names by place for a table without a header, as wide as the training table or without the columns that
/// aren't needed.
std::vector<std::string> names_by_place(const std::string& path, const TableSchema& schema, int64_t fields,
                                        bool targets) {
  std::vector<std::string> names;  // of the training table
  for (int64_t n = 0; n < schema.fields; ++n) names.push_back(fmt::format("unused column {}", n));
  std::vector<std::string> inputs;
  for (const std::vector<TableColumn>* columns : {&schema.inputs, &schema.targets})
    for (const TableColumn& column : *columns) {
      names.at(static_cast<size_t>(column.place)) = column.name;
      if (columns == &schema.inputs) inputs.push_back(column.name);
    }
  const auto fits = [&] { return static_cast<int64_t>(names.size()) == fields; };
  if (fits()) return names;
  const auto known = schema.fields, needed = static_cast<int64_t>(inputs.size());
  for (const TableColumn& target : schema.targets) std::erase(names, target.name);
  if (!targets && fits()) return names;
  check<ValueError>(!targets && needed == fields, "{}: {} columns and no header; the training table had {}{}",
                    path, fields, known,
                    targets ? "" : fmt::format(", and {} are needed to predict", needed));
  return inputs;
}

/// How to read another table by the schema.
CsvOptions options_for(const std::string& path, const TableSchema& schema, bool targets, bool no_header) {
  CsvOptions options;
  CsvHead head = read_csv_head(path);
  const auto has = [&](const TableColumn& column) {
    return std::ranges::find(head.columns, column.name) != head.columns.end();
  };
  const bool placed = schema.fields > 0;
  if (schema.header) {
    options.header = true;
    if (const bool named = std::ranges::any_of(
            read_csv_head(path, options).columns,
            [&](const auto& name) {
              return std::ranges::find(schema.inputs, name, &TableColumn::name) != schema.inputs.end();
            });
        !named && placed)
      options.header = head.header;
  } else {
    options.header = !no_header && head.header && !head.in_doubt;
  }
  head = read_csv_head(path, options);
  if (placed && !(schema.header && *options.header)) {
    options.names = names_by_place(path, schema, static_cast<int64_t>(head.columns.size()), targets);
    head.columns = options.names;
  }
  options.ignore = head.columns;
  const auto want = [&](const TableColumn& column) {
    if (!has(column)) return;
    std::erase(options.ignore, column.name);
    // Classes that are whole numbers are read as numbers, as they were in the training table.
    const bool numbers = std::ranges::all_of(column.texts, is_whole_number);
    (column.date ? options.dates : numbers ? options.numbers : options.text).push_back(column.name);
  };
  std::ranges::for_each(schema.inputs, want);
  if (targets) std::ranges::for_each(schema.targets, want);
  return options;
}

CsvTable read_by_schema(const std::string& path, const TableSchema& schema, bool targets, bool no_header,
                        bool skip_bad_rows) {
  CsvOptions options = options_for(path, schema, targets, no_header);
  options.allow_missing = true;
  options.skip_bad_rows = skip_bad_rows;
  CsvTable table = read_csv(path, options);
  try {
    check_columns(table, schema, targets);
  } catch (const ValueError& error) {
    throw ValueError(path + ": " + error.message);
  }
  return table;
}

/// What is wrong with a row, without the line at which the message ends.
std::string without_line(const CsvTable::BadRow& bad) {
  const std::string end = fmt::format(" at line {}", bad.line);
  return bad.message.substr(0, bad.message.size() - (bad.message.ends_with(end) ? end.size() : 0));
}

/// Without the columns of --ignore.
CsvTable read_without(const std::string& path, const CsvOptions& csv) {
  try {
    return read_csv(path, csv);
  } catch (const ValueError& error) {
    throw ValueError("--ignore: " + error.message);
  }
}

/// The names of the columns of --label: its numbers count all columns of the file, as those of --ignore do.
std::vector<std::string> labels(const std::vector<std::string>& given, const CsvHead& head,
                                const CsvTable& kept) {
  CsvTable all;
  for (const std::string& name : head.columns) all.columns.push_back({name, false, false, {}, {}});
  std::vector<std::string> names;
  for (const std::string& label : given) {
    try {
      names.push_back(all.columns[all.find(label)].name);
    } catch (const ValueError& error) {
      throw ValueError(fmt::format("--label {}: {}", label, error.message));
    }
    check<ValueError>(std::ranges::find(kept.columns, names.back(), &CsvColumn::name) != kept.columns.end(),
                      "--label {}: --ignore leaves this column out", label);
  }
  return names;
}

/// Throws TooManyTexts for what has been read of a training table.
void check_texts(const std::string& path, const TableFile& file) {
  constexpr size_t most_categories = 1000;
  std::vector<std::string> found, names;
  const auto add = [&](const std::string& name, const std::string& count) {
    found.push_back(fmt::format("column \"{}\" has {}", name, count));
    names.push_back(name);
  };
  for (const std::string& name : file.table.long_columns) add(name, "more than 100,000");
  for (const TableColumn& column : file.schema.inputs)
    if (column.texts.size() > most_categories) add(column.name, fmt::format("{}", column.texts.size()));
  if (names.empty()) return;
  throw TooManyTexts(
      fmt::format(
          "{}: {} different texts, which tell samples apart rather than describe them; leave {} out with "
          "--ignore {}",
          path, fmt::join(found, ", "), names.size() == 1 ? "it" : "them",
          shell_word(fmt::format("{}", fmt::join(names, ",")))),
      names);
}

TableFile read_training_table(const std::string& path, const DataOptions& options) {
  CsvOptions csv{.allow_missing = true, .skip_long_columns = true, .ignore = options.ignore};
  if (options.header != "auto") csv.header = options.header == "yes";
  const CsvHead head = read_csv_head(path, csv);
  csv.header = head.header;
  if (head.in_doubt)
    complain("note: {}: the first line is taken for {}; --header {} says otherwise\n", path,
             head.header ? "the names of the columns" : "values", head.header ? "no" : "yes");
  TableFile file{read_without(path, csv), {}};
  check_texts(path, file);  // before the schema: one of them may be the label
  file.schema = schema_of(file.table, {labels(options.label, head, file.table), options.task,
                                       sample_shape(options), options.missing == "mean"});
  check_texts(path, file);
  for (const std::string& doubt : doubtful_columns(file.table, file.schema))
    complain("note: {}: {}\n", path, doubt);
  file.schema.header = head.header;
  file.schema.fields = file.table.fields;
  for (std::vector<TableColumn>* columns : {&file.schema.inputs, &file.schema.targets})
    for (TableColumn& column : *columns)
      column.place = std::ranges::find(head.columns, column.name) - head.columns.begin();
  return file;
}

}  // namespace

TableFile read_table(const std::string& path, const DataOptions& options, const TableSchema* known) {
  TableFile file = known
                       ? TableFile{read_by_schema(path, *known, true, options.header == "no", false), *known}
                       : read_training_table(path, options);
  const std::vector<RowProblem> problems =
      row_problems(file.table, file.schema, options.missing == "mean", true);
  for (const RowProblem& problem : problems)
    check<ValueError>(problem.missing, "{}: line {}: {}", path, problem.line, problem.message);
  file.missing = missing_values(file.table, file.schema);
  check<ValueError>(problems.empty() || options.missing != "error",
                    "{}: {}, the first in line {}; --missing drop leaves such rows out, --missing mean reads "
                    "the mean of the column, or of texts a category of its own",
                    path, text_of(file.missing), problems.empty() ? 0 : problems[0].line);
  if (problems.empty()) return file;
  remove_rows(file.table, problems);
  complain("note: {}: {} of {} rows left out, in which {} missing\n", path, problems.size(),
           file.table.rows + static_cast<int64_t>(problems.size()),
           options.missing == "mean" ? "what is to be predicted is" : "a value is");
  check<ValueError>(file.table.rows > 0, "{}: a value is missing in every row", path);
  return file;
}

CsvTable read_table_inputs(const std::string& path, const TableSchema& schema,
                           std::vector<RowError>& errors) {
  CsvTable table = read_by_schema(path, schema, false, false, true);
  for (const CsvTable::BadRow& bad : table.bad_rows) errors.push_back({bad.line, without_line(bad)});
  const std::vector<RowProblem> problems = row_problems(table, schema, false, false);
  for (const RowProblem& problem : problems) errors.push_back({problem.line, path + ": " + problem.message});
  remove_rows(table, problems);
  std::ranges::sort(errors, {}, &RowError::line);
  return table;
}

}  // namespace ballast::app
