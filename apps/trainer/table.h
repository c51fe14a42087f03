#pragma once

#include <string>
#include <vector>

#include <ballast/data/csv.h>
#include <ballast/data/dataset.h>

namespace ballast::app {

/// One column of a table: of numbers, or of texts that stand for categories.
struct TableColumn {
  std::string name;
  std::vector<std::string> texts = {};  // the categories, in order; empty for numbers
};

/// How the columns of a table become samples and targets. It is made from the training table and kept in
/// the checkpoint, so that other tables are read in the same way.
struct TableSchema {
  std::vector<TableColumn> inputs;   // a number is one value, a category one of `texts.size()` (one-hot)
  std::vector<TableColumn> targets;  // one column of classes, or columns of numbers
  Shape shape;                       // of a sample

  bool empty() const { return inputs.empty(); }
  bool classes() const { return targets.size() == 1 && !targets[0].texts.empty(); }
  /// Values of the inputs of a row.
  int64_t width() const;
};

/// What the user said of the columns; see the options of the same names.
struct TableOptions {
  std::vector<std::string> label = {};
  std::string task = "auto";
  Shape shape = {};  // rank 0: (width)
};

/// The columns of a training table. Without `label` the target is the column named label, class, target or
/// y, else the last one. Throws ValueError, which names columns, if they don't fit the options.
TableSchema schema_of(const CsvTable& table, const TableOptions& options);

/// How to read a table whose inputs are those of the schema; of an empty one, any.
CsvOptions csv_options(const TableSchema& schema);

/// The inputs of all rows, one after the other: numbers as they are, or divided by 255 where the schema's
/// shape says that they are pixels. Throws ValueError for a table that lacks a column or has an unknown
/// category. Columns are found by name or, in a table without a header, by position.
std::vector<real> inputs_of(const CsvTable& table, const TableSchema& schema);

/// Inputs and targets.
Dataset table_dataset(const CsvTable& table, const TableSchema& schema);

}  // namespace ballast::app
