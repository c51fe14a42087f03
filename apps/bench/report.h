#pragma once

#include <cstdint>
#include <istream>
#include <string>

namespace bench {

/// One measurement, as the JSON lines of ballast-bench and of the reference program hold it.
struct Record {
  std::string peer = "ballast", workload;
  int threads = 0;
  int64_t batch = 0;  // items per step: samples, or operations in tape_overhead
  double ms_per_step = 0, win_min_ms = 0, win_max_ms = 0;
  int64_t steps = 0;
  int clean = 0, windows = 0;
  double peak_rss_mb = 0;
  double gflop_per_step = 0,
         mb_per_step = 0;  // what any program has to do; 0 where the reference says nothing
};

/// A limit of the machine: the median rate, that of the slowest window and that of the fastest step. What
/// else runs on the machine can only lower it, so the last is the limit.
struct Peak {
  std::string name;
  int threads = 0;
  double value = 0, least = 0, largest = 0;
  std::string unit;
};

std::string to_json(const Record& record);
std::string to_json(const Peak& peak);

/// Tables for people.
void print_header();
void print_row(const Record& record);
void print_row(const Peak& peak);

/// Reads JSON lines of any number of rounds (workload by workload, records of one peer in the order of the
/// rounds; peaks anywhere) and prints a row per workload: median times of ours and of the reference's best
/// setting, the median ratio of the rounds to each and to peer "before" (an older build of ours), the ratio
/// to the machine's limit, and peak memory.
void compare(std::istream& lines);

}  // namespace bench
