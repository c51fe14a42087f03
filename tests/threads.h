// Loops on a given number of threads.
#pragma once

#include <atomic>
#include <thread>

#include <ballast/core/parallel.h>

namespace ballast {

struct Threads {
  explicit Threads(int count) : before(num_threads()) { set_num_threads(count); }
  ~Threads() { set_num_threads(before); }
  int before;
};

// Calls body() on each of `count` threads: none begins before all are there.
template <class Body>
void on_each_of(int count, Body body) {
  std::atomic<int> waiting = 0;
  parallel_for(count, 1, [&](int64_t, int64_t) {
    ++waiting;
    while (waiting < count) std::this_thread::yield();
    body();
  });
}

}  // namespace ballast
