#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <numeric>
#include <thread>
#include <vector>

#include <ballast/core/check.h>
#include <ballast/core/parallel.h>

#include "threads.h"

using namespace ballast;

TEST_CASE("every index is visited once, in chunks that don't depend on the number of threads") {
  for (int threads : {1, 2, 3, 4}) {
    const Threads scope(threads);
    std::vector<std::atomic<int>> visits(1003);
    std::vector<std::atomic<int64_t>> ends(11);
    parallel_for(1003, 100, [&](int64_t begin, int64_t end) {
      CHECK(begin % 100 == 0);
      ends[static_cast<size_t>(begin / 100)] = end;
      for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
    });
    for (auto& v : visits) CHECK(v == 1);
    CHECK(ends[9] == 1000);
    CHECK(ends[10] == 1003);
  }
}

TEST_CASE("several threads share a loop that is worth it") {
  const Threads scope(4);
  threads_used_since_last_call();
  on_each_of(4, [] {});
  CHECK(threads_used_since_last_call() == 4);
  CHECK(threads_used_since_last_call() == 1);
}

TEST_CASE("a thread that is through with its share takes from another's, but for the last chunk") {
  const Threads scope(2);
  const std::thread::id caller = std::this_thread::get_id();
  std::atomic<int> others = 0;
  // The first chunk waits for those of the same share that the other thread takes.
  parallel_for(8, 1, [&](int64_t begin, int64_t) {
    if (begin != 0) {
      ++others;
      return;
    }
    const bool own = std::this_thread::get_id() == caller;  // not so if the caller came late
    const auto begun = std::chrono::steady_clock::now();
    const auto waited = [&] { return std::chrono::steady_clock::now() - begun; };
    while (others < 6 && waited() < std::chrono::seconds(20)) std::this_thread::yield();
    CHECK(others >= 6);
    while (own && waited() < std::chrono::milliseconds(20)) std::this_thread::yield();
    if (own) CHECK(others == 6);
  });
  CHECK(others == 7);
}

TEST_CASE("an exception crosses to the caller, and the pool works on") {
  const Threads scope(3);
  for (int round = 0; round < 50; ++round) {
    CHECK_THROWS_AS(parallel_for(100, 1,
                                 [&](int64_t begin, int64_t) {
                                   if (begin == 37) throw ValueError("37");
                                 }),
                    ValueError);
    std::atomic<int64_t> total = 0;
    parallel_for(100, 1, [&](int64_t begin, int64_t) { total += begin; });
    CHECK(total == 4950);
  }
}

TEST_CASE("nested loops run inline, and several callers may loop at once") {
  const Threads scope(2);
  std::vector<std::thread> callers;
  std::atomic<int64_t> total = 0;
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        parallel_for(8, 1, [&](int64_t, int64_t) {
          parallel_for(8, 1, [&](int64_t begin, int64_t) { total += begin; });
        });
      }
    });
  }
  for (auto& caller : callers) caller.join();
  CHECK(total == 4 * 200 * 8 * 28);
}

TEST_CASE("denormals are flushed inside a loop, and the caller's setting restored") {
  for (int threads : {1, 2}) {
    const Threads scope(threads);
    volatile float tiny = 1e-38f;
    std::vector<float> halves(64);
    parallel_for(64, 1, [&](int64_t begin, int64_t) { halves[static_cast<size_t>(begin)] = tiny / 16; });
    for (float h : halves) CHECK(h == 0);
    CHECK(tiny / 16 != 0);
  }
}

TEST_CASE("the number of threads must be sensible") {
  CHECK_THROWS_AS(set_num_threads(0), ValueError);
  CHECK_THROWS_AS(set_num_threads(100000), ValueError);
}
