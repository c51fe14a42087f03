#pragma once

#include <string>
#include <vector>

#include <ballast/data/csv.h>
#include <ballast/data/detail/csv_records.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// An empty cell, NA, NaN, ? and what else stands for a missing value; `read_csv` lists them.
bool is_missing(const CsvField& field);

/// What is a number or was surely meant as one: 1,5 or 1e999 or -inf.
bool looks_like_number(std::string text);

/// How the first line of a table differs from those that follow.
class CsvHeaderSigns {
 public:
  explicit CsvHeaderSigns(const std::vector<CsvField>& first);
  /// A line below the first.
  void add(const std::vector<CsvField>& fields);
  /// Fills in what these signs say.
  void decide(CsvHead& head) const;

 private:
  struct Column {
    CsvField first = {};
    // Below the first line: there are some, and numbers alone, dates alone.
    bool values = false, numbers = true, dates = true;
  };
  std::vector<Column> columns_;
  bool twice_ = false, again_ = false;  // a text of the first line is there twice, comes again below
};

}  // namespace ballast::inline BALLAST_PRECISION::detail
