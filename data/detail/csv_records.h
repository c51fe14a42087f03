#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include <ballast/data/detail/byte_source.h>

namespace ballast::inline BALLAST_PRECISION::detail {

struct CsvField {
  std::string text;
  bool quoted = false;
};

/// The records of a CSV file one after another, as RFC 4180 has them. Throws FileError as `read_csv` does.
class CsvRecords {
 public:
  CsvRecords(const std::string& path, char delimiter);

  /// Reads the next record that isn't empty; false at the end.
  bool next();
  /// Of the record that was read last.
  const std::vector<CsvField>& fields() const { return fields_; }
  int64_t line() const { return first_line_; }
  [[noreturn]] void fail(const char* code, const std::string& detail, int64_t line) const;

 private:
  static constexpr int end = -1;
  int get();   // the next byte, line ends as '\n'
  int peek();  // the byte that comes after it
  void add(int c);
  void read_quoted();
  void read_plain();

  std::unique_ptr<ByteSource> source_;
  char delimiter_;
  std::array<uint8_t, 65536> buffer_;
  size_t at_ = 0, size_ = 0;
  int64_t line_ = 1, first_line_ = 1;
  size_t length_ = 0, count_ = 0;
  std::vector<CsvField> fields_;
};

}  // namespace ballast::inline BALLAST_PRECISION::detail
