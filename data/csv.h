#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ballast/core/check.h>

namespace ballast::inline BALLAST_PRECISION {

struct CsvOptions {
  char delimiter = 0;                  // 0: comma, tab or semicolon, whichever the first lines have in common
  std::optional<bool> header = {};     // unset: the first line names the columns if it has no numbers
  bool allow_missing = false;          // else a missing value is an error
  std::vector<std::string> text = {};  // columns to be read as categories, by name or number from 0
  std::vector<std::string> ignore = {};     // columns to be left out
  std::optional<std::string> classes = {};  // a column read as categories, whose numbers must be whole
};

/// A column of numbers, or of texts that are numbered as categories.
struct CsvColumn {
  std::string name;  // "column 0" and so on without a header
  bool is_text = false;
  std::vector<double> numbers;          // NaN where missing
  std::vector<int32_t> categories;      // index of the cell's text in `texts`, -1 where missing
  std::vector<std::string> texts = {};  // in alphabetical order; if all are numbers, in theirs
};

struct CsvTable {
  int64_t rows = 0;
  std::vector<CsvColumn> columns;

  /// The index of a column given by its name or, if none is called so, by its number, from the end if
  /// negative. Throws ValueError naming the columns that there are.
  size_t find(const std::string& column) const;
};

/// Reads a table with one sample per line (RFC 4180): fields in quotes may hold the delimiter, line ends and
/// doubled quotes; others lose the spaces around them. Lines may end in CRLF, a byte-order mark is skipped,
/// empty lines are too; the file may be packed with gzip. An empty cell, NA, NaN and ? are missing values. A
/// column is of numbers if its first value is one. Numbers have a decimal point, whatever the locale.
///
/// Throws FileError, naming the line; its codes: MISSING, READ, EMPTY (no line of values), COLUMNS (a line of
/// another number of fields than the first, two columns of one name), VALUE (what is no finite number in a
/// column of numbers, a missing value, a NUL), LIMIT (a line of more than 16 MiB, more than 100,000 columns,
/// more than 100,000 texts in a column), QUOTE (a quote that isn't closed, or that more than the delimiter
/// follows), UTF8, and of gzip data CRC and TRUNC. ValueError when an option names no column.
CsvTable read_csv(const std::string& path, const CsvOptions& options = {});

}  // namespace ballast::inline BALLAST_PRECISION
