#include <ballast/data/detail/csv_header.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include <ballast/data/detail/date.h>
#include <ballast/data/detail/number.h>

namespace ballast::inline BALLAST_PRECISION::detail {

bool is_missing(const CsvField& field) {
  constexpr std::array<std::string_view, 11> missing = {
      "NA",   "N/A",  "n/a",  "NaN",  "nan", "NULL",
      "null", "None", "<NA>", "#N/A", "?"};  // most of them as pandas has them
  return field.text.empty() || std::find(missing.begin(), missing.end(), field.text) != missing.end();
}

/// What was surely meant as a number: 1,5 or 1e999 or -inf.
bool looks_like_number(std::string text) {
  if (text == "inf" || text == "-inf" || text == "+inf" || text == "Infinity" || text == "-Infinity")
    return true;
  std::replace(text.begin(), text.end(), ',', '.');
  double value = 0;
  return to_number(text, value);
}

CsvHeaderSigns::CsvHeaderSigns(const std::vector<CsvField>& first) : columns_(first.size()) {
  std::set<std::string> texts;
  for (size_t i = 0; i < first.size(); ++i) {
    columns_[i].first = first[i];
    if (!is_missing(first[i])) twice_ |= !texts.insert(first[i].text).second;
  }
}

void CsvHeaderSigns::add(const std::vector<CsvField>& fields) {
  for (size_t i = 0; i < std::min(fields.size(), columns_.size()); ++i) {
    if (is_missing(fields[i])) continue;
    Column& column = columns_[i];
    double days = 0;
    column.numbers &= looks_like_number(fields[i].text);
    column.dates &= to_date(fields[i].text, days);
    column.values = true;
    again_ |= fields[i].text == column.first.text;
  }
}

void CsvHeaderSigns::decide(CsvHead& head) const {
  int above_numbers = 0, numbers = 0;
  for (const Column& column : columns_) {
    if (is_missing(column.first)) continue;
    double days = 0;
    const bool dates = column.values && column.dates;
    // A date is a value above dates, and a name above anything else.
    const bool number = looks_like_number(column.first.text) || (dates && to_date(column.first.text, days));
    //~ const bool number = looks_like_number(column.first.text);
    numbers += number;
    above_numbers += !number && ((column.values && column.numbers) || dates);
    //~ above_numbers += !number && column.values && column.numbers;
  }
  head.in_doubt = (above_numbers > 0) == (numbers > 0);
  head.header = above_numbers > numbers || (above_numbers + numbers == 0 && !twice_ && !again_);
  //~ head.header = above_numbers > numbers || above_numbers + numbers == 0;
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
