#include <ballast/data/csv.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>
#include <unordered_set>

#include <ballast/data/detail/csv_header.h>
#include <ballast/data/detail/csv_records.h>
#include <ballast/data/detail/date.h>
#include <ballast/data/detail/nearest.h>
#include <ballast/data/detail/number.h>
#include <ballast/data/text.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

using detail::CsvField;
using detail::CsvHeaderSigns;
using detail::CsvRecords;
using detail::is_missing;
using detail::looks_like_number;
using detail::to_date;
using detail::to_number;

bool parse_number(const std::string& text, double& value) {
  return to_number(text, value) && std::isfinite(value);
}

std::string not_utf8(const std::string& what) {
  return what + " isn't UTF-8; save the table as UTF-8, which spreadsheets call \"CSV UTF-8\";";
}

struct Width {
  size_t fields = 0;  // of the first line
  bool common = true;
};

/// Of the first lines; what can't be read with this delimiter isn't common.
Width width_with(const std::string& path, char delimiter) {
  constexpr int lines = 10;
  Width width;
  try {
    CsvRecords records(path, delimiter);
    for (int n = 0; n < lines && records.next(); ++n) {
      if (n == 0) width.fields = records.fields().size();
      width.common &= records.fields().size() == width.fields;
    }
  } catch (const FileError&) {
    width.common = false;
  }
  return width;
}

/// The first that all lines have in common, since tab and semicolon hardly ever are unless they are the
/// delimiter; else the one that the first line has most of.
char detect_delimiter(const std::string& path) {
  char best = ',';
  size_t most = 1;
  for (const char candidate : {'\t', ';', ','}) {
    const Width width = width_with(path, candidate);
    if (width.common && width.fields > 1) return candidate;
    if (width.fields > most) {
      most = width.fields;
      best = candidate;
    }
  }
  return best;
}

/// Number of the column that an option means, or as many as there are.
size_t find_column(const std::vector<CsvColumn>& columns, const std::string& wanted) {
  for (size_t i = 0; i < columns.size(); ++i)
    if (columns[i].name == wanted) return i;
  int64_t index = 0;
  const auto [end, error] = std::from_chars(wanted.data(), wanted.data() + wanted.size(), index);
  if (error != std::errc() || end != wanted.data() + wanted.size()) return columns.size();
  const auto count = static_cast<int64_t>(columns.size());
  if (index < 0) index += count;
  return static_cast<size_t>(index < 0 || index >= count ? count : index);
}

size_t require_column(const std::vector<CsvColumn>& columns, const std::string& wanted) {
  const size_t found = find_column(columns, wanted);
  if (found < columns.size()) return found;
  std::vector<std::string> known;
  known.reserve(columns.size());
  for (const CsvColumn& column : columns) known.push_back(column.name);
  if (const std::string near = detail::suggestion(wanted, known); !near.empty())
    throw ValueError(fmt::format("no column is called {}{}", in_quotes(wanted), near));
  constexpr size_t shown = 20;
  std::string names;
  for (size_t i = 0; i < std::min(columns.size(), shown); ++i)
    names += (i ? ", " : "") + in_quotes(columns[i].name);
  throw ValueError(
      fmt::format("no column is called {}; there are {}{}", in_quotes(wanted), names,
                  columns.size() > shown ? fmt::format(" and {} more", columns.size() - shown) : ""));
}

/// Reads the file twice: first everything is checked and counted, which holds no cells in memory, then the
/// cells are stored.
class Reader {
 public:
  Reader(const std::string& path, const CsvOptions& options)
      : path_(path),
        options_(options),
        delimiter_(options.delimiter ? options.delimiter : detect_delimiter(path)) {}

  CsvHead head() const {
    CsvRecords records(path_, delimiter_);
    if (!records.next()) throw FileError(path_, "EMPTY", "nothing but empty lines");
    CsvHead head;
    if (options_.header)
      head.header = *options_.header;
    else
      signs().decide(head);
    const std::vector<CsvField>& fields = records.fields();
    if (!options_.names.empty() && options_.names.size() != fields.size())
      records.fail("COLUMNS",
                   fmt::format("{} columns, where there should be {}", fields.size(), options_.names.size()),
                   records.line());
    std::set<std::string> names;
    for (size_t i = 0; i < fields.size(); ++i) {
      const bool named = head.header && !fields[i].text.empty();
      const std::string name = !options_.names.empty() ? options_.names[i]
                               : named                 ? fields[i].text
                                                       : fmt::format("column {}", i);
      if (first_invalid_utf8(name) < name.size())
        records.fail("UTF8", not_utf8("a column's name"), records.line());
      if (!names.insert(name).second)
        records.fail("COLUMNS", fmt::format("two columns are called {}", in_quotes(name)), records.line());
      head.columns.push_back(name);
    }
    return head;
  }

