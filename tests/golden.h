#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include <ballast/core/tensor.h>
#include <ballast/data/safetensors.h>

namespace ballast::inline BALLAST_PRECISION {

/// A file that tests/golden/generate.py wrote from PyTorch. The tensors of a case are named "<case>:<name>".
class Golden {
 public:
  /// What an error may be at most, as a share of the largest term that goes into a tensor.
  static constexpr double limit = std::is_same_v<real, double> ? 1e-12 : 1e-5;

  explicit Golden(const std::string& name) : file_(BALLAST_GOLDEN_DIR "/" + name + ".safetensors") {}

  bool contains(const std::string& name) const { return file_.contains(name); }
  Tensor tensor(const std::string& name) const {
    Tensor x(file_.entry(name).shape);
    file_.read(name, std::span(x.data(), static_cast<size_t>(x.count())));
    return x;
  }
  std::vector<int64_t> integers(const std::string& name) const {
    std::vector<int64_t> values(static_cast<size_t>(file_.entry(name).shape.count()));
    file_.read(name, std::span(values));
    return values;
  }

  /// How far a tensor is from the stored one: the largest difference over the largest term. NaN where there
  /// is one.
  double error(const std::string& name, const Tensor& got) const {
    CAPTURE(name);
    const Tensor expected = tensor(name);
    REQUIRE(got.shape() == expected.shape());
    double difference = 0, scale = 0;
    for (size_t i = 0; i < expected.values().size(); ++i) {
      const double d = std::abs(double{got.values()[i]} - expected.values()[i]);
      difference = d <= difference ? difference : d;  // NaN stays
      scale = std::max(scale, std::abs(double{expected.values()[i]}));
    }
    const auto stated = file_.metadata().find("scale:" + name);
    if (stated != file_.metadata().end()) scale = std::stod(stated->second);
    return difference == 0 ? 0 : difference / scale;
  }
  void expect(const std::string& name, const Tensor& got) const {
    CAPTURE(name);
    CHECK(error(name, got) <= limit);
  }

  /// The names of all cases in the file: a test goes through all of them.
  std::set<std::string> cases() const {
    std::set<std::string> names;
    for (const auto& [name, entry] : file_.entries()) names.insert(name.substr(0, name.find(':')));
    return names;
  }

  /// How many tensors a case has.
  int64_t tensors_of(const std::string& name) const {
    return std::ranges::count_if(file_.entries(),
                                 [&](const auto& entry) { return entry.first.starts_with(name + ":"); });
  }

 private:
  SafetensorsFile file_;
};

}  // namespace ballast::inline BALLAST_PRECISION
