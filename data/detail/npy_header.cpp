#include <ballast/data/detail/npy_header.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include <ballast/data/text.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace {

constexpr std::array<std::string_view, 12> dtypes = {"u1", "i1", "b1", "u2", "i2", "f2",
                                                     "u4", "i4", "f4", "u8", "i8", "f8"};

class HeaderParser {
 public:
  HeaderParser(std::string_view text, const ByteSource& source) : rest_(text), source_(source) {}

  NpyHeader parse() {
    expect('{');
    while (!skip('}')) {
      const std::string_view key = quoted();
      expect(':');
      read_value(key);
      if (!skip(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!rest_.empty()) fail("HEADER", fmt::format("{} follows the dictionary", in_quotes(rest_)));
    if (!has_dtype_ || !has_order_ || !has_shape_)
      fail("HEADER", "one of the keys 'descr', 'fortran_order', 'shape' is missing");
    return std::move(header_);
  }

 private:
  [[noreturn]] void fail(const char* code, const std::string& detail) const {
    source_.fail(code, detail + "; the header ends");
  }

  void skip_space() {
    const auto is_space = [](char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; };
    while (!rest_.empty() && is_space(rest_.front())) rest_.remove_prefix(1);
  }
  bool skip(char c) {
    skip_space();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!skip(c)) fail("HEADER", fmt::format("'{}' is expected before {}", c, in_quotes(rest_)));
  }
  std::string_view take(size_t length) {
    const std::string_view taken = rest_.substr(0, length);
    rest_.remove_prefix(taken.size());
    return taken;
  }

  std::string_view quoted() {
    skip_space();
    const char quote = rest_.empty() ? '\0' : rest_.front();
    if (quote != '\'' && quote != '"')
      fail("HEADER", fmt::format("a string is expected before {}", in_quotes(rest_)));
    take(1);
    const std::string_view text = take(rest_.find(quote));
    expect(quote);
    return text;
  }
  /// Letters, digits, points and signs.
  std::string_view word() {
    skip_space();
    const auto belongs = [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '+';
    };
    return take(static_cast<size_t>(std::find_if_not(rest_.begin(), rest_.end(), belongs) - rest_.begin()));
  }

  void read_value(std::string_view key) {
    bool* known = key == "descr"           ? &has_dtype_
                  : key == "fortran_order" ? &has_order_
                  : key == "shape"         ? &has_shape_
                                           : nullptr;
    if (!known) fail("HEADER", fmt::format("{} is no key of the format", in_quotes(key)));
    if (*known) fail("HEADER", fmt::format("the key {} comes twice", in_quotes(key)));
    //~
    *known = true;
    if (known == &has_dtype_) return read_dtype();
    if (known == &has_shape_) return read_shape();
    const std::string_view value = word();
    if (value != "True" && value != "False")
      fail("HEADER", fmt::format("{} as fortran_order, which is True or False", in_quotes(value)));
    header_.fortran_order = value == "True";
  }

  void read_dtype() {
    skip_space();
    if (!rest_.empty() && rest_.front() == '[')
      fail("DTYPE", "a structured array; save each of its fields as an array of its own");
    const std::string_view descr = quoted();
    const std::string_view type = descr.substr(std::min<size_t>(1, descr.size()));
    const char order = descr.empty() ? '\0' : descr.front();
    if (type.starts_with("O"))
      fail("DTYPE", "an array of Python objects, which are never loaded; convert it with astype");
    const int64_t size = npy_item_size(type);
    if (size == 0 || (order != '<' && order != '|' && order != '>'))
      fail("DTYPE", fmt::format("elements of type {} aren't read, which could be {}; convert with astype",
                                in_quotes(descr), fmt::join(dtypes, " ")));
    if (size > 1 && order != '<')
      fail("DTYPE",
           fmt::format("{} is not little-endian; convert it with astype('<{}')", in_quotes(descr), type));
    header_.dtype = type;
  }

  void read_shape() {
    constexpr size_t most_axes = 64;  // as in NumPy
    expect('(');
    while (!skip(')')) {
      if (header_.shape.size() == most_axes) fail("LIMIT", fmt::format("more than {} axes", most_axes));
      header_.shape.push_back(read_size());
      if (!skip(',')) {
        expect(')');
        return;
      }
    }
  }

  int64_t read_size() {
    std::string_view text = word();
    if (text.empty()) fail("HEADER", fmt::format("a size is expected before {}", in_quotes(rest_)));
    const std::string_view shown = text;
    if (text.ends_with('L')) text.remove_suffix(1);  // a long integer of Python 2
    int64_t size = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (error == std::errc::result_out_of_range && text.front() != '-')
      fail("OVERFLOW", fmt::format("the size {} does not fit in 63 bits", in_quotes(shown)));
    if (error != std::errc() || end != text.data() + text.size() || size < 0)
      fail("DIM", fmt::format("{} in shape; sizes are integers from 0 on", in_quotes(shown)));
    return size;
  }

  std::string_view rest_;
  const ByteSource& source_;
  NpyHeader header_;
  bool has_dtype_ = false, has_order_ = false, has_shape_ = false;
};

}  // namespace

int64_t npy_item_size(std::string_view dtype) {
  return std::find(dtypes.begin(), dtypes.end(), dtype) == dtypes.end() ? 0 : dtype[1] - '0';
}

NpyHeader parse_npy_header(std::string_view text, const ByteSource& source) {
  return HeaderParser(text, source).parse();
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
