#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ballast/core/ops/then.h>
#include <ballast/core/parameter.h>

namespace ballast::inline BALLAST_PRECISION {

class Module;

/// What walks through a module's parts. `visit` calls it once for each part, with the part's name; paths are
/// joined by dots. Absent parameters and buffers (of a layer without bias, say) are passed over.
class Visitor {
 public:
  virtual ~Visitor() = default;

  void operator()(std::string_view name, Parameter& part);
  void operator()(std::string_view name, Buffer& part);
  void operator()(std::string_view name, Counter& part);
  void operator()(std::string_view name, Module& part);
  template <std::derived_from<Module> M>
  void operator()(std::string_view name, std::optional<M>& part) {
    if (part) (*this)(name, static_cast<Module&>(*part));
  }
  template <std::derived_from<Module> M>
  void operator()(std::string_view name, std::unique_ptr<M>& part) {
    if (part) (*this)(name, static_cast<Module&>(*part));
  }

 protected:
  virtual void parameter(const std::string& /*path*/, Parameter&) {}
  virtual void buffer(const std::string& /*path*/, Buffer&) {}
  virtual void counter(const std::string& /*path*/, Counter&) {}
  /// Called for each child before its parts; an override that doesn't call `enter` leaves them out.
  virtual void module(const std::string& /*path*/, Module& part) { enter(part); }
  void enter(Module& part);

 private:
  template <class Visit>
  void at(std::string_view name, Visit visit);
  std::string path_;
};

/// Anything with parts: parameters, buffers, other modules. A layer that maps one tensor to one tensor
/// overrides `forward` and is called like a function; a module with other inputs defines its own call. Copies
/// are deep.
class Module {
 public:
  virtual ~Module() = default;

  /// Names every part: the one list that saving, optimizing, freezing, counting and printing read. Names are
  /// the field's (`weight`, `bias`, `running_mean`, ...), so that a checkpoint is a PyTorch state_dict.
  virtual void visit(Visitor& /*v*/) {}
  virtual Tensor forward(Tensor x);
  /// `forward` and what follows it. A layer that does both in one pass over memory overrides both of these.
  virtual Tensor forward_then(Tensor x, const Then& then);
  virtual bool fuses(const Then& /*then*/) const { return false; }
  /// One line for summaries and errors, such as "Linear 784 -> 10".
  virtual std::string describe() const;

  /// `forward(x)`. A ShapeError thrown inside gets the path and description of the layer it happened in.
  Tensor operator()(Tensor x);
  /// The same with what follows: `norm(x, then::relu)`. Observers see the layer's own result, for which it is
  /// computed once more.
  Tensor operator()(Tensor x, const Then& then);

  /// Two of the three switches of freezing, for this module and all it calls; the third is
  /// Parameter::set_trainable.
  struct Frozen {
    bool statistics = false;  // running statistics stay as they are
    bool mode = false;        // evaluates even while a tape trains the rest
  } frozen;

 protected:
  Module() = default;
  Module(const Module&) = default;
  Module(Module&&) = default;
  Module& operator=(const Module&) = default;
  Module& operator=(Module&&) = default;

 private:
  friend class Sequential;
  Tensor call(Tensor x, const Then& then);
};

/// Calls `f(path, parameter)` for every parameter, in the order of `visit`; one shared by two layers comes
/// under each name.
void for_each_parameter(Module& module, const std::function<void(const std::string&, Parameter&)>& f);
void for_each_buffer(Module& module, const std::function<void(const std::string&, Buffer&)>& f);
void for_each_counter(Module& module, const std::function<void(const std::string&, Counter&)>& f);
/// The module itself first, under the empty path, then all below it.
void for_each_module(Module& module, const std::function<void(const std::string&, Module&)>& f);

/// Number of trainable and frozen values, each shared parameter counted once.
int64_t parameter_count(Module& module);
/// Drops all gradients.
void zero_grad(Module& module);

/// Throws UsageError if a forward pass of `module` has updated a buffer that its `visit` doesn't list: saving
/// would lose it.
void check_buffers_listed(Module& module);

/// The module that was called first on this thread and hasn't returned yet; null outside any call.
const Module* outermost_module();

/// Whether anybody observes the calls on this thread.
bool observed();

/// Is told of every call of a module on its thread, from its construction to its destruction: what probes are
/// built on. It may read what it is given, and must not write to it.
class CallObserver {
 public:
  CallObserver(const CallObserver&) = delete;
  CallObserver& operator=(const CallObserver&) = delete;
  /// `module(x)` has given `y`.
  virtual void called(const Module& module, const Tensor& x, const Tensor& y) = 0;

 protected:
  CallObserver();
  ~CallObserver();

 private:
  friend class Module;
  CallObserver* next_;  // the observers of a thread form a list
};

}  // namespace ballast::inline BALLAST_PRECISION
