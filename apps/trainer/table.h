#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ballast/data/csv.h>
#include <ballast/data/dataset.h>

namespace ballast::app {

/// One column of a table: of numbers, of dates, or of texts that stand for categories.
struct TableColumn {
  std::string name;
  /// The categories, in order; empty for numbers. An empty text stands for missing values.
  std::vector<std::string> texts = {};
  bool date = false;   // its numbers are days since 1970-01-01
  int64_t place = -1;  // in the training table, from 0; -1 if unknown
  /// Is subtracted from a number before it is rounded to `real`: near the mean where that is far from 0
  /// beside the deviation, as it is of timestamps.
  double offset = 0;
  std::optional<double> fill = {};  // what a missing number is read as, after the subtraction
};

/// How the columns of a table become samples and targets. It is made from the training table and kept in
/// the checkpoint, so that other tables are read in the same way.
struct TableSchema {
  std::vector<TableColumn> inputs;   // a number is one value, a category one of `texts.size()` (one-hot)
  std::vector<TableColumn> targets;  // one column of classes, or columns of numbers
  Shape shape;                       // of a sample
  bool header = true;                // the training table had one: columns are found by name, else by place
  int64_t fields = 0;                // of a line of the training table; 0 if unknown

  bool empty() const { return inputs.empty(); }
  bool classes() const { return targets.size() == 1 && !targets[0].texts.empty(); }
  /// Values of the inputs of a row.
  int64_t width() const;
  /// Of each value of a sample, and of each target; see `TableColumn`.
  std::vector<double> input_offsets() const, target_offsets() const;
  /// Means of the inputs as they are in the table; means of other data as they are.
  std::vector<double> in_units(std::vector<double> means) const;
};

/// What the user said of the columns; see the options of the same names.
struct TableOptions {
  std::vector<std::string> label = {};
  std::string task = "auto";
  Shape shape = {};           // rank 0: (width)
  bool keep_missing = false;  // a text that is missing is a category of its own
};

/// The columns of a training table. Without `label` the target is the column named label, class, target or
/// y, else the last one. Throws ValueError, which names columns, if they don't fit the options.
TableSchema schema_of(const CsvTable& table, const TableOptions& options);

/// What columns of a training table are most often no good as they are: inputs of texts of which more than
/// half are different, or that are dates in another form than they are read in, an input that counts the
/// rows, and many texts that are numbers with a unit. A line each, with what to do.
std::vector<std::string> doubtful_columns(const CsvTable& table, const TableSchema& schema);

/// The names of the columns to predict and, where `label` names none, why it is this one:
/// "price (the last column; --label names another)".
std::string targets_text(const TableSchema& schema, const std::vector<std::string>& label);

/// Whether a class was a whole number in the training table, rather than a text.
bool is_whole_number(const std::string& text);

/// A row of which no sample can be made.
struct RowProblem {
  int64_t row;          // index in the table
  int64_t line;         // of the file
  bool missing;         // a value is
  std::string message;  // without the line
};
/// The first problem of each row that has any, in order: a missing number, unless `keep_missing` or the
/// column has a fill, and a text that is no category. Of the targets, too, if they are wanted.
std::vector<RowProblem> row_problems(const CsvTable& table, const TableSchema& schema, bool keep_missing,
                                     bool targets);
/// Where a table lacks values.
struct MissingValues {
  int64_t rows = 0, of = 0;                              // that lack one, of how many
  std::vector<std::pair<std::string, int64_t>> columns;  // those that lack some, and how many
};
/// Of the columns of the schema.
MissingValues missing_values(const CsvTable& table, const TableSchema& schema);
MissingValues operator+(MissingValues a, const MissingValues& b);
/// "45 of 300 rows lack a value (area 30, town 15)"
std::string text_of(const MissingValues& missing);

/// Leaves out these rows.
void remove_rows(CsvTable& table, const std::vector<RowProblem>& problems);

/// Throws ValueError, which suggests a name, unless the table has the columns of the schema and they are of
/// its types.
void check_columns(const CsvTable& table, const TableSchema& schema, bool targets);

/// The inputs of all rows, one after the other: numbers as they are, or divided by 255 where the schema's
/// shape says that they are pixels; missing ones as the column's fill, or NaN. Throws ValueError for a table
/// that lacks a column or has an unknown category.
std::vector<real> inputs_of(const CsvTable& table, const TableSchema& schema);

/// Inputs and targets.
Dataset table_dataset(const CsvTable& table, const TableSchema& schema);

}  // namespace ballast::app
