#include <ballast/core/parallel.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>

#include <ballast/core/check.h>
#include <ballast/core/detail/denormals.h>
#include <ballast/core/detail/processors.h>
#include <ballast/core/detail/tuning.h>

#ifdef __SSE__
#include <xmmintrin.h>
#endif

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;
namespace {

thread_local bool inside_loop = false;  // while this thread runs a loop of the pool: nested loops run inline
thread_local int loop_depth = 0;        // nested calls of parallel_for on this thread
thread_local int current_number = 0;    // see thread_number()

struct LoopDepth {
  LoopDepth() { ++loop_depth; }
  ~LoopDepth() { --loop_depth; }
  LoopDepth(const LoopDepth&) = delete;
  LoopDepth& operator=(const LoopDepth&) = delete;
};

void relax() {
#ifdef __SSE__
  _mm_pause();
#endif
}

// The caller and the worker threads of the pool run one loop at a time. `gate` counts the workers in it:
//   bits 0-9    workers that have entered the loop
//   bits 10-19  workers that have left it again
//   bit 20      open: workers may enter
//   bits 32-63  the loop's number
// The caller closes the gate before it waits, so that it never waits for a worker that is still asleep. The
// number keeps a worker that wakes up late from entering a later loop than it has seen.
class Pool {
 public:
  static constexpr int max_threads = 256;

  void run(int64_t count, int64_t grain, void (*call)(void*, int64_t, int64_t), void* body) {
    const int64_t chunks = divide_up(count, grain);
    const int wanted = static_cast<int>(std::min<int64_t>(threads_.load(), chunks));
    for (int i = 0; i < wanted; ++i) {
      shares_[i].next.store(chunks * i / wanted * grain, std::memory_order_relaxed);
      shares_[i].end = std::min(chunks * (i + 1) / wanted * grain, count);
    }
    error_ = nullptr;
    loop_.gate.store(0, std::memory_order_relaxed);
    loop_.threads.store(wanted, std::memory_order_release);
    loop_.grain = grain, loop_.call = call, loop_.body = body;
    const uint64_t number = loop_.number.load(std::memory_order_relaxed) + 1;
    loop_.gate.store(number << number_shift | open, std::memory_order_release);
    loop_.number.fetch_add(1, std::memory_order_release);
    loop_.number.notify_all();
    work(0);
    uint64_t gate = loop_.gate.load(std::memory_order_acquire);
    const bool all_entered = entered(gate) == static_cast<uint64_t>(wanted - 1);
    if (!all_entered) gate = loop_.gate.fetch_sub(open, std::memory_order_acq_rel);
    // Yields after a while: a preempted worker may need this processor to finish.
    for (int spins = 0; entered(gate) != left(gate); ++spins) {
      if (spins < 1000) {
        relax();
      } else {
        std::this_thread::yield();
      }
      gate = loop_.gate.load(std::memory_order_acquire);
    }
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

  void set_threads(int count) {
    const std::scoped_lock lock(mutex);
    threads_ = count;
    // A new worker is given the current loop number, so that it joins the next loop even if it starts later.
    for (; started_ < count - 1; ++started_)
      std::thread([this, id = started_ + 1, seen = loop_.number.load()] { run_worker(id, seen); }).detach();
  }

  int threads() const { return threads_.load(std::memory_order_relaxed); }

  int used_since_last_call() {
    int used = 0;
    for (Share& share : shares_) used += share.used.exchange(false, std::memory_order_relaxed);
    return std::max(used, 1);
  }

  std::mutex mutex;  // held by the thread whose loop runs

 private:
  static constexpr uint64_t one_left = 1 << 10, open = 1 << 20;
  static constexpr int number_shift = 32;
  static uint64_t entered(uint64_t gate) { return gate % one_left; }
  static uint64_t left(uint64_t gate) { return gate % open / one_left; }

  // A loop as the workers see it, in one cache line: fetching a line from a core without a common L3 takes
  // some 300 ns.
  struct alignas(64) Loop {
    std::atomic<uint32_t> number = 0;  // written last
    std::atomic<int> threads = 1;      // that take part, each with a share
    std::atomic<uint64_t> gate = 0;
    int64_t grain = 1;
    void (*call)(void*, int64_t, int64_t) = nullptr;
    void* body = nullptr;
  };

  // The chunks with which a thread begins before it steals work from the others. They are the same in all
  // loops of equal count and grain, so their data may still be in the thread's cache.
  struct alignas(64) Share {
    std::atomic<int64_t> next = 0;
    int64_t end = 0;
    std::atomic<bool> used = false;  // since used_since_last_call
  };

  void work(int id) {
    inside_loop = true;
    const LoopDepth depth;
    const FlushToZero flush;
    shares_[id].used.store(true, std::memory_order_relaxed);
    const int wanted = loop_.threads.load(std::memory_order_relaxed);
    const int64_t grain = loop_.grain;
    const auto call = loop_.call;
    void* const body = loop_.body;
    try {
      for (int i = 0; i < wanted; ++i) {
        Share& share = shares_[(id + i) % wanted];
        while (share.next.load(std::memory_order_relaxed) < share.end) {
          const int64_t begin = share.next.fetch_add(grain, std::memory_order_relaxed);
          if (begin >= share.end) break;
          call(body, begin, std::min(begin + grain, share.end));
        }
      }
    } catch (...) {
      for (int i = 0; i < wanted; ++i)  // the others stop after their current chunk
        shares_[i].next.store(std::numeric_limits<int64_t>::max() / 2, std::memory_order_relaxed);
      const std::scoped_lock lock(error_mutex_);
      if (!error_) error_ = std::current_exception();
    }
    inside_loop = false;
  }

  [[noreturn]] void run_worker(int id, uint32_t seen) {
    current_number = id;
    for (;;) {
      seen = wait_for_loop(seen);
      __builtin_prefetch(&shares_[id]);  // fetched together with the line of loop_
      if (id >= loop_.threads.load(std::memory_order_acquire)) continue;
      if (enter(seen)) {
        work(id);
        loop_.gate.fetch_add(one_left, std::memory_order_acq_rel);
      }
    }
  }

  bool enter(uint32_t number) {
    uint64_t gate = loop_.gate.load(std::memory_order_acquire);
    while (gate >> number_shift == number && (gate & open) != 0) {
      if (loop_.gate.compare_exchange_weak(gate, gate + 1, std::memory_order_acq_rel)) return true;
    }
    return false;
  }

  // Waits for another loop than `seen`: spins for a while, then sleeps.
  uint32_t wait_for_loop(uint32_t seen) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::microseconds(tuning::spin_us);
    do {
      for (int i = 0; i < 64; ++i) {
        const uint32_t now = loop_.number.load(std::memory_order_acquire);
        if (now != seen) return now;
        relax();
      }
    } while (std::chrono::steady_clock::now() < deadline);
    loop_.number.wait(seen, std::memory_order_acquire);
    return loop_.number.load(std::memory_order_acquire);
  }

