#include "trainer/model_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>

#include "options/choice.h"
#include "trainer/model_words.h"
#include "trainer/text.h"

namespace ballast::app {
namespace {

// So that a slip of a digit doesn't fill the memory.
constexpr size_t most_calls = 10'000;
constexpr int64_t most_times = 1000;
constexpr int most_depth = 16;

/// A run of characters other than blanks, commas and parentheses.
struct Token {
  size_t begin, size;
};

bool is_given(const Call& call, const std::string& name) {
  return std::ranges::find(call.values, name, &Call::Value::name) != call.values.end();
}

size_t count(const std::vector<Call>& calls) {
  size_t sum = calls.size();
  for (const Call& call : calls) sum += count(call.body);
  return sum;
}

std::vector<std::string> names_of(const Word& word, bool by_place) {
  std::vector<std::string> names;
  for (const Argument& argument : word.arguments)
    if (argument.by_place() == by_place) names.push_back(argument.name);
  return names;
}

/// The value that `text` gives to an argument; none if it can't have that.
std::optional<double> value_of(const Argument& argument, std::string_view text) {
  if (argument.kind == Argument::Kind::flag) {
    if (text == "true" || text == "1") return 1;
    if (text == "false" || text == "0") return 0;
    return {};
  }
  double value = 0;
  const std::from_chars_result read = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool valid = read.ec == std::errc{} && read.ptr == text.data() + text.size() &&
                     value >= argument.least && value <= argument.most;
  const bool fits = valid && (argument.kind == Argument::Kind::number || value == std::floor(value));
  return fits ? std::optional(value) : std::nullopt;
}

std::string range_of(const Argument& argument) {
  if (argument.kind == Argument::Kind::flag) return "true or false";
  return fmt::format("a {} from {} to {}", argument.kind == Argument::Kind::whole ? "whole number" : "number",
                     argument.least, argument.most);
}

class Parser {
 public:
  explicit Parser(ModelLine& line) : line_(line) {}

  void read() {
    line_.calls = sequence();
    if (at_ < line_.text.size()) line_.fail(at_, 1, "no \"(\" belongs to it");
  }

 private:
  std::string text(const Token& token) const { return line_.text.substr(token.begin, token.size); }

  void skip_blanks() { at_ = std::min(line_.text.find_first_not_of(' ', at_), line_.text.size()); }

  bool next_is(char c) {
    skip_blanks();
    return at_ < line_.text.size() && line_.text[at_] == c;
  }

  bool take(char c) {
    if (!next_is(c)) return false;
    ++at_;
    return true;
  }

  Token token() {
    skip_blanks();
    const size_t begin = at_;
    at_ = std::min(line_.text.find_first_of(" ,()", at_), line_.text.size());
    return {begin, at_ - begin};
  }

  std::vector<Call> sequence() {
    std::vector<Call> calls;
    do {
      item(calls);
    } while (take(','));
    return calls;
  }

  void item(std::vector<Call>& calls) {
    const Token name = token();
    if (name.size == 0) {
      const bool at_end = at_ == line_.text.size();
      line_.fail(at_, at_end ? 0 : 1, at_end ? "a word is missing" : "a word is missing before it");
    }
    if (const int64_t times = times_of(name); times != 0) {
      const std::vector<Call> body = in_parentheses(name);
      repeated_ += (static_cast<size_t>(times) - 1) * count(body);
      //~
      check_count(name);
      for (int64_t i = 0; i < times; ++i) calls.insert(calls.end(), body.begin(), body.end());
    } else {
      calls.push_back(call(name));
    }
    if (next_is(',') || next_is(')') || at_ == line_.text.size()) return;
    const size_t begin = at_;
    line_.fail(begin, std::max<size_t>(token().size, 1), "a comma is missing before it");
  }

  /// 3 for "3x" before "(", 0 for anything else.
  int64_t times_of(const Token& name) {
    const std::string given = text(name);
    const bool repetition =
        next_is('(') && given.size() > 1 && given.back() == 'x' &&
        std::all_of(given.begin(), given.end() - 1, [](char c) { return c >= '0' && c <= '9'; });
    if (!repetition) return 0;
    int64_t times = 0;
    const std::from_chars_result read = std::from_chars(given.data(), given.data() + given.size() - 1, times);
    if (read.ec != std::errc{} || times < 1 || times > most_times)
      line_.fail(name.begin, name.size, fmt::format("repeat 1 to {} times", most_times));
    return times;
  }

  std::vector<Call> in_parentheses(const Token& name) {
    const size_t opened = at_;
    take('(');
    if (++depth_ > most_depth)
      line_.fail(opened, 1, fmt::format("more than {} parentheses in one another", most_depth));
    std::vector<Call> body = sequence();
    if (!take(')')) line_.fail(name.begin, opened + 1 - name.begin, "its parenthesis is never closed");
    --depth_;
    return body;
  }

