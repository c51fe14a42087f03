#pragma once

#include <string>
#include <utility>
#include <vector>

#include "options/options.h"
#include "trainer/table.h"

namespace ballast::app {

/// A table that was read as the options and a schema say.
struct TableFile {
  CsvTable table;
  TableSchema schema;
  MissingValues missing = {};  // before rows were left out
};

/// Reads a table with its targets, by the schema of a model's training table or, without one, as a training
/// table itself. Missing values are dealt with as --missing says. Says what was left out, and how the header
/// was decided if that was in doubt. Throws FileError and ValueError, of a training table TooManyTexts.
TableFile read_table(const std::string& path, const DataOptions& options, const TableSchema* known);

/// Columns of more texts than an input can have, by name.
struct TooManyTexts : ValueError {
  TooManyTexts(const std::string& text, std::vector<std::string> names)
      : ValueError(text), columns(std::move(names)) {}
  std::vector<std::string> columns;
};

/// A row to predict that can't be.
struct RowError {
  int64_t line;         // of the file
  std::string message;  // without the line
};

/// Reads the inputs of a table, to predict its rows: those that can't be read are left out of it and told in
/// `errors`, in order. Columns that the schema has no use for may hold anything.
CsvTable read_table_inputs(const std::string& path, const TableSchema& schema, std::vector<RowError>& errors);

}  // namespace ballast::app
