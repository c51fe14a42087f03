#include <ballast/core/scope.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include <ballast/core/thread_state.h>

namespace ballast::inline BALLAST_PRECISION {

struct ScopeLink {
  Scope::Inside inside = nullptr;
  Tape* tape = nullptr;
  std::atomic<bool> ended = false;

  bool has_ended() const { return ended.load(std::memory_order_acquire); }
};

// The scopes of a thread in the order in which they began, and unused links, which are kept for reuse.
struct OpenScopes {
  std::vector<std::shared_ptr<ScopeLink>> links, spare;

  OpenScopes() { thread_state.scopes = this; }
  ~OpenScopes() { thread_state.scopes = nullptr; }

  static OpenScopes& current() {
    thread_local OpenScopes open;
    return open;
  }

  void drop_ended() {
    const auto unused = [](const std::shared_ptr<ScopeLink>& link) {
      return link->has_ended() && link.use_count() == 1;
    };
    for (std::shared_ptr<ScopeLink>& link : links) {
      if (unused(link)) spare.push_back(std::move(link));
    }
    links.erase(std::remove(links.begin(), links.end(), nullptr), links.end());
  }
};

Scope::Scope(Inside inside, Tape* tape) {
  OpenScopes& open = OpenScopes::current();
  open.drop_ended();
  if (open.spare.empty()) {
    link_ = std::make_shared<ScopeLink>();
  } else {
    link_ = std::move(open.spare.back());
    open.spare.pop_back();
  }
  link_->inside = inside;
  link_->tape = tape;
  link_->ended.store(false, std::memory_order_relaxed);
  open.links.push_back(link_);
}

Scope::~Scope() {
  end();
  link_.reset();
  if (thread_state.scopes) thread_state.scopes->drop_ended();
}

void Scope::end() { link_->ended.store(true, std::memory_order_release); }

bool Scope::ended() const { return link_->has_ended(); }

Scope::State Scope::now() {
  State state;
  if (!thread_state.scopes) return state;
  for (const std::shared_ptr<ScopeLink>& link : thread_state.scopes->links) {
    if (!link->has_ended()) state = link->inside(state, link->tape);
    //~ state = link->inside(state, link->tape);
  }
  return state;
}

bool Scope::innermost() const {
  const ScopeLink* last = nullptr;
  for (const std::shared_ptr<ScopeLink>& link : OpenScopes::current().links) {
    if (!link->has_ended()) last = link.get();
  }
  return last == link_.get();
}

}  // namespace ballast::inline BALLAST_PRECISION
