#pragma once

#include <array>
#include <concepts>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <ballast/core/layer_info.h>
#include <ballast/core/parameter.h>
#include <ballast/core/scope.h>

namespace ballast::inline BALLAST_PRECISION {

class Module;
class Parts;

/// What walks through named parts. `visit` calls it once for each part, with the part's name; paths are
/// joined by dots. Absent parameters and buffers (of a layer without bias, say) are skipped.
class Visitor {
 public:
  virtual ~Visitor() = default;

  void operator()(std::string_view name, Parameter& part);
  void operator()(std::string_view name, Buffer& part);
  void operator()(std::string_view name, Counter& part);
  void operator()(std::string_view name, Parts& part);
  void operator()(std::string_view name, Module& part);
  template <std::derived_from<Parts> P>
  void operator()(std::string_view name, std::optional<P>& part) {
    if (part) (*this)(name, *part);
  }
  template <std::derived_from<Parts> P>
  void operator()(std::string_view name, std::unique_ptr<P>& part) {
    if (part) (*this)(name, *part);
  }
  /// Lists of any of these, whose elements are named by their numbers as in PyTorch's ModuleList:
  /// `v("blocks", blocks)` gives blocks.0, blocks.1, ...
  template <class Part>
  void operator()(std::string_view name, std::vector<Part>& parts) {
    list(name, parts);
  }
  template <class Part, size_t n>
  void operator()(std::string_view name, std::array<Part, n>& parts) {
    list(name, parts);
  }

 protected:
  virtual void parameter(const std::string& /*path*/, Parameter&) {}
  virtual void buffer(const std::string& /*path*/, Buffer&) {}
  virtual void counter(const std::string& /*path*/, Counter&) {}
  /// Called for each child before its parts; an override that doesn't call `enter` leaves them out.
  virtual void module(const std::string& /*path*/, Module& part);
  void enter(Parts& part);

 private:
  template <class Visit>
  void at(std::string_view name, Visit visit) {
    const size_t length = path_.size();
    if (length) path_ += '.';
    path_ += name;
    visit(path_);
    path_.resize(length);
  }
  template <class List>
  void list(std::string_view name, List& parts) {
    at(name, [&](const std::string&) {
      for (size_t i = 0; i < parts.size(); ++i) (*this)(std::to_string(i), parts[i]);
    });
  }
  std::string path_;
};

/// Anything with named parts, which are saved, loaded and counted: parameters, buffers, counters, and other
/// Parts. A module, or an optimizer, whose parts are its state.
class Parts {
 public:
  virtual ~Parts() = default;
  /// Names every part: the one list that saving, optimizing, freezing, counting and printing read. Names are
  /// the field's (`weight`, `bias`, `running_mean`, ...), so that a checkpoint is a PyTorch state_dict. It
  /// must not change anything: constant models are visited too.
  virtual void visit(Visitor& /*v*/) {}

 protected:
  Parts() = default;
  Parts(const Parts&) = default;
  Parts& operator=(const Parts&) = default;
};

/// Parameters that belong to no module, for an optimizer: `ParameterList list({&w, &b}); SGD sgd(list);`.
/// They are named by their numbers, and must outlive the list.
class ParameterList : public Parts {
 public:
  explicit ParameterList(std::vector<Parameter*> parameters) : parameters_(std::move(parameters)) {}
  void visit(Visitor& v) override {
    for (size_t i = 0; i < parameters_.size(); ++i) v(std::to_string(i), *parameters_[i]);
  }

 private:
  std::vector<Parameter*> parameters_;
};

/// A part of a network. A layer that maps one tensor to one tensor overrides `forward` and is called like a
/// function. A module with other inputs, such as a recurrent cell, defines a call of its own, which begins
/// with a CallScope. Copies are deep; see Parameter for what an assignment does.
class Module : public Parts {
 public:
  virtual Tensor forward(Tensor x);
  /// What tools may know of a layer, which they read by `info_of`. Without it they refuse the layer, or leave
  /// out what they can't know, and say so.
  virtual LayerInfo info() { return {.known = false}; }
  /// One line for summaries and errors, such as "Linear 784 -> 10".
  virtual std::string describe() const;

  /// `forward(x)` in a CallScope.
  Tensor operator()(Tensor x);

  /// Two of the three switches of freezing, for this module and all it calls; the third is
  /// Parameter::set_trainable.
  struct Frozen {
    bool statistics = false;  // running statistics stay as they are
    bool mode = false;        // evaluates even while a tape trains the rest
  } frozen;

