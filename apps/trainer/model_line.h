#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ballast/core/check.h>

namespace ballast::app {

struct Word;

/// A word of a model's line with what was given to it: "conv 32 3 pad=1", "res(conv 32 3 pad=1, act)".
struct Call {
  struct Value {
    std::string name;  // of the argument
    double value;
  };

  const Word* word;
  std::vector<Value> values;  // in the order of the line
  std::vector<Call> body;     // what stands in its parentheses
  size_t begin, size;         // where it stands in the line
};

/// A model as a line of words, in which each word adds layers:
///
///   line = item {"," item}
///   item = COUNT "x(" line ")"           as often as that
///        | WORD "(" line ")"             a word with a body, such as res
///        | WORD {VALUE | NAME=VALUE}     any other
struct ModelLine {
  std::string model;        // the preset whose line it is, or ""
  std::string text;         // control characters are blanks
  std::vector<Call> calls;  // repetitions are written out
  /// Throws ValueError, one line of text that says where in the line the word stands, and why it is wrong.
  [[noreturn]] void fail(size_t begin, size_t size, const std::string& why) const;
};

/// Thrown by `ModelLine::fail`: a ValueError that tells its place.
struct ModelError : ValueError {
  using ValueError::ValueError;
};

/// Reads a line, without shapes: words, arguments and their ranges, parentheses. Throws ModelError.
ModelLine parse_line(const std::string& text, const std::string& preset = "");

/// The line again, repetitions written out.
std::string text_of(const std::vector<Call>& calls);

}  // namespace ballast::app
