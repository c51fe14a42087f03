#pragma once

#include <optional>
#include <vector>

#include <ballast/core/module.h>
#include <ballast/core/scope.h>

namespace ballast::inline BALLAST_PRECISION {

/// While it lives, forward passes in a statistics scope average the running statistics anew, each batch
/// counting alike. Dies without `keep`: everything is as it was before.
class Recalibration {
 public:
  explicit Recalibration(Module& model);
  Recalibration(const Recalibration&) = delete;
  Recalibration& operator=(const Recalibration&) = delete;
  ~Recalibration();
  /// Throws ValueError when no norm has seen a batch.
  void keep();

 private:
  // A norm's running statistics as they were.
  struct Norm {
    NormInfo info;
    std::optional<double> momentum;
    int64_t batches;
    Tensor mean, var;
    void restore() const;
  };
  void collect(const std::string& path, Module& module);
  std::vector<Norm> norms_;
};

/// Re-estimates the running statistics of every norm that has any (NormInfo) by one pass over `batches`, a
/// range of things with a tensor `.x`, such as a Loader: after weights were averaged, pruned or loaded
/// without statistics, or where a momentum lags behind (precise batch norm: Wu & Johnson 2021, sec. 3). Each
/// batch counts alike, all else evaluates, nothing is recorded. num_batches_tracked becomes the number of
/// batches, as after PyTorch's update_bn. Norms whose statistics or mode is frozen, by themselves or with a
/// module around them, stay. If anything throws, all statistics are as they were. Throws ValueError when
/// there is nothing to re-estimate or no batch, or for a layer that keeps buffers and doesn't say what for.
template <std::derived_from<Module> Model, class Batches>
void recalibrate(Model& model, Batches&& batches) {
  Recalibration recalibration(model);
  {
    const StatisticsScope scope;
    for (auto&& batch : batches) model(batch.x);
  }
  recalibration.keep();
}

}  // namespace ballast::inline BALLAST_PRECISION
