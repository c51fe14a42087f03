#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <ballast/core/shape.h>
#include <ballast/core/tensor.h>
#include <ballast/data/random_stream.h>

namespace ballast::inline BALLAST_PRECISION {

/// What a model is to predict of a sample.
enum class TargetKind {
  classes,    // one class label
  values,     // numbers: regression
  positions,  // a class label for each pixel or other position: segmentation
};

/// One reading of one sample.
struct Reading {
  int64_t index;
  int64_t epoch;
  /// For augmentation: a pure function of (the loader's seed, epoch, index), so that it is random and yet the
  /// same when training is resumed, and for any number of threads.
  RandomStream& random;
};

/// Where a sample's target is to be written. What doesn't agree with the data set's kind throws UsageError.
class Target {
 public:
  explicit Target(int32_t* labels) : labels_(labels) {}
  explicit Target(real* values) : values_(values) {}
  /// The class label, or those of all positions in row-major order.
  int32_t* labels() const;
  /// The numbers of a regression.
  real* values() const;

 private:
  int32_t* labels_ = nullptr;
  real* values_ = nullptr;
};

/// Fills in the elements x of a sample and its target. Any function (const Reading&, real* x, Target) does,
/// or for class labels one (int64_t index, real* x) that returns the label.
struct ReadFunction : std::function<void(const Reading&, real* x, Target)> {
  ReadFunction() = default;
  template <class F>
  requires(!std::is_same_v<F, ReadFunction> && std::is_invocable_v<const F&, const Reading&, real*, Target>)
      ReadFunction(F read)
      : function(std::move(read)) {}
  template <class F>
  requires std::is_invocable_r_v<int32_t, const F&, int64_t, real*> ReadFunction(F label_of)
      : function([label_of = std::move(label_of)](const Reading& reading, real* x, Target y) {
          *y.labels() = static_cast<int32_t>(label_of(reading.index, x));
        }) {}
};

/// A sample on its own.
struct Sample {
  std::vector<real> x;
  std::vector<int32_t> labels;  // one, or one per position
  std::vector<real> values;
  /// The class label of a sample that has one.
  int32_t label() const { return labels.at(0); }
};

/// Samples of one shape, each with a target. `read` is called from several threads at once. For data of your
/// own that fit none of the functions below, fill in the members: the first four if the targets are classes.
struct Dataset {
  Shape sample_shape;
  int64_t size = 0;
  int classes = 0;  // labels are 0 ... classes-1, or ignored_label; 0 where targets are values
  ReadFunction read;
  TargetKind kind = TargetKind::classes;
  Shape target_shape = {};                    // values: (K); positions: (L), (H, W), ...
  std::vector<std::string> class_names = {};  // or the names of the values; may be empty

  /// The numbers that a model gives for a sample, or for each position: a logit per class, or the values.
  int64_t outputs() const { return kind == TargetKind::values ? target_shape.count() : classes; }
  /// Reads one sample for a look at it; batches are read by a Loader. Throws ValueError if there is no such
  /// index.
  Sample sample(int64_t index, int64_t epoch = 0, uint64_t seed = 0) const;
};

/// The parts of a task: to train with, to judge the finished model by, and to choose among models and stop
/// early by, which has size 0 where there is none.
struct Split {
  Dataset train = {}, test = {}, validation = {};
};

/// The samples x[0], x[1], ... of x (N, ...) with labels y (N). Shares the memory of both; classes is the
/// largest label plus one. Throws ShapeError when the numbers differ, ValueError without samples, for
/// a negative label other than ignored_label, or if there is no other.
Dataset from_tensors(Tensor x, Labels y);
/// The same with a label for each of the positions of `target_shape`: y holds N times as many, sample by
/// sample.
Dataset from_tensors(Tensor x, Labels y, const Shape& target_shape);
/// The same with numbers, targets (N, K), for regression.
Dataset from_tensors(Tensor x, Tensor targets);

/// Bytes of count x sample_shape, each read as byte / 255. Throws ShapeError when the numbers differ,
/// ValueError for a label >= classes.
Dataset from_bytes(std::vector<uint8_t> pixels, std::vector<uint8_t> labels, const Shape& sample_shape,
                   int classes);

/// Samples first, ..., first+count-1. Throws ValueError when the data set has fewer.
Dataset subset(Dataset dataset, int64_t first, int64_t count);
/// The samples with these indices, in this order. Throws ValueError for one that there isn't.
Dataset subset(Dataset dataset, std::vector<int64_t> indices);

/// Splits a data set at random into `train` and `validation`, which gets round(fraction * size) samples, and
/// of each class its share to within one sample; a pure function of the seed. Reads every label once. Throws
/// ValueError unless the fraction is between 0 and 1 and both parts get a sample.
Split split_off(const Dataset& dataset, double fraction, uint64_t seed = 0);

/// Changes each sample x after it is read, as told by `change`, which draws from the reading's random stream.
Dataset augmented(Dataset dataset, std::function<void(RandomStream&, const Shape&, real* x)> change);

/// The built-in digits (1, 28, 28), 10 classes, drawn here and now; see `draw_digit`. Sample n is the same
/// for every count.
Split digits(int64_t train_count, int64_t test_count, uint64_t seed = 0);

/// MNIST, or a data set laid out like it, from its four files in a folder (see `read_mnist`): samples
/// (channels, rows, cols), of at least 10 classes.
Split mnist(const std::string& folder);

struct MnistFiles;
/// What the files hold, (channels, rows, cols), of at least so many classes.
Split from_files(MnistFiles files, int least_classes);

}  // namespace ballast::inline BALLAST_PRECISION
