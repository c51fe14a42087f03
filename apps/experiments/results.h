#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "experiments/findings.h"
#include "experiments/setting.h"

namespace ballast::app::experiments {

/// What one run measured. What isn't a finite number (a network that diverged) is NaN.
struct Figures {
  std::map<std::string, double> values;
  std::map<std::string, std::vector<double>> curves;
};

/// One figure, of each seed.
struct OverSeeds {
  std::vector<double> all;

  /// NaN if any of them is, as all below: a setting that diverged with one seed has no mean.
  double mean() const;
  double least() const;
  double largest() const;
  double median() const;
  /// Of the sample (n - 1); 0 of a single one.
  double deviation() const;
  /// The standard error of the mean.
  double error() const;
  /// How many are at least this.
  int64_t reaching(double threshold) const;
  /// "95.42 ± 0.13", "NaN in 1 of 3".
  std::string text(int decimals = 2) const;
};

/// Seed by seed, of two settings whose runs begin with the same random numbers.
OverSeeds difference(const OverSeeds& a, const OverSeeds& b);

/// What is held to a limit: "0.31 points, standard error 0.40", and if the limit is within two of these, that
/// it is.
std::string with_error(double mean, double error, double limit, const std::string& unit);

struct Outcome {
  Setting setting;
  uint64_t seed = 0;
  Figures figures;
  double seconds = 0;
};

/// The runs of an experiment. Settings are given by the entries that tell them apart.
class Results {
 public:
  explicit Results(std::vector<Outcome> all) : all_(std::move(all)) {}

  /// Throws ValueError if no run with such a setting has such a figure.
  OverSeeds of(const Setting& part, const std::string& value) const;
  /// The same, but empty if no run has it.
  OverSeeds of_if_any(const Setting& part, const std::string& value) const;
  double mean(const Setting& part, const std::string& value) const { return of(part, value).mean(); }
  /// A curve over the seeds: mean, least and largest, point by point. NaNs are left out of a point; one
  /// without any number is NaN.
  Series curve(const Setting& part, const std::string& name, std::vector<double> x,
               const std::string& label) const;
  const std::vector<Outcome>& all() const { return all_; }

 private:
  std::vector<const Outcome*> matching(const Setting& part) const;

  std::vector<Outcome> all_;
};

/// One series point by point along an axis of the grid: the mean over seeds, with least and largest.
Series along(const Results& results, const Setting& part, const GridAxis& axis, const std::string& value,
             const std::string& label);

struct GridTable {
  std::string title;
  GridAxis rows, columns;
  std::string value;
  int decimals = 2;
  /// Entries that every cell has.
  Setting within = {};
  /// What stands below each row to compare with: the row's value, its cells, "" where there is none.
  std::map<std::string, std::vector<std::string>> reference = {};
  std::string reference_name = "reference";
};

/// A table of a figure over two axes of the grid, with the reference's figures below those measured. Cells
/// without a run are empty.
Table table_of(const Results& results, const GridTable& wanted);

}  // namespace ballast::app::experiments