 protected:
  Module() = default;
  Module(const Module& other) : Parts(other), frozen(other.frozen) {}
  Module(Module&&) = default;
  Module& operator=(const Module& other) {
    frozen = other.frozen;
    return *this;
  }

 private:
  friend class Buffer;
  friend void check_buffers_listed(const Parts& parts);
  std::vector<Tensor> updated_;  // buffers updated in calls of which this module's was the outermost
};

/// A call of a module, from here to the end of the block: applies freezing, tells a ShapeError where it was
/// thrown, and records which buffers are updated. `Module::operator()` has one; in a call of
/// your own it is the first line:
///
///     std::pair<Tensor, Tensor> operator()(Tensor x, Tensor h) {
///       const CallScope scope(*this);
///       ...
class CallScope {
 public:
  explicit CallScope(Module& module);
  ~CallScope();
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;
  static void* operator new(size_t) = delete;  // calls end in the reverse order of their beginnings

  Module& module() const { return module_; }
  /// The module that was called first on this thread and hasn't returned yet.
  Module& outermost() const { return outermost_; }

 private:
  Module& module_;
  CallScope* outer_;
  Module& outermost_;
  std::optional<FrozenModeScope> mode_;
  std::optional<FrozenStatisticsScope> statistics_;
};

/// Visits parts that may be constant, for a visitor that changes nothing.
void walk(const Parts& parts, Visitor& v);

namespace detail {

/// Calls f(path, part) for the parts of one kind.
template <class Kind, class F>
class Each : public Visitor {
 public:
  explicit Each(F& f) : f_(f) {}

 private:
  void parameter(const std::string& path, Parameter& p) override { call(path, p); }
  void buffer(const std::string& path, Buffer& b) override { call(path, b); }
  void counter(const std::string& path, Counter& c) override { call(path, c); }
  void module(const std::string& path, Module& m) override { call(path, m), enter(m); }
  template <class Part>
  void call(const std::string& path, Part& part) {
    if constexpr (std::is_same_v<Part, std::remove_const_t<Kind>>) f_(path, static_cast<Kind&>(part));
  }
  F& f_;
};

template <class Kind, class P, class F>
void for_each(P& parts, F& f) {
  Each<std::conditional_t<std::is_const_v<P>, const Kind, Kind>, F> each(f);
  walk(parts, each);
}

}  // namespace detail

/// Calls `f(path, parameter)` for every parameter, in the order of `visit`; one shared by two layers is
/// visited under each name. Parts of a constant model are constant.
template <std::derived_from<Parts> P, class F>
void for_each_parameter(P& parts, F f) {
  detail::for_each<Parameter>(parts, f);
}
template <std::derived_from<Parts> P, class F>
void for_each_buffer(P& parts, F f) {
  detail::for_each<Buffer>(parts, f);
}
template <std::derived_from<Parts> P, class F>
void for_each_counter(P& parts, F f) {
  detail::for_each<Counter>(parts, f);
}
/// The module itself first, under the empty path, then all below it.
template <std::derived_from<Parts> P, class F>
void for_each_module(P& parts, F f) {
  using M = std::conditional_t<std::is_const_v<P>, const Module, Module>;
  if (const auto root = dynamic_cast<M*>(&parts)) f(std::string(), *root);
  detail::for_each<Module>(parts, f);
}

/// Number of trainable and frozen values, each shared parameter counted once.
int64_t parameter_count(const Parts& parts);
/// Drops all gradients.
void zero_grad(Parts& parts);

/// Throws UsageError if a call of a module among `parts` has updated a buffer that no `visit` lists: saving
/// would lose it.
void check_buffers_listed(const Parts& parts);

/// Observes every call of a module on its thread while it exists, but for pauses: the basis of probes. It may
/// read what it is given, and must not write to it.
class CallObserver {
 public:
  CallObserver(const CallObserver&) = delete;
  CallObserver& operator=(const CallObserver&) = delete;
  /// `module(x)` has returned `y`.
  virtual void called(const Module& module, const Tensor& x, const Tensor& y) = 0;
  /// Between the two calls are as if it didn't exist. To be called on its thread, as often as one likes.
  void pause();
  void resume();

 protected:
  CallObserver();
  virtual ~CallObserver();

 private:
  friend class Module;
  CallObserver* next_;  // the observers of a thread form a list
};

}  // namespace ballast::inline BALLAST_PRECISION
