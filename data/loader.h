#pragma once

#include <cstdint>
#include <iterator>
#include <memory>
#include <vector>

#include <ballast/data/dataset.h>

namespace ballast::inline BALLAST_PRECISION {

/// Samples and their targets, of which those of the data set's kind are filled in.
struct Batch {
  Tensor x;  // (batch, sample shape ...)
  Labels y;  // classes: (batch); positions: those of the first sample, then those of the second, ...
  Tensor values = {};  // values: (batch, K)
  TargetKind kind = TargetKind::classes;

  int64_t size() const { return x.size(0); }
};

struct LoaderOptions {
  int64_t batch_size = 128;
  bool shuffle = true;
  uint64_t seed = 0;
  bool drop_last = false;  // leave out a last batch that isn't full
  /// Leave out a last batch smaller than this: 2 where a batch norm must not get one value per channel.
  int64_t min_batch = 1;
  /// Threads of the loader's own that read ahead while the loop's body works. With 0 the loop itself reads,
  /// on the threads that compute. The batches are the same bits either way.
  int workers = 0;
  int prefetch = 2;  // batches that workers read ahead
};

/// The batches of a data set, epoch after epoch: each loop `for (const Batch& batch : loader)` runs through
/// another one, also after a loop that was left early, since `epoch` advances when a loop begins. The order
/// is a pure function of (seed, epoch), the same on every machine, so training resumed with `loader.epoch =
/// e` and `for (const Batch& batch : loader.from_batch(k))` sees what it would have seen uninterrupted. One
/// loop at a time. Throws ValueError for a data set that yields no batch, and for a label that is neither a
/// class nor ignored_label; what `read` throws, in any thread, comes out of the loop.
class Loader {
 public:
  class Iterator;
  struct Range;

  explicit Loader(Dataset dataset, LoaderOptions options = {});

  /// The epoch that the next loop runs through.
  int64_t epoch = 0;

  const Dataset& dataset() const { return dataset_; }
  /// Batches per epoch.
  int64_t batches() const { return batches_; }
  /// Samples that every epoch leaves out, because of `drop_last` or `min_batch`.
  int64_t dropped() const { return dropped_; }

  /// The epoch's batches from number `first` (0 <= first <= batches()) on.
  Range from_batch(int64_t first);
  Iterator begin();
  std::default_sentinel_t end() const { return {}; }

 private:
  class Prefetcher;

  void start_epoch();
  Batch blank_batch(int64_t number) const;
  void read_samples(Batch& batch, int64_t number, int64_t begin, int64_t end) const;
  void check_labels(const Batch& batch, int64_t number) const;
  Batch read_batch(int64_t number) const;

  Dataset dataset_;
  LoaderOptions options_;
  int64_t batches_ = 0, dropped_ = 0;
  int64_t reading_ = 0;  // the epoch of the current loop
  std::vector<int64_t> order_;
  Batch batch_;
};

class Loader::Iterator {
 public:
  using value_type = Batch;
  using difference_type = std::ptrdiff_t;

  Iterator(Loader& loader, int64_t number);
  const Batch& operator*() const { return loader_->batch_; }
  const Batch* operator->() const { return &loader_->batch_; }
  Iterator& operator++() {
    ++number_;
    read();
    return *this;
  }
  void operator++(int) { ++*this; }
  bool operator==(std::default_sentinel_t) const { return number_ == loader_->batches_; }

 private:
  void read();

  Loader* loader_;
  int64_t number_;
  std::shared_ptr<Prefetcher> prefetcher_;  // null without workers; its end stops them
};

struct Loader::Range {
  Loader& loader;
  int64_t first;
  Iterator begin() const;
  std::default_sentinel_t end() const { return {}; }
};

}  // namespace ballast::inline BALLAST_PRECISION
