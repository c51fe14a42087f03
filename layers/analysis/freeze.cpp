#include <ballast/layers/analysis/freeze.h>

#include <fmt/ranges.h>
#include <fnmatch.h>

#include <utility>

namespace ballast::inline BALLAST_PRECISION {
namespace {

bool matches(const std::string& pattern, const std::string& path) {
  return fnmatch(pattern.c_str(), path.c_str(), 0) == 0;
}

// Walks through a model keeping track of which modules the pattern takes in: those it matches, and all below
// them. The root is taken in by patterns such as "*", which match the empty path.
class Switch : public Visitor {
 public:
  Switch(const std::string& pattern, const Freezing& what, bool frozen)
      : pattern_(pattern), what_(what), frozen_(frozen) {}

  FreezeReport operator()(Module& model) {
    module("", model);
    check<UsageError>(!report_.modules.empty() || !report_.parameters.empty(),
                      "the pattern '{}' matches no module and no parameter; there are {}", pattern_,
                      fmt::join(names_, ", "));
    return std::move(report_);
  }

 private:
  void module(const std::string& path, Module& part) override {
    const bool outside = std::exchange(inside_, inside_ || matches(pattern_, path));
    const size_t before = matched_;
    if (inside_) {
      ++matched_;
      if (!path.empty()) report_.modules.push_back(path);
    }
    names_.push_back(path.empty() ? part.describe() : path);
    enter(part);
    // Freezing holds inwards, from what matched; releasing also outwards, around what matched.
    if (frozen_ ? inside_ : matched_ > before) set(part);
    inside_ = outside;
  }

  void parameter(const std::string& path, Parameter& p) override {
    names_.push_back(path);
    if (!inside_ && !matches(pattern_, path)) return;
    report_.parameters.push_back(path);
    if (what_.parameters) p.set_trainable(!frozen_);
  }

  void set(Module& part) {
    if (what_.stats) part.frozen.statistics = frozen_;
    if (what_.mode) part.frozen.mode = frozen_;
  }

  const std::string& pattern_;
  const Freezing what_;
  const bool frozen_;
  bool inside_ = false;
  size_t matched_ = 0;
  std::vector<std::string> names_;
  FreezeReport report_;
};

}  // namespace

FreezeReport freeze(Module& model, const std::string& pattern, const Freezing& what) {
  return Switch(pattern, what, true)(model);
}

FreezeReport unfreeze(Module& model, const std::string& pattern, const Freezing& what) {
  return Switch(pattern, what, false)(model);
}

}  // namespace ballast::inline BALLAST_PRECISION