  CsvTable read() {
    read_names();
    pass([this](CsvRecords& records) { check(records); });
    if (table_.rows == 0 && table_.bad_rows.empty()) throw FileError(path_, "EMPTY", "no line of values");
    for (size_t i = 0; i < types_.size(); ++i) prepare(table_.columns[i], types_[i]);
    table_.lines.reserve(static_cast<size_t>(table_.rows));
    pass([this](CsvRecords& records) { store(records); });
    for (size_t i = types_.size(); i-- > 0;)
      if (types_[i].ignored) table_.columns.erase(table_.columns.begin() + static_cast<std::ptrdiff_t>(i));
    return std::move(table_);
  }

 private:
  struct Type {
    bool known = false, ignored = false, classes = false;
    bool numeric = false;  // texts are sorted as numbers
    std::unordered_set<std::string> texts = {};
  };

  /// The first number with this decimal mark.
  struct Marked {
    int64_t line = 0;
    std::string text = {};
  };

  /// A date, or a finite number. Between other delimiters than commas its decimal mark may be a comma.
  bool parse(const std::string& text, bool date, double& value) const {
    if (date) return to_date(text, value);
    if (parse_number(text, value)) return true;
    const size_t comma = text.find(',');
    if (delimiter_ == ',' || comma == std::string::npos || text.find('.') != std::string::npos) return false;
    std::string with_point = text;
    with_point[comma] = '.';
    return parse_number(with_point, value);
  }

  template <class Visit>
  void pass(Visit visit) {
    CsvRecords records(path_, delimiter_);
    if (header_) records.next();
    while (records.next()) visit(records);
  }

  void read_names() {
    const CsvHead found = head();
    header_ = found.header;
    for (const std::string& name : found.columns) table_.columns.push_back({name, false, false, {}, {}});
    types_.resize(found.columns.size());
    table_.fields = static_cast<int64_t>(types_.size());
    for (const std::string& name : options_.ignore)
      types_[require_column(table_.columns, name)].ignored = true;
    std::vector<std::string> texts = options_.text;
    if (options_.classes) {
      types_[require_column(table_.columns, *options_.classes)].classes = true;
      texts.push_back(*options_.classes);
    }
    for (const std::string& name : texts) {
      const size_t column = require_column(table_.columns, name);
      types_[column].known = table_.columns[column].is_text = true;
    }
    for (const std::string& name : options_.numbers)
      types_[require_column(table_.columns, name)].known = true;
    for (const std::string& name : options_.dates) {
      const size_t column = require_column(table_.columns, name);
      types_[column].known = table_.columns[column].is_date = true;
    }
  }

  /// What tells a header from values, in the first lines that can be read.
  CsvHeaderSigns signs() const {
    constexpr int lines = 1000;
    CsvRecords records(path_, delimiter_);
    records.next();
    CsvHeaderSigns signs(records.fields());
    try {
      for (int n = 0; n < lines && records.next(); ++n) signs.add(records.fields());
    } catch (const FileError&) {
      // It will be thrown again when all lines are read.
    }
    return signs;
  }

  /// What to say of a text among numbers.
  std::string no_number(const std::string& text) const {
    const char* advice = text.find(',') == std::string::npos ? " with a decimal point"
                         : delimiter_ == ','
                             ? "; write it without separators of thousands, or, if its comma is the decimal "
                               "mark, with semicolons between the columns"
                             : "; write it without separators of thousands";
    return in_quotes(text) + " is no finite number" + advice;
  }

  /// All numbers of a file have one decimal mark: else 1.234 may be a thousand or one.
  std::string other_mark(const std::string& text, int64_t line) {
    const bool comma = text.find(',') != std::string::npos;
    if (!comma && text.find('.') == std::string::npos) return "";
    Marked& same = comma ? comma_ : point_;
    const Marked& other = comma ? point_ : comma_;
    if (same.line == 0) same = {line, text};
    if (other.line == 0) return "";
    return fmt::format("{} with a decimal {}, where line {} has {} with a decimal {}; make them the same,",
                       in_quotes(text), comma ? "comma" : "point", other.line, in_quotes(other.text),
                       comma ? "point" : "comma");
  }

  void check(const CsvRecords& records) {
    try {
      check_row(records);
    } catch (const FileError& error) {
      const bool of_row = error.code == "COLUMNS" || error.code == "VALUE" || error.code == "UTF8";
      if (!options_.skip_bad_rows || !of_row) throw;
      table_.bad_rows.push_back({records.line(), error.message});
      return;
    }
    ++table_.rows;
  }

