#include <ballast/core/module.h>

#include <set>
#include <utility>

#include <ballast/core/scope.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

thread_local const Module* outermost = nullptr;
thread_local CallObserver* observers = nullptr;

class OutermostCall {
 public:
  explicit OutermostCall(const Module* module) : is_(outermost == nullptr) {
    if (is_) outermost = module;
  }
  ~OutermostCall() {
    if (is_) outermost = nullptr;
  }
  bool is() const { return is_; }

 private:
  bool is_;
};

}  // namespace

const Module* outermost_module() { return outermost; }

CallObserver::CallObserver() : next_(std::exchange(observers, this)) {}

CallObserver::~CallObserver() {
  CallObserver** link = &observers;
  while (*link != this) link = &(*link)->next_;
  *link = next_;
}

template <class Visit>
void Visitor::at(std::string_view name, Visit visit) {
  const size_t length = path_.size();
  if (length) path_ += '.';
  path_ += name;
  visit(path_);
  path_.resize(length);
}

void Visitor::operator()(std::string_view name, Parameter& part) {
  if (!part.empty()) at(name, [&](const std::string& path) { parameter(path, part); });
}

void Visitor::operator()(std::string_view name, Buffer& part) {
  if (!part.empty()) at(name, [&](const std::string& path) { buffer(path, part); });
}

void Visitor::operator()(std::string_view name, Counter& part) {
  at(name, [&](const std::string& path) { counter(path, part); });
}

void Visitor::operator()(std::string_view name, Module& part) {
  at(name, [&](const std::string& path) { module(path, part); });
}

void Visitor::enter(Module& part) { part.visit(*this); }

Tensor Module::forward(Tensor) {
  throw UsageError(
      fmt::format("{} has no forward(Tensor): it takes other inputs; use its own call", describe()));
}

std::string Module::describe() const { return "module"; }

Tensor Module::forward_then(Tensor x, const Then& then) { return apply(then, forward(std::move(x))); }

bool observed() { return observers != nullptr; }

// Not told to observers.
Tensor Module::call(Tensor x, const Then& then) {
  const OutermostCall outermost_call(this);
  std::optional<FrozenModeScope> mode;
  std::optional<FrozenStatisticsScope> statistics;
  if (frozen.mode) mode.emplace();
  if (frozen.statistics) statistics.emplace();
  try {
    return then ? forward_then(std::move(x), then) : forward(std::move(x));
  } catch (ShapeError& error) {
    if (!error.thrown_in) {
      error.thrown_in = this;
      error.layer = describe();
    }
    if (outermost_call.is()) {
      std::string path;
      for_each_module(*this, [&](const std::string& p, Module& m) {
        if (&m == error.thrown_in) path = p;
      });
      const std::string& layer = error.layer;
      error.message = fmt::format("ShapeError in {}: {}",
                                  path.empty() ? layer : fmt::format("{} ({})", path, layer), error.message);
    }
    throw;
  }
}

Tensor Module::operator()(Tensor x) {
  if (!observers) [[likely]]
    return call(std::move(x), {});
  const Tensor input = x;
  Tensor y = call(std::move(x), {});
  for (CallObserver* o = observers; o; o = o->next_) o->called(*this, input, y);
  return y;
}

Tensor Module::operator()(Tensor x, const Then& then) {
  if (!then || !fuses(then)) return apply(then, (*this)(std::move(x)));
  if (observers) {  // which see the module by itself
    const FrozenStatisticsScope again;
    (*this)(x);
  }
  return call(std::move(x), then);
}

namespace {

struct Walker : Visitor {
  std::function<void(const std::string&, Parameter&)> on_parameter;
  std::function<void(const std::string&, Buffer&)> on_buffer;
  std::function<void(const std::string&, Counter&)> on_counter;
  std::function<void(const std::string&, Module&)> on_module;

  void parameter(const std::string& path, Parameter& p) override {
    if (on_parameter) on_parameter(path, p);
  }
  void buffer(const std::string& path, Buffer& b) override {
    if (on_buffer) on_buffer(path, b);
  }
  void counter(const std::string& path, Counter& c) override {
    if (on_counter) on_counter(path, c);
  }
  void module(const std::string& path, Module& m) override {
    if (on_module) on_module(path, m);
    enter(m);
  }
};

}  // namespace

void for_each_parameter(Module& module, const std::function<void(const std::string&, Parameter&)>& f) {
  Walker walker;
  walker.on_parameter = f;
  module.visit(walker);
}

void for_each_buffer(Module& module, const std::function<void(const std::string&, Buffer&)>& f) {
  Walker walker;
  walker.on_buffer = f;
  module.visit(walker);
}

void for_each_counter(Module& module, const std::function<void(const std::string&, Counter&)>& f) {
  Walker walker;
  walker.on_counter = f;
  module.visit(walker);
}

void for_each_module(Module& module, const std::function<void(const std::string&, Module&)>& f) {
  Walker walker;
  walker.on_module = f;
  f("", module);
  module.visit(walker);
}

int64_t parameter_count(Module& module) {
  std::set<const Storage*> seen;
  int64_t count = 0;
  for_each_parameter(module, [&](const std::string&, Parameter& p) {
    if (seen.insert(p.value().storage().get()).second) count += p.count();
  });
  return count;
}

void zero_grad(Module& module) {
  for_each_parameter(module, [](const std::string&, Parameter& p) { p.zero_grad(); });
}

void check_buffers_listed(Module& module) {
  std::set<const Buffer*> listed;
  for_each_buffer(module, [&](const std::string&, Buffer& b) { listed.insert(&b); });
  for (const Buffer* buffer : Buffer::updated_by(&module)) {
    check<UsageError>(listed.count(buffer) > 0,
                      "a buffer of shape {} that the model updates is not listed by any visit(), so it would "
                      "not be saved; list the layer "
                      "that holds it in visit()",
                      buffer->shape());
  }
}

}  // namespace ballast::inline BALLAST_PRECISION
