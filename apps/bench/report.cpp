#include "report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "timing.h"

namespace bench {
namespace {

using Json = nlohmann::ordered_json;

double rounded(double value, int digits) {
  const double scale = std::pow(10, digits);
  return std::round(value * scale) / scale;
}

double ns_per_item(const Record& r) { return 1e6 * r.ms_per_step / static_cast<double>(r.batch); }

/// All rounds of one peer on one workload.
using Rounds = std::vector<Record>;

struct Compared {
  std::string workload;
  std::map<std::string, Rounds> peers;
};

double median_of(const Rounds& rounds, double Record::*member) {
  std::vector<double> values;
  for (const Record& round : rounds) values.push_back(round.*member);
  return median(values);
}

Record record_of(const Json& line) {
  Record record;
  line.at("peer").get_to(record.peer);
  line.at("workload").get_to(record.workload);
  line.at("threads").get_to(record.threads);
  line.at("ms_per_step").get_to(record.ms_per_step);
  line.at("peak_rss_mb").get_to(record.peak_rss_mb);
  record.clean = std::stoi(line.at("clean").get<std::string>());  // of "2/3"
  record.gflop_per_step = line.value("gflop_per_step", 0.0);
  record.mb_per_step = line.value("mb_per_step", 0.0);
  return record;
}

/// The time in ms that FLOPs at the peak and bytes at the copy bandwidth take; 0 if it isn't known. A few MB
/// stay in cache from step to step and move faster.
double limit(const Record& record, const std::map<std::string, double>& peaks) {
  const auto fma = peaks.find("fma"), copy = peaks.find(record.mb_per_step < 4 ? "copy_1MB" : "copy_32MB");
  if (fma == peaks.end() || copy == peaks.end()) return 0;
  return 1e3 * record.gflop_per_step / fma->second + record.mb_per_step / copy->second;
}

/// The fastest of the reference's settings; null if there is none.
const Rounds* best_reference(const Compared& compared) {
  const Rounds* best = nullptr;
  for (const auto& [peer, rounds] : compared.peers) {
    if (peer == "ballast" || peer == "before") continue;
    if (!best || median_of(rounds, &Record::ms_per_step) < median_of(*best, &Record::ms_per_step))
      best = &rounds;
  }
  return best;
}

double median_ratio(const Rounds& reference, const Rounds& ours) {
  std::vector<double> ratios;
  for (size_t i = 0; i < std::min(reference.size(), ours.size()); ++i)
    ratios.push_back(reference[i].ms_per_step / ours[i].ms_per_step);
  return median(ratios);
}

/// Rounds in which nothing disturbed either side: with fewer than two clean windows, both programs count
/// disturbed ones as well.
size_t clean_rounds(const Rounds& ours, const Rounds* reference) {
  const auto clean = [](const Record& round) { return round.clean >= 2; };
  size_t count = 0;
  for (size_t i = 0; i < ours.size(); ++i)
    count += clean(ours[i]) && (!reference || (i < reference->size() && clean((*reference)[i])));
  return count;
}

/// Empty where the value is unknown.
std::string number(double value, int digits) {
  return value > 0 ? fmt::format("{:.{}f}", value, digits) : "";
}

void print_compared(const Compared& compared, const std::map<std::string, double>& peaks) {
  const auto found = compared.peers.find("ballast");
  if (found == compared.peers.end()) return;
  const Rounds& ours = found->second;
  const Rounds* reference = best_reference(compared);
  const auto before = compared.peers.find("before");
  const double ms = median_of(ours, &Record::ms_per_step), least = limit(ours.front(), peaks);
  fmt::print("{:<14}{:>10.4f}{:>8}{:>10}  {:<23}{:>7}{:>10}{:>7}{:>9}{:>7.0f}{:>8}{:>7}\n", compared.workload,
             ms, before != compared.peers.end() ? number(median_ratio(before->second, ours), 3) : "",
             reference ? number(median_of(*reference, &Record::ms_per_step), 4) : "",
             reference ? reference->front().peer : "",
             reference ? number(median_ratio(*reference, ours), 2) : "", number(least, 4),
             number(least > 0 ? ms / least : 0, 2), number(ours.front().gflop_per_step / ms * 1e3, 1),
             median_of(ours, &Record::peak_rss_mb),
             reference ? number(median_of(*reference, &Record::peak_rss_mb), 0) : "",
             fmt::format("{}/{}", clean_rounds(ours, reference), ours.size()));
}

}  // namespace

std::string to_json(const Record& r) {
  return Json{{"peer", r.peer},
              {"workload", r.workload},
              {"threads", r.threads},
              {"batch", r.batch},
              {"images_per_s", rounded(static_cast<double>(r.batch) / r.ms_per_step * 1e3, 1)},
              {"ms_per_step", rounded(r.ms_per_step, 5)},
              {"ns_per_item", rounded(ns_per_item(r), 1)},
              {"win_min_ms", rounded(r.win_min_ms, 5)},
              {"win_max_ms", rounded(r.win_max_ms, 5)},
              {"steps", r.steps},
              {"clean", fmt::format("{}/{}", r.clean, r.windows)},
              {"peak_rss_mb", rounded(r.peak_rss_mb, 1)},
              {"gflop_per_step", rounded(r.gflop_per_step, 6)},
              {"mb_per_step", rounded(r.mb_per_step, 6)}}
      .dump();
}

std::string to_json(const Peak& p) {
  return Json{{"peak", p.name},
              {"threads", p.threads},
              {"value", rounded(p.value, 1)},
              {"min", rounded(p.least, 1)},
              {"max", rounded(p.largest, 1)},
              {"unit", p.unit}}
      .dump();
}

void print_header() {
  fmt::print("{:<14}{:>7}{:>11}{:>11}{:>11}{:>13}{:>9}{:>7}{:>8}\n", "workload", "batch", "ms/step", "min",
             "max", "ns/item", "GFLOP/s", "MB", "clean");
}

void print_row(const Record& r) {
  fmt::print("{:<14}{:>7}{:>11.4f}{:>11.4f}{:>11.4f}{:>13.0f}{:>9}{:>7.0f}{:>8}\n", r.workload, r.batch,
             r.ms_per_step, r.win_min_ms, r.win_max_ms, ns_per_item(r),
             number(r.gflop_per_step / r.ms_per_step * 1e3, 1), r.peak_rss_mb,
             fmt::format("{}/{}", r.clean, r.windows));
}

void print_row(const Peak& p) {
  fmt::print("{:<24}{:>3} threads{:>9.1f} {:<8} ({:.1f} to {:.1f})\n", p.name, p.threads, p.value, p.unit,
             p.least, p.largest);
}

void compare(std::istream& lines) {
  std::vector<Compared> all;
  std::map<std::string, double> peaks;
  for (std::string text; std::getline(lines, text);) {
    const Json line = Json::parse(text);
    if (line.contains("peak")) {
      peaks[line["peak"]] = line["max"];
      continue;
    }
    Record record = record_of(line);
    auto compared = std::ranges::find(all, record.workload, &Compared::workload);
    if (compared == all.end()) compared = all.insert(all.end(), Compared{record.workload, {}});
    compared->peers[record.peer].push_back(std::move(record));
  }
  fmt::print("{:<14}{:>10}{:>8}{:>10}  {:<23}{:>7}{:>10}{:>7}{:>9}{:>7}{:>8}{:>7}\n", "workload", "ms/step",
             "before", "reference", "its setting", "ratio", "limit ms", "x it", "GFLOP/s", "MB", "ref. MB",
             "clean");
  for (const Compared& compared : all) print_compared(compared, peaks);
  if (peaks.contains("fma"))
    fmt::print("limit: FLOPs / {} GFLOP/s + bytes / {} GB/s ({} for up to 4 MB)\n", peaks["fma"],
               peaks["copy_32MB"], peaks["copy_1MB"]);
}

}  // namespace bench