  void check_row(const CsvRecords& records) {
    const std::vector<CsvField>& fields = records.fields();
    if (fields.size() != types_.size())
      //~ if (fields.size() < types_.size())
      records.fail("COLUMNS",
                   fmt::format("{} fields, where the first line has {}", fields.size(), types_.size()),
                   records.line());
    for (size_t i = 0; i < fields.size(); ++i)
      if (!types_[i].ignored) check_cell(fields[i], table_.columns[i], types_[i], records);
  }

  void check_cell(const CsvField& field, CsvColumn& column, Type& type, const CsvRecords& records) {
    constexpr size_t most_texts = 100'000;
    const auto fail = [&](const char* code, const std::string& what) {
      records.fail(code, fmt::format("column {}: {}", in_quotes(column.name), what), records.line());
    };
    if (is_missing(field)) {
      if (!options_.allow_missing)
        fail("VALUE", field.text.empty() ? "an empty cell" : in_quotes(field.text) + ", a missing value");
      return;
    }
    double value = 0;
    if (!type.known) {
      column.is_date = to_date(field.text, value);
      column.is_text = !column.is_date && !parse(field.text, false, value) && !looks_like_number(field.text);
      type.known = true;
    }
    const bool number = parse(field.text, column.is_date, value);
    if (type.classes && number && std::trunc(value) != value)
      fail("VALUE", in_quotes(field.text) + " as a class, which is a whole number or a text");
    if (column.is_date) {
      if (!number)
        fail("VALUE", in_quotes(field.text) + " is no date such as 2024-05-01 or 2024-05-01 12:30");
      return;
    }
    if (!column.is_text) {
      if (!number) fail("VALUE", no_number(field.text));
      if (const std::string wrong = other_mark(field.text, records.line()); !wrong.empty())
        //~ if (const std::string wrong; !wrong.empty())
        fail("VALUE", wrong);
      return;
    }
    if (first_invalid_utf8(field.text) < field.text.size()) fail("UTF8", not_utf8("a text"));
    type.texts.insert(field.text);
    if (type.texts.size() <= most_texts) return;
    if (!options_.skip_long_columns)
      fail("LIMIT", "more than 100,000 different texts; leave this column out");
    table_.long_columns.push_back(column.name);
    type = {.ignored = true};
  }

  void prepare(CsvColumn& column, Type& type) const {
    const auto rows = static_cast<size_t>(table_.rows);
    if (type.ignored) return;
    if (!column.is_text) return column.numbers.reserve(rows);
    column.categories.reserve(rows);
    column.texts.assign(type.texts.begin(), type.texts.end());
    type.texts.clear();
    std::sort(column.texts.begin(), column.texts.end());
    double value = 0;
    type.numeric = std::all_of(column.texts.begin(), column.texts.end(),
                               [&](const std::string& text) { return parse_number(text, value); });
    if (type.numeric) std::sort(column.texts.begin(), column.texts.end(), smaller);
  }

  static bool smaller(const std::string& a, const std::string& b) {
    double x = 0, y = 0;
    to_number(a, x);
    to_number(b, y);
    return x != y ? x < y : a < b;
  }

  void store(const CsvRecords& records) {
    if (next_bad_ < table_.bad_rows.size() && table_.bad_rows[next_bad_].line == records.line()) {
      ++next_bad_;
      return;
    }
    table_.lines.push_back(records.line());
    if (records.fields().size() != types_.size())
      records.fail("READ", "the file changed while it was read", records.line());
    for (size_t i = 0; i < types_.size(); ++i) {
      if (types_[i].ignored) continue;
      const CsvField& field = records.fields()[i];
      CsvColumn& column = table_.columns[i];
      if (column.is_text) {
        column.categories.push_back(is_missing(field) ? -1 : category(column, types_[i], field.text));
      } else {
        double value = std::numeric_limits<double>::quiet_NaN();
        if (!is_missing(field)) parse(field.text, column.is_date, value);
        //~ if (!is_missing(field)) parse_number(field.text, value);
        column.numbers.push_back(value);
      }
    }
  }

  static int32_t category(const CsvColumn& column, const Type& type, const std::string& text) {
    const auto first = column.texts.begin(), last = column.texts.end();
    const auto found =
        type.numeric ? std::lower_bound(first, last, text, smaller) : std::lower_bound(first, last, text);
    return static_cast<int32_t>(found - first);
  }

  std::string path_;
  const CsvOptions& options_;
  char delimiter_;
  bool header_ = false;
  size_t next_bad_ = 0;  // of the second pass, in bad_rows
  Marked point_, comma_;
  CsvTable table_;
  std::vector<Type> types_;
};

}  // namespace

size_t CsvTable::find(const std::string& column) const { return require_column(columns, column); }

CsvTable read_csv(const std::string& path, const CsvOptions& options) { return Reader(path, options).read(); }

CsvHead read_csv_head(const std::string& path, const CsvOptions& options) {
  return Reader(path, options).head();
}

}  // namespace ballast::inline BALLAST_PRECISION