  void check_count(const Token& name) const {
    if (written_ + repeated_ > most_calls)
      line_.fail(name.begin, name.size,
                 fmt::format("more than {} words, repetitions written out", most_calls));
  }

  Call call(const Token& name) {
    const Word& word = find_word(name);
    ++written_;
    check_count(name);
    Call call{&word, {}, {}, name.begin, name.size};
    const bool opens = next_is('(');
    if (opens != word.has_body)
      line_.fail(name.begin, name.size,
                 opens ? fmt::format("it takes no parentheses; write {}", usage(word))
                       : fmt::format("the layers that it is of are missing; write {}", usage(word)));
    if (opens) {
      call.body = in_parentheses(name);
    } else {
      for (Token given = token(); given.size != 0; given = token()) read_value(call, given);
    }
    // A token of no size has passed the blanks after the last one.
    call.size = line_.text.find_last_not_of(' ', at_ - 1) + 1 - name.begin;
    //~ call.size = name.size;
    check_complete(call);
    return call;
  }

  const Word& find_word(const Token& name) const {
    const std::string given = text(name);
    std::vector<std::string> known;
    for (const Word& word : words()) {
      if (word.name == lower(given)) return word;
      known.push_back(word.name);
    }
    line_.fail(name.begin, name.size, "unknown word" + suggestion_or_all(given, known));
  }

  void read_value(Call& call, const Token& given) const {
    const std::string whole = text(given);
    const size_t equals = whole.find('=');
    const bool named = equals != std::string::npos;
    const Argument& argument =
        named ? named_argument(call, given, whole.substr(0, equals)) : next_argument(call, given);
    const std::optional<double> value =
        value_of(argument, std::string_view(whole).substr(named ? equals + 1 : 0));
    if (!value)
      line_.fail(given.begin, given.size,
                 fmt::format("{} of {} must be {}", argument.name, call.word->name, range_of(argument)));
    call.values.push_back({argument.name, *value});
  }

  const Argument& named_argument(const Call& call, const Token& given, const std::string& name) const {
    if (is_given(call, name)) line_.fail(given.begin, given.size, "it is given twice");
    const auto found = std::ranges::find(call.word->arguments, name, &Argument::name);
    if (found != call.word->arguments.end() && !found->by_place()) return *found;
    const std::vector<std::string> known = names_of(*call.word, false);
    line_.fail(given.begin, given.size,
               fmt::format("{} has no argument {}; write {}{}", call.word->name, name, usage(*call.word),
                           suggestion(name, known)));
  }

  /// The next of those that are given by their place.
  const Argument& next_argument(const Call& call, const Token& given) const {
    for (const Argument& argument : call.word->arguments)
      if (argument.by_place() && !is_given(call, argument.name)) return argument;
    line_.fail(given.begin, given.size,
               fmt::format("{} takes no more values; write {}", call.word->name, usage(*call.word)));
  }

  void check_complete(const Call& call) const {
    for (const Argument& argument : call.word->arguments)
      if (argument.required && !is_given(call, argument.name))
        line_.fail(
            call.begin, call.size,
            fmt::format("{}, {}, is missing; write {}", argument.name, argument.help, usage(*call.word)));
  }

  ModelLine& line_;
  size_t at_ = 0, written_ = 0, repeated_ = 0;
  int depth_ = 0;
};

}  // namespace

void ModelLine::fail(size_t begin, size_t size, const std::string& why) const {
  const std::string where = begin < text.size()
                                ? fmt::format("\"{}\" at character {}", text.substr(begin, size), begin + 1)
                                : "at the end";
  throw ModelError(
      fmt::format("--model{}{}: {} of \"{}\": {}", model.empty() ? "" : " ", model, where, text, why));
}

ModelLine parse_line(const std::string& text, const std::string& preset) {
  ModelLine line{preset, text, {}};
  std::ranges::replace_if(
      line.text, [](unsigned char c) { return std::iscntrl(c) != 0; }, ' ');
  Parser(line).read();
  return line;
}

std::string text_of(const std::vector<Call>& calls) {
  std::string text;
  for (const Call& call : calls) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", call.word->name);
    if (call.word->has_body) text += fmt::format("({})", text_of(call.body));
    for (const auto& [name, value] : call.values) {
      const auto argument = std::ranges::find(call.word->arguments, name, &Argument::name);
      text += argument->by_place() ? fmt::format(" {}", value) : fmt::format(" {}={}", name, value);
    }
  }
  return text;
}

}  // namespace ballast::app
