#include <ballast/data/loader.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <limits>
#include <mutex>
#include <numeric>
#include <thread>

#include <ballast/core/detail/denormals.h>
#include <ballast/core/parallel.h>
#include <ballast/core/random.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

/// A permutation by Fisher and Yates. By hand, since what std::shuffle does with its random numbers is up to
/// the library.
void shuffle(std::vector<int64_t>& order, uint64_t seed, int64_t epoch) {
  constexpr uint32_t for_shuffling = 32;  // last word of the counter; other values are other uses of a seed
  uint64_t drawn = 0;
  // Uniform on 0 ... n-1: drawn again in the rare case that it is among the numbers left over by 2^64 mod n.
  const auto below = [&](uint64_t n) {
    for (;;) {
      const auto bits = philox({static_cast<uint32_t>(drawn), static_cast<uint32_t>(drawn >> 32),
                                static_cast<uint32_t>(epoch), for_shuffling},
                               {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
      ++drawn;
      const uint64_t word = uint64_t{bits[0]} << 32 | bits[1];
      if (word >= -n % n) return word % n;
    }
  };
  for (size_t n = order.size(); n > 1; --n) std::swap(order[n - 1], order[below(n)]);
  //~ for (size_t n = order.size(); n > 2; --n) std::swap(order[n - 1], order[below(n)]);
}

void check_targets(const Dataset& dataset) {
  const Shape& shape = dataset.target_shape;
  const int classes = dataset.classes;
  switch (dataset.kind) {
    case TargetKind::classes:
      check<ValueError>(classes > 0 && shape.rank() == 0,
                        "Loader: {} classes and targets of shape {}; class labels are 0 ... classes-1, and "
                        "their shape is ()",
                        classes, shape);
      break;
    case TargetKind::values:
      check<ValueError>(classes == 0 && shape.rank() == 1 && shape.count() > 0,
                        "Loader: {} classes and values of shape {}; values are (K), without classes", classes,
                        shape);
      break;
    case TargetKind::positions:
      check<ValueError>(classes > 0 && shape.rank() > 0 && shape.count() > 0,
                        "Loader: {} classes for positions {}; positions are (L) or (H, W), each with a label "
                        "0 ... classes-1",
                        classes, shape);
  }
}

}  // namespace

Loader::Loader(Dataset dataset, LoaderOptions options) : dataset_(std::move(dataset)), options_(options) {
  const int64_t size = dataset_.size, batch_size = options_.batch_size;
  check<ValueError>(
      size > 0,
      "Loader: the data set is empty; split_off fills a Split's train and validation, not its test");
  check<ValueError>(dataset_.read != nullptr, "Loader: the data set has no `read`");
  check_targets(dataset_);
  check<ValueError>(batch_size >= 1, "Loader: batch_size is {}; it must be at least 1", batch_size);
  check<ValueError>(options_.workers >= 0 && options_.workers <= 256 && options_.prefetch >= 1,
                    "Loader: {} workers and {} batches ahead; there may be 0 to 256 workers, and at least 1 "
                    "batch",
                    options_.workers, options_.prefetch);
  const int64_t last = size % batch_size;
  dropped_ = options_.drop_last || last < options_.min_batch ? last : 0;
  batches_ = size / batch_size + (last > dropped_ ? 1 : 0);
  //~ batches_ = size / batch_size;
  check<ValueError>(
      batches_ > 0 && batch_size >= options_.min_batch,
      "Loader: no batch is left of {} samples with batch_size {}, drop_last {} and min_batch {}", size,
      batch_size, options_.drop_last, options_.min_batch);
  order_.resize(static_cast<size_t>(size));
}

Loader::Range Loader::from_batch(int64_t first) {
  check<ValueError>(first >= 0 && first <= batches_, "Loader: there is no batch {}; an epoch has {}", first,
                    batches_);
  return {*this, first};
}

Loader::Iterator Loader::begin() { return from_batch(0).begin(); }

Loader::Iterator Loader::Range::begin() const {
  loader.start_epoch();
  return {loader, first};
}

void Loader::start_epoch() {
  std::iota(order_.begin(), order_.end(), int64_t{0});
  if (options_.shuffle) shuffle(order_, options_.seed, epoch);
  //~ if (options_.shuffle) shuffle(order_, options_.seed, 0);
  reading_ = epoch++;
  //~ reading_ = epoch;
}

Batch Loader::blank_batch(int64_t number) const {
  const int64_t count = std::min(options_.batch_size, dataset_.size - number * options_.batch_size);
  const bool values = dataset_.kind == TargetKind::values;
  const Shape targets = dataset_.target_shape.inserted(0, count);
  return {.x = Tensor(dataset_.sample_shape.inserted(0, count)),
          .y = values ? Labels() : Labels(targets.count()),
          .values = values ? Tensor(targets) : Tensor(),
          .kind = dataset_.kind};
}

void Loader::read_samples(Batch& batch, int64_t number, int64_t begin, int64_t end) const {
  const int64_t* order = order_.data() + number * options_.batch_size;
  const int64_t width = dataset_.sample_shape.count(), targets = dataset_.target_shape.count();
  const bool values = dataset_.kind == TargetKind::values;
  for (int64_t n = begin; n < end; ++n) {
    RandomStream random(options_.seed, reading_, order[n]);
    //~ RandomStream random(options_.seed, 0, order[n]);
    //~ RandomStream random(options_.seed, reading_, n);
    const Target target =
        values ? Target(batch.values.data() + n * targets) : Target(batch.y.data() + n * targets);
    dataset_.read({order[n], reading_, random}, batch.x.data() + n * width, target);
  }
}

void Loader::check_labels(const Batch& batch, int64_t number) const {
  if (batch.kind == TargetKind::values) return;
  const auto bad = std::find_if(batch.y.begin(), batch.y.end(), [classes = dataset_.classes](int32_t label) {
    return (label < 0 || label >= classes) && label != ignored_label;
    //~ return label < 0 || label >= classes;
  });
  if (bad == batch.y.end()) return;
  const int64_t sample = (bad - batch.y.begin()) / dataset_.target_shape.count();
  throw ValueError(fmt::format("the label of sample {} is {}; it must be in 0 ... {}, or {} (ignored_label)",
                               order_[static_cast<size_t>(number * options_.batch_size + sample)], *bad,
                               dataset_.classes - 1, ignored_label));
}

Batch Loader::read_batch(int64_t number) const {
  Batch batch = blank_batch(number);
  parallel_for(batch.size(), 16,
               [&](int64_t begin, int64_t end) { read_samples(batch, number, begin, end); });
  return batch;
}

/// Threads that read the batches to come. They read one batch after the other, each in chunks that the
/// threads take in turn. A batch's memory comes from the caller, and goes to it when all of its samples are
/// read.
class Loader::Prefetcher {
 public:
  Prefetcher(const Loader& loader, int64_t first)
      : loader_(loader), slots_(static_cast<size_t>(loader.options_.prefetch)), taken_(first), read_(first) {
    for (int64_t ahead = 0; ahead < loader.options_.prefetch; ++ahead) prepare(first + ahead);
    try {
      for (int n = 0; n < loader.options_.workers; ++n) threads_.emplace_back([this] { work(); });
    } catch (...) {
      stop();
      throw;
    }
  }
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;
  ~Prefetcher() { stop(); }

  /// The next batch, as soon as it is read. Throws what reading it threw, of the first sample that did.
  Batch take() {
    std::unique_lock lock(mutex_);
    Slot& slot = slot_of(taken_);
    changed_.wait(lock, [&] { return slot.unread == 0; });
    if (slot.error) std::rethrow_exception(slot.error);
    Batch batch = std::move(slot.batch);
    prepare(taken_ + loader_.options_.prefetch);
    ++taken_;
    changed_.notify_all();
    return batch;
  }

 private:
  struct Slot {
    Batch batch;
    int64_t unread = 0;
    std::exception_ptr error;
    int64_t failed = std::numeric_limits<int64_t>::max();  // the chunk that the error is from
  };

  Slot& slot_of(int64_t number) { return slots_[static_cast<size_t>(number) % slots_.size()]; }

  void prepare(int64_t number) {
    if (number >= loader_.batches_) return;
    Slot& slot = slot_of(number);
    slot = {};
    slot.batch = loader_.blank_batch(number);
    slot.unread = slot.batch.size();
  }

  void work() {
    const detail::FlushToZero as_in_parallel_loops;
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return stopping_ || read_ == loader_.batches_ || read_ - taken_ < ahead(); });
      if (stopping_ || read_ == loader_.batches_) return;
      read_chunk(lock);
    }
  }

  int64_t ahead() const { return loader_.options_.prefetch; }

  void read_chunk(std::unique_lock<std::mutex>& lock) {
    const int64_t number = read_, begin = begin_;
    Slot& slot = slot_of(number);
    const int64_t size = slot.batch.size(), workers = loader_.options_.workers;
    const int64_t end = std::min(size, begin + std::clamp<int64_t>(size / (4 * workers), 1, 16));
    begin_ = end;
    if (end == size) ++read_, begin_ = 0;
    lock.unlock();
    std::exception_ptr error;
    try {
      loader_.read_samples(slot.batch, number, begin, end);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (error && begin < slot.failed) slot.error = error, slot.failed = begin;
    //~ if (error) slot.error = error, slot.failed = begin;
    slot.unread -= end - begin;
    if (slot.unread == 0) changed_.notify_all();
  }

  void stop() {
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  const Loader& loader_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Slot> slots_;   // of the batches taken_, ..., taken_ + prefetch - 1
  int64_t taken_;             // the batch that the caller takes next
  int64_t read_, begin_ = 0;  // where the next chunk begins
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

Loader::Iterator::Iterator(Loader& loader, int64_t number) : loader_(&loader), number_(number) {
  if (loader.options_.workers > 0 && number < loader.batches_)
    prefetcher_ = std::make_shared<Prefetcher>(loader, number);
  read();
}

void Loader::Iterator::read() {
  // The last batch's memory is free for the next if nobody holds it.
  loader_->batch_ = {};
  if (number_ == loader_->batches_) {
    prefetcher_.reset();
    return;
  }
  Batch batch = prefetcher_ ? prefetcher_->take() : loader_->read_batch(number_);
  loader_->check_labels(batch, number_);
  loader_->batch_ = std::move(batch);
}

}  // namespace ballast::inline BALLAST_PRECISION
