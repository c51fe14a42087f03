#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <ballast/layers/sequential.h>

#include "options/options.h"
#include "trainer/model_line.h"

namespace ballast::app {

/// What may be given to a word. A name in capitals is given by its place (conv 32 3), any other by its name
/// (pad=1).
struct Argument {
  enum class Kind { whole, number, flag };  // a flag is true or false, 1 or 0

  std::string name, help;
  bool required = false;
  Kind kind = Kind::whole;
  double least = 1, most = 1e6;

  bool by_place() const;
};

/// Where a word of the line adds its layers, and what it may know to do so.
class Place {
 public:
  /// The shape of what the word gets, for one sample: (1, C, H, W), (1, C, L) or (1, F).
  const Shape& shape() const { return x_.shape(); }
  const ModelOptions& options() const { return options_; }
  int64_t outputs() const { return outputs_; }

  /// An argument; none if it wasn't given.
  std::optional<double> number(std::string_view argument) const;
  std::optional<int64_t> whole(std::string_view argument) const;
  /// A layer that a norm directly follows has no bias, unless the argument `bias` says otherwise.
  bool bias() const;
  /// Whether the word stands neither in another's parentheses nor before another of the same name.
  bool is_last_of_its_name() const;

  template <class Layer>
  void add(Layer layer) {
    net_.add(std::move(layer));
    run_new_layers();
  }
  void add_norm(const std::string& name);
  void add_activation(const std::string& name);
  /// The layers of the word's parentheses, which get what the word gets, and the shape of what they give.
  std::pair<Sequential, Shape> body() const;

 private:
  friend Sequential build(const ModelLine&, const ModelOptions&, const Shape&, int64_t);
  Place(const ModelLine& line, const ModelOptions& options, int64_t outputs, const std::vector<Call>& calls,
        Tensor x, bool inside)
      : line_(line), options_(options), outputs_(outputs), calls_(calls), x_(std::move(x)), inside_(inside) {}
  void build_all();
  void run_new_layers();
  bool norm_follows() const;

  const ModelLine& line_;
  const ModelOptions& options_;
  int64_t outputs_;
  const std::vector<Call>& calls_;  // one after the other; at_ is the one being built
  size_t at_ = 0;
  Tensor x_;     // a blank sample that has been through the layers so far
  bool inside_;  // in the parentheses of another word
  Sequential net_;
  size_t seen_ = 0;  // layers that x_ has been through
};

/// A word of the lines of --model.
struct Word {
  std::string name, help;
  std::vector<Argument> arguments = {};
  std::function<void(Place&)> make = {};
  /// Has a line in parentheses instead of arguments; see `Place::body`.
  bool has_body = false;
  /// Layers directly before it have no bias; see `Place::bias`.
  bool is_norm = false;
  /// Options that have an effect on it when no arguments are given.
  std::vector<std::string> options = {};
};

/// All words, in the order of `ballast models`.
const std::deque<Word>& words();

/// Makes a word of your own known, before any line is read:
///
///   register_word({.name = "aff",
///                  .help = "weight x + bias",
///                  .make = [](Place& place) { place.add(Aff(place.shape()[-1])); }});
///
/// Throws ValueError if the name is taken or can't be written in a line.
void register_word(Word word);

/// How it is written: "conv CHANNELS KERNEL [pad=] [stride=]"
std::string usage(const Word& word);

/// "(N, C, H, W)" for the shape (1, C, H, W) of a single sample.
std::string shape_text(const Shape& shape);

/// The network of the line, from samples of `sample_shape` to `outputs` numbers each (for each position, if
/// positions are left). Throws ModelError if a word can't be used where it stands.
Sequential build(const ModelLine& line, const ModelOptions& options, const Shape& sample_shape,
                 int64_t outputs);

}  // namespace ballast::app
