#include <ballast/core/module.h>

#include <set>
#include <utility>

#include <ballast/core/thread_state.h>

namespace ballast::inline BALLAST_PRECISION {

thread_local constinit ThreadState thread_state;

void Visitor::operator()(std::string_view name, Parameter& part) {
  if (!part.empty()) at(name, [&](const std::string& path) { parameter(path, part); });
}

void Visitor::operator()(std::string_view name, Buffer& part) {
  if (!part.empty()) at(name, [&](const std::string& path) { buffer(path, part); });
}

void Visitor::operator()(std::string_view name, Counter& part) {
  at(name, [&](const std::string& path) { counter(path, part); });
}

void Visitor::operator()(std::string_view name, Parts& part) {
  if (const auto as_module = dynamic_cast<Module*>(&part)) return (*this)(name, *as_module);
  at(name, [&](const std::string&) { enter(part); });
}

void Visitor::operator()(std::string_view name, Module& part) {
  at(name, [&](const std::string& path) { module(path, part); });
}

void Visitor::module(const std::string&, Module& part) { enter(part); }

void Visitor::enter(Parts& part) { part.visit(*this); }

Tensor Module::forward(Tensor) {
  throw UsageError(
      fmt::format("{} has no forward(Tensor): if it takes other inputs, use its own call; if not, declare "
                  "`Tensor forward(Tensor x) override`",
                  describe()));
}

std::string Module::describe() const { return "module"; }

CallScope::CallScope(Module& module)
    : module_(module),
      outer_(std::exchange(thread_state.innermost_call, this)),
      outermost_(outer_ ? outer_->outermost_ : module) {
  if (module.frozen.mode) mode_.emplace();
  if (module.frozen.statistics) statistics_.emplace();
}

CallScope::~CallScope() { thread_state.innermost_call = outer_; }

namespace {

// "fc1 (Linear 4 -> 3)": the path from the outermost module called, and the layer's description.
std::string place_of(const CallScope& call) {
  std::string path;
  for_each_module(call.outermost(), [&](const std::string& p, Module& m) {
    if (&m == &call.module()) path = p;
  });
  const std::string layer = call.module().describe();
  return path.empty() ? layer : fmt::format("{} ({})", path, layer);
}

}  // namespace

ShapeError::ShapeError(std::string text) : Error(std::move(text)) {
  if (const CallScope* call = thread_state.innermost_call)
    message = fmt::format("ShapeError in {}: {}", place_of(*call), message);
}

NotFiniteError::NotFiniteError(std::string text) : ValueError(std::move(text)) {
  if (const CallScope* call = thread_state.innermost_call)
    message = fmt::format("in {}: {}", place_of(*call), message);
}

Tensor Module::operator()(Tensor x) {
  const auto call = [&] {
    const CallScope scope(*this);
    return forward(std::move(x));
  };
  if (!thread_state.observers) [[likely]]
    return call();
  const Tensor input = x;
  Tensor y = call();
  for (CallObserver* o = thread_state.observers; o; o = o->next_) o->called(*this, input, y);
  return y;
}

CallObserver::CallObserver() { resume(); }

CallObserver::~CallObserver() { pause(); }

void CallObserver::resume() {
  pause();
  next_ = std::exchange(thread_state.observers, this);
}

void CallObserver::pause() {
  CallObserver** link = &thread_state.observers;
  while (*link && *link != this) link = &(*link)->next_;
  if (*link) *link = next_;
}

// `visit` hands out parts for reading and writing alike and changes none itself, so that one list serves
// constant models too.
void walk(const Parts& parts, Visitor& v) { const_cast<Parts&>(parts).visit(v); }

int64_t parameter_count(const Parts& parts) {
  std::set<const Storage*> seen;
  int64_t count = 0;
  for_each_parameter(parts, [&](const std::string&, const Parameter& p) {
    if (seen.insert(p.value().storage().get()).second) count += p.count();
  });
  return count;
}

void zero_grad(Parts& parts) {
  for_each_parameter(parts, [](const std::string&, Parameter& p) { p.zero_grad(); });
}

void check_buffers_listed(const Parts& parts) {
  std::set<const Storage*> found;
  for_each_buffer(parts,
                  [&](const std::string&, const Buffer& b) { found.insert(b.value().storage().get()); });
  for_each_module(parts, [&](const std::string&, const Module& module) {
    for (const Tensor& buffer : module.updated_) {
      const bool lives = buffer.storage()->role == Role::buffer;
      //~ const bool lives = true;
      check<UsageError>(!lives || found.count(buffer.storage().get()),
                        "a buffer of shape {} that the model updates is not listed by any visit(), so it "
                        "would not be saved; list the layer that holds it in visit()",
                        buffer.shape());
    }
  });
}

}  // namespace ballast::inline BALLAST_PRECISION
