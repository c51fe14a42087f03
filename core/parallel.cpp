#include <ballast/core/parallel.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>

#include <ballast/core/check.h>
#include <ballast/core/flush_to_zero.h>

#ifdef __SSE__
#include <xmmintrin.h>
#endif

namespace ballast::inline BALLAST_PRECISION {
namespace {

thread_local bool inside_loop = false;

void relax() {
#ifdef __SSE__
  _mm_pause();
#endif
}

// One loop at a time. `gate_` is the number of helpers inside the loop, plus `open` while more may enter: a
// helper that wakes too late finds it closed, so that the caller never waits for one that still sleeps.
class Pool {
 public:
  static constexpr int max_threads = 256;

  void run(int64_t count, int64_t grain, void (*call)(void*, int64_t, int64_t), void* body) {
    const int64_t chunks = divide_up(count, grain);
    call_ = call, body_ = body, grain_ = grain;
    const int wanted = static_cast<int>(std::min<int64_t>(threads_.load(), chunks));
    for (int i = 0; i < wanted; ++i) {
      shares_[i].next.store(chunks * i / wanted * grain, std::memory_order_relaxed);
      shares_[i].end = std::min(chunks * (i + 1) / wanted * grain, count);
    }
    error_ = nullptr;
    wanted_.store(wanted, std::memory_order_relaxed);
    gate_.store(open, std::memory_order_release);
    loops_.fetch_add(1, std::memory_order_release);
    loops_.notify_all();
    work(0);
    gate_.fetch_sub(open, std::memory_order_acq_rel);
    // A helper that lost its processor in mid-chunk may need ours.
    for (int spins = 0; gate_.load(std::memory_order_acquire) != 0; ++spins) {
      if (spins < 1000) {
        relax();
      } else {
        std::this_thread::yield();
      }
    }
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

  void set_threads(int count) {
    const std::scoped_lock lock(mutex);
    threads_ = count;
    // A new helper starts from the loops seen here, so that it joins the next one even if it gets to run only
    // after that began.
    for (; started_ < count - 1; ++started_)
      std::thread([this, id = started_ + 1, seen = loops_.load()] { help(id, seen); }).detach();
  }

  int threads() const { return threads_.load(std::memory_order_relaxed); }

  int used_since_last_call() {
    int used = 0;
    for (auto& flag : used_) used += flag.exchange(false, std::memory_order_relaxed);
    return std::max(used, 1);
  }

  std::mutex mutex;  // held by the thread whose loop runs

 private:
  static constexpr int open = 1 << 20;

  // The chunks that a thread begins with, before it helps the others: the same ones in loop after loop, which
  // it may still have in its caches.
  struct alignas(64) Share {
    std::atomic<int64_t> next = 0;
    int64_t end = 0;
  };

  void work(int id) {
    inside_loop = true;
    const FlushToZero flush;
    used_[static_cast<size_t>(id)].store(true, std::memory_order_relaxed);
    const int wanted = wanted_.load(std::memory_order_relaxed);
    try {
      for (int i = 0; i < wanted; ++i) {
        Share& share = shares_[(id + i) % wanted];
        while (share.next.load(std::memory_order_relaxed) < share.end) {
          const int64_t begin = share.next.fetch_add(grain_, std::memory_order_relaxed);
          if (begin >= share.end) break;
          call_(body_, begin, std::min(begin + grain_, share.end));
        }
      }
    } catch (...) {
      for (int i = 0; i < wanted; ++i)  // the others stop after the chunk they have
        shares_[i].next.store(std::numeric_limits<int64_t>::max() / 2, std::memory_order_relaxed);
      const std::scoped_lock lock(error_mutex_);
      if (!error_) error_ = std::current_exception();
    }
    inside_loop = false;
  }

  [[noreturn]] void help(int id, uint32_t seen) {
    for (;;) {
      seen = wait_for_loop(seen);
      if (id >= wanted_.load(std::memory_order_relaxed)) continue;
      int gate = gate_.load(std::memory_order_acquire);
      while (gate >= open && !gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acq_rel)) {
      }
      if (gate < open) continue;
      work(id);
      gate_.fetch_sub(1, std::memory_order_acq_rel);
    }
  }

  // Spins for 200 us, since in training the next loop usually comes soon, and to wake costs 15 us; then
  // sleeps.
  uint32_t wait_for_loop(uint32_t seen) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::microseconds(200);
    do {
      for (int i = 0; i < 64; ++i) {
        const uint32_t now = loops_.load(std::memory_order_acquire);
        if (now != seen) return now;
        relax();
      }
    } while (std::chrono::steady_clock::now() < deadline);
    loops_.wait(seen, std::memory_order_acquire);
    return loops_.load(std::memory_order_acquire);
  }

  void (*call_)(void*, int64_t, int64_t) = nullptr;
  void* body_ = nullptr;
  int64_t grain_ = 1;
  std::exception_ptr error_;
  std::mutex error_mutex_;
  Share shares_[max_threads];
  alignas(64) std::atomic<int> gate_ = 0;
  alignas(64) std::atomic<uint32_t> loops_ = 0;
  std::atomic<int> wanted_ = 1;  // threads in the loop, each with a share
  std::atomic<int> threads_ = 1;
  int started_ = 0;
  std::atomic<bool> used_[max_threads] = {};
};

int threads_at_start() {
  const char* text = std::getenv("BALLAST_NUM_THREADS");
  const int wanted = text ? std::atoi(text) : static_cast<int>(std::thread::hardware_concurrency());
  return std::clamp(wanted, 1, Pool::max_threads);
}

// Never destroyed: its threads are detached, and static objects may still compute when the program ends.
Pool& pool() {
  static Pool* instance = [] {
    auto* p = new Pool;
    p->set_threads(threads_at_start());
    return p;
  }();
  return *instance;
}

}  // namespace

int num_threads() { return pool().threads(); }

void set_num_threads(int count) {
  check<ValueError>(count >= 1 && count <= Pool::max_threads, "set_num_threads: {} threads; give 1 to {}",
                    count, Pool::max_threads);
  pool().set_threads(count);
}

int threads_used_since_last_call() { return pool().used_since_last_call(); }

void detail::parallel_for(int64_t count, int64_t grain, void (*call)(void*, int64_t, int64_t), void* body) {
  if (!inside_loop && count > grain && pool().threads() > 1) {
    const std::unique_lock lock(pool().mutex, std::try_to_lock);
    if (lock.owns_lock()) return pool().run(count, grain, call, body);
  }
  const FlushToZero flush;
  for (int64_t begin = 0; begin < count; begin += grain) call(body, begin, std::min(begin + grain, count));
}

}  // namespace ballast::inline BALLAST_PRECISION
