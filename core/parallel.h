#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION {

/// How many threads compute, the caller included. At first BALLAST_NUM_THREADS if it is set (to 1 ... 256,
/// else the first use throws ValueError), else as many as the processors that the process may use, by its
/// affinity mask and the CPU quota of its control group.
int num_threads();
/// Throws ValueError unless count is 1 ... 256, and UsageError within a parallel loop.
void set_num_threads(int count);

/// This thread's index in the pool: 1 or more for a worker thread, which keeps it, 0 for all other threads.
int thread_number();

/// How many threads have worked on parallel loops since the last call, at least 1. For tests.
int threads_used_since_last_call();

/// Calls body(begin, end) for the chunks [0, grain), [grain, 2 grain), ... of [0, count), on several threads
/// when that is allowed. The chunks depend on `count` and `grain` alone, never on the number of threads: a
/// loop that writes one partial result per chunk (number begin / grain) and adds them in order gives the same
/// bits on any number of threads.
///
/// An exception thrown by `body` reaches the caller after all threads have left the loop. Nested calls, and
/// calls while another thread's loop runs, run inline. Denormals are flushed to zero inside, and the caller's
/// setting restored. Without elements (count <= 0) nothing is called. Throws ValueError for a grain below 1.
template <class Body>
void parallel_for(int64_t count, int64_t grain, Body&& body);

/// a / b, rounded up: the number of chunks of b in a.
inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// The first multiple of b from a on.
inline int64_t round_up(int64_t a, int64_t b) { return divide_up(a, b) * b; }

/// The grain that partitions [0, count) into at most `chunks` chunks of at least `least` each.
inline int64_t grain_for(int64_t count, int64_t least, int64_t chunks) {
  const int64_t grain = divide_up(count, chunks);
  return grain < least ? least : grain;
}

namespace detail {
void run_chunks(int64_t count, int64_t grain, void (*call)(void*, int64_t, int64_t), void* body);
}

template <class Body>
void parallel_for(int64_t count, int64_t grain, Body&& body) {
  using Plain = std::remove_reference_t<Body>;
  detail::run_chunks(
      count, grain, [](void* b, int64_t begin, int64_t end) { (*static_cast<Plain*>(b))(begin, end); },
      const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}

}  // namespace ballast::inline BALLAST_PRECISION