  Loop loop_;
  Share shares_[max_threads];
  std::atomic<int> threads_ = 1;
  int started_ = 0;
  std::exception_ptr error_;
  std::mutex error_mutex_;
};

int threads_at_start() {
  const int wanted = number_from_environment("BALLAST_NUM_THREADS", 1, Pool::max_threads, 0);
  return wanted > 0 ? wanted : std::min(usable_processors(), Pool::max_threads);
}

// Never destroyed: its threads are detached, and static objects may still compute when the program ends.
Pool& pool() {
  static Pool* instance = [] {
    const int threads = threads_at_start();  // may throw
    auto* p = new Pool;
    p->set_threads(threads);
    return p;
  }();
  return *instance;
}

}  // namespace

int num_threads() { return pool().threads(); }

void set_num_threads(int count) {
  check<ValueError>(count >= 1 && count <= Pool::max_threads, "set_num_threads: {} threads; give 1 to {}",
                    count, Pool::max_threads);
  check<UsageError>(
      loop_depth == 0,
      "set_num_threads: called within a parallel loop, which would wait for itself; call it before the loop");
  pool().set_threads(count);
}

int thread_number() { return current_number; }

int threads_used_since_last_call() { return pool().used_since_last_call(); }

void detail::run_chunks(int64_t count, int64_t grain, void (*call)(void*, int64_t, int64_t), void* body) {
  if (count <= 0) return;
  check<ValueError>(grain > 0, "parallel_for: a grain of {}; it must be at least 1", grain);
  //~
  if (!inside_loop && count > grain && pool().threads() > 1) {
    const std::unique_lock lock(pool().mutex, std::try_to_lock);
    if (lock.owns_lock()) return pool().run(count, grain, call, body);
  }
  const LoopDepth depth;
  const FlushToZero flush;
  for (int64_t begin = 0; begin < count; begin += grain) call(body, begin, std::min(begin + grain, count));
}

}  // namespace ballast::inline BALLAST_PRECISION
