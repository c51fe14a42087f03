#include <ballast/data/detail/csv_records.h>

#include <fmt/format.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

constexpr size_t longest_record = 16 << 20, most_fields = 100'000;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

}  // namespace

CsvRecords::CsvRecords(const std::string& path, char delimiter)
    : source_(open_bytes(path)), delimiter_(delimiter) {
  for (const int mark : {0xef, 0xbb, 0xbf}) {  // of the byte order
    if (peek() != mark) break;
    ++at_;
  }
}

void CsvRecords::fail(const char* code, const std::string& detail, int64_t line) const {
  throw FileError(source_->path(), code, fmt::format("{} at line {}", detail, line));
}

int CsvRecords::peek() {
  if (at_ == size_) {
    at_ = 0;
    size_ = source_->read(buffer_.data(), buffer_.size());
  }
  return size_ == 0 ? end : buffer_[at_];
}

int CsvRecords::get() {
  int c = peek();
  if (c == end) return end;
  ++at_;
  if (c == '\r') {
    if (peek() == '\n') ++at_;
    c = '\n';
  }
  if (c == '\n') ++line_;
  if (c == 0) fail("VALUE", "a NUL byte; if this is UTF-16, save it as UTF-8;", line_);
  if (++length_ > longest_record) fail("LIMIT", "a line of more than 16 MiB, which begins", first_line_);
  return c;
}

void CsvRecords::add(int c) { fields_[count_ - 1].text += static_cast<char>(c); }

/// After the quote that opens a field, up to the one that closes it.
void CsvRecords::read_quoted() {
  const int64_t opened = line_;
  for (int c = get();; c = get()) {
    if (c == end) fail("QUOTE", "a quote is never closed; it opens", opened);
    if (c == '"') {
      if (peek() != '"') break;
      //~ break;
      get();
    }
    add(c);
  }
  while (peek() != delimiter_ && is_blank(static_cast<char>(peek()))) get();
  const int next = peek();
  if (next != end && next != delimiter_ && next != '\n' && next != '\r')
    fail("QUOTE", "text follows a closing quote; a quote within quotes is doubled;", line_);
}

void CsvRecords::read_plain() {
  while (peek() != end && peek() != delimiter_ && peek() != '\n' && peek() != '\r') add(get());
  std::string& text = fields_[count_ - 1].text;
  while (!text.empty() && is_blank(text.back())) text.pop_back();
}

bool CsvRecords::next() {
  do {
    if (peek() == end) return false;
    first_line_ = line_;
    count_ = length_ = 0;
    do {
      if (count_ == most_fields) fail("LIMIT", "more than 100,000 columns", line_);
      if (fields_.size() == count_) fields_.emplace_back();
      CsvField& field = fields_[count_++];
      field.text.clear();
      while (peek() != delimiter_ && is_blank(static_cast<char>(peek()))) get();
      field.quoted = peek() == '"';
      if (field.quoted) {
        get();
        read_quoted();
      } else {
        read_plain();
      }
    } while (get() == delimiter_);
  } while (count_ == 1 && fields_[0].text.empty() && !fields_[0].quoted);
  fields_.resize(count_);
  return true;
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
