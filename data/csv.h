#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ballast/core/check.h>

namespace ballast::inline BALLAST_PRECISION {

struct CsvOptions {
  char delimiter = 0;               // 0: comma, tab or semicolon, whichever the first lines have in common
  std::optional<bool> header = {};  // whether the first line names the columns; unset: see `CsvHead`
  std::vector<std::string> names = {};    // of all columns, instead of those in the file
  bool allow_missing = false;             // else a missing value is an error
  bool skip_bad_rows = false;             // a row that is refused is noted in `bad_rows`, the others are read
  bool skip_long_columns = false;         // of more than 100,000 texts: see `CsvTable::long_columns`
  std::vector<std::string> text = {};     // columns to be read as categories, by name or number from 0
  std::vector<std::string> numbers = {};  // columns in which a text is an error, even at first
  std::vector<std::string> dates = {};    // columns in which what is no date is an error, even at first
  std::vector<std::string> ignore = {};   // columns to be left out, whatever is in them
  std::optional<std::string> classes = {};  // a column read as categories, whose numbers must be whole
};

/// A column of numbers, of dates, or of texts that are numbered as categories.
struct CsvColumn {
  std::string name;  // "column 0" and so on without a header
  bool is_text = false, is_date = false;
  std::vector<double> numbers;          // NaN where missing; of dates the days since 1970-01-01
  std::vector<int32_t> categories;      // index of the cell's text in `texts`, -1 where missing
  std::vector<std::string> texts = {};  // in alphabetical order; if all are numbers, in theirs
};

/// What the first lines of a table say of its columns. Without `CsvOptions::header` the first line is taken
/// for a header if there are more columns in which it has a text above numbers or dates than columns in which
/// it has a number or such a date itself; where there are neither, unless it has a text twice or one that
/// comes again below.
struct CsvHead {
  std::vector<std::string> columns;  // their names, "column 0" and so on without a header
  bool header = false;
  bool in_doubt = false;  // there were signs of both kinds, or none
};

struct CsvTable {
  struct BadRow {
    int64_t line;  // of the file
    std::string message;
  };
  int64_t rows = 0;
  std::vector<CsvColumn> columns;
  int64_t fields = 0;                          // in a line of the file; ignored columns are among them
  std::vector<int64_t> lines;                  // of each row the line of the file in which it begins, from 1
  std::vector<BadRow> bad_rows = {};           // see `CsvOptions::skip_bad_rows`
  std::vector<std::string> long_columns = {};  // names of those left out by `CsvOptions::skip_long_columns`

  /// The index of a column given by its name or, if none is called so, by its number, from the end if
  /// negative. Throws ValueError naming the columns that there are.
  size_t find(const std::string& column) const;
};

/// Reads a table with one sample per line (RFC 4180): fields in quotes may hold the delimiter, line ends and
/// doubled quotes; others lose the spaces around them. Lines may end in CRLF, a byte-order mark is skipped,
/// empty lines are too; the file may be packed with gzip. An empty cell, NA, N/A, n/a, NaN, NULL, None, <NA>,
/// #N/A and ? are missing values. A column is of numbers or of dates if its first value is one. Numbers have
/// a decimal point, whatever the locale, or, if no comma separates the fields, a decimal comma, but all in a
/// file the same. Dates are those of ISO 8601: 2024-05-01, 2024-05-01T12:30, 2024-05-01 12:30:05+02:00.
///
/// Throws FileError, naming the line; its codes: MISSING, READ, EMPTY (no line of values), COLUMNS (a line of
/// another number of fields than the first, two columns of one name), VALUE (what is no finite number in a
/// column of numbers or no date in one of dates, a missing value, a NUL), LIMIT (a line of more than 16 MiB,
/// more than 100,000 columns, more than 100,000 texts in a column), QUOTE (a quote that isn't closed, or that
/// more than the delimiter follows), UTF8, and of gzip data CRC and TRUNC. ValueError when an option names no
/// column.
///
/// With `skip_bad_rows`, COLUMNS, VALUE and UTF8 within a row aren't thrown.
CsvTable read_csv(const std::string& path, const CsvOptions& options = {});

/// The same for the columns alone, from the first thousand lines.
CsvHead read_csv_head(const std::string& path, const CsvOptions& options = {});

}  // namespace ballast::inline BALLAST_PRECISION
