#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include <ballast/core/check.h>
#include <ballast/core/detail/processors.h>
#include <ballast/core/parallel.h>

#include "temp_folder.h"
#include "threads.h"

#ifdef __linux__
#include <sched.h>
#endif

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

TEST_CASE("a thread that is through with its share steals from another's") {
  const Threads scope(2);
  std::atomic<int> others = 0;
  // The first chunk waits for all others, some of which are of the same share.
  parallel_for(8, 1, [&](int64_t begin, int64_t) {
    if (begin != 0) {
      ++others;
      return;
    }
    const auto begun = std::chrono::steady_clock::now();
    while (others < 7 && std::chrono::steady_clock::now() - begun < std::chrono::seconds(20))
      std::this_thread::yield();
    CHECK(others == 7);
  });
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

TEST_CASE("the number of threads can't change within a loop") {
  for (int threads : {1, 2}) {
    const Threads scope(threads);
    CHECK_THROWS_AS(parallel_for(8, 1, [](int64_t, int64_t) { set_num_threads(2); }), UsageError);
    CHECK(num_threads() == threads);
  }
}

TEST_CASE("a loop without elements does nothing, and a grain is at least 1") {
  for (int64_t count : {0, -3}) parallel_for(count, 1, [](int64_t, int64_t) { FAIL("called"); });
  CHECK_THROWS_AS(parallel_for(8, 0, [](int64_t, int64_t) {}), ValueError);
  CHECK_THROWS_AS(parallel_for(8, -1, [](int64_t, int64_t) {}), ValueError);
}

TEST_CASE("the caller's floating-point mode is as before after an exception too") {
  volatile float tiny = 1e-38f;
  for (int threads : {1, 2}) {
    const Threads scope(threads);
    CHECK_THROWS_AS(parallel_for(64, 1, [](int64_t, int64_t) { throw ValueError("thrown"); }), ValueError);
    CHECK(tiny / 16 != 0);
  }
}

TEST_CASE("control groups' CPU quotas limit the number of threads") {
  const TempFolder folder;
  const auto write = [&](const std::string& file, const std::string& text) {
    const auto path = folder.path() / file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  };
  write("outer/cpu.max", "250000 100000\n");
  write("outer/inner/cpu.max", "max 100000\n");
  write("cpu/small/cpu.cfs_quota_us", "50000\n");
  write("cpu/small/cpu.cfs_period_us", "100000\n");
  write("cpu/free/cpu.cfs_quota_us", "-1\n");
  write("cpu/free/cpu.cfs_period_us", "100000\n");
  const auto quota = [&](const std::string& membership) {
    return detail::cgroup_quota(membership, folder.path().string());
  };
  CHECK(quota("0::/outer\n") == 3);
  CHECK(quota("0::/outer/inner\n") == 3);
  CHECK(quota("0::/elsewhere\n") == 0);
  CHECK(quota("0::/\n") == 0);
  CHECK(quota("5:memory:/outer\n4:cpu,cpuacct:/small\n") == 1);
  CHECK(quota("4:cpu,cpuacct:/free\n0::/outer\n") == 3);
  CHECK(quota("") == 0);
  write("cpu.max", "100000 100000\n");  // as in a container, whose path is the host's
  CHECK(quota("0::/of/the/host\n") == 1);
}

#ifdef __linux__

// Run by the next case in a process of its own.
TEST_CASE("print the number of threads" * doctest::skip()) {
  try {
    fmt::print("threads: {}.\n", num_threads());
  } catch (const ValueError& e) {
    fmt::print("error: {}.\n", e.what());
  }
}

TEST_CASE("the number of threads comes from the environment, or from the processors that may be used") {
  const auto printed = [](const std::string& prefix) {
    const std::string command =
        fmt::format("env -u BALLAST_NUM_THREADS {} /proc/{}/exe --no-skip -tc='print the number of threads'",
                    prefix, getpid());
    FILE* pipe = popen(command.c_str(), "r");
    std::string text;
    for (int c; (c = fgetc(pipe)) != EOF;) text += static_cast<char>(c);
    pclose(pipe);
    return text;
  };
  const auto has = [](const std::string& text, const std::string& part) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  has(printed("BALLAST_NUM_THREADS=3"), "threads: 3.");
  for (const std::string wrong : {"abc", "0", "-3", "1000000000", "''", "2x", "257"})
    has(printed("BALLAST_NUM_THREADS=" + wrong), "error: the environment variable BALLAST_NUM_THREADS is '");
  cpu_set_t mask;
  REQUIRE(sched_getaffinity(0, sizeof(mask), &mask) == 0);
  int first = 0;
  while (!CPU_ISSET(first, &mask)) ++first;
  has(printed(fmt::format("taskset -c {}", first)), "threads: 1.");
}

#endif
