// From a line that has been read to its network.
#include <fmt/format.h>

#include <algorithm>

#include <ballast/core/scope.h>

#include "trainer/model_words.h"
#include "trainer/norms.h"

namespace ballast::app {

std::string shape_text(const Shape& shape) {
  std::string text = "(N";
  for (int axis = 1; axis < shape.rank(); ++axis) text += fmt::format(", {}", shape[axis]);
  return text + ")";
}

std::optional<double> Place::number(std::string_view argument) const {
  for (const Call::Value& given : calls_[at_].values)
    if (given.name == argument) return given.value;
  return {};
}

std::optional<int64_t> Place::whole(std::string_view argument) const {
  const std::optional<double> value = number(argument);
  return value ? std::optional(static_cast<int64_t>(*value)) : std::nullopt;
}

bool Place::bias() const {
  const std::optional<double> given = number("bias");
  return given ? *given != 0 : !norm_follows();
}

bool Place::norm_follows() const {
  if (at_ + 1 == calls_.size()) return false;
  const Word& next = *calls_[at_ + 1].word;
  return next.is_norm && (next.name != "norm" || options_.norm != "none");
  //~ return next.is_norm;
}

bool Place::is_last_of_its_name() const {
  const auto same_word = [&](const Call& call) { return call.word == calls_[at_].word; };
  if (inside_) return false;
  //~
  return std::none_of(calls_.begin() + static_cast<std::ptrdiff_t>(at_) + 1, calls_.end(), same_word);
}

void Place::add_norm(const std::string& name) {
  find("norm", norms(), name).make(net_, shape());
  run_new_layers();
}

void Place::add_activation(const std::string& name) {
  find("act", activations(), name).make(net_);
  run_new_layers();
}

std::pair<Sequential, Shape> Place::body() const {
  Place inside(line_, options_, outputs_, calls_[at_].body, x_, true);
  inside.build_all();
  return {std::move(inside.net_), inside.shape()};
}

void Place::run_new_layers() {
  for (; seen_ < net_.size(); ++seen_) x_ = net_[seen_](std::move(x_));
  //~ seen_ = net_.size();
}

void Place::build_all() {
  for (at_ = 0; at_ < calls_.size(); ++at_) {
    const Call& call = calls_[at_];
    const std::string got = shape_text(shape());
    const auto fail = [&](const Error& error) {
      const bool rows = at_ == 0 && !inside_ && shape().rank() == 2;  // of a table
      if (rows && !line_.model.empty())
        throw ModelError(
            fmt::format("--model {}: it is for images, and these samples are rows of {} numbers; use --model "
                        "mlp, or give "
                        "--shape if the numbers are pixels",
                        line_.model, shape()[1]));
      line_.fail(call.begin, call.size, fmt::format("given {}: {}", got, error.message));
    };
    try {
      call.word->make(*this);
    } catch (const ModelError&) {  // of a word in its parentheses
      throw;
    } catch (const ShapeError& error) {
      fail(error);
    } catch (const ValueError& error) {
      fail(error);
    }
  }
}

Sequential build(const ModelLine& line, const ModelOptions& options, const Shape& sample_shape,
                 int64_t outputs) {
  const EvalScope evaluating;
  Place place(line, options, outputs, line.calls, zeros(sample_shape.inserted(0, 1)), false);
  place.build_all();
  const Shape& shape = place.shape();
  if (shape.rank() < 2 || shape[1] != outputs)
    line.fail(
        line.text.size(), 0,
        fmt::format("it gives {}, and the task has {} outputs; let it end in linear, or in flatten, linear",
                    shape_text(shape), outputs));
  return std::move(place.net_);
}

}  // namespace ballast::app
