#include <ballast/data/loader.h>

#include <numeric>

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

}  // namespace

Loader::Loader(Dataset dataset, LoaderOptions options) : dataset_(std::move(dataset)), options_(options) {
  const int64_t size = dataset_.size, batch_size = options_.batch_size;
  check<ValueError>(size > 0, "Loader: the data set is empty");
  check<ValueError>(batch_size >= 1, "Loader: batch_size is {}; it must be at least 1", batch_size);
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
  ++epoch;
  //~
}

void Loader::Iterator::read() {
  if (number_ < loader_->batches_) return loader_->read_batch(number_);
  loader_->batch_ = {};
}

void Loader::read_batch(int64_t number) {
  const int64_t first = number * options_.batch_size;
  const int64_t count = std::min(options_.batch_size, dataset_.size - first);
  const int64_t* order = order_.data() + first;
  // New tensors, since the last batch's may still be held; without a holder the pool hands out the same
  // memory.
  batch_ = {};
  batch_ = {Tensor(dataset_.sample_shape.inserted(0, count)), Labels(count)};
  const int64_t sample = dataset_.sample_shape.count();
  real* x = batch_.x.data();
  int32_t* y = batch_.y.data();
  parallel_for(count, 16, [&, x, y](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) y[n] = dataset_.read(order[n], x + n * sample);
  });
  for (int64_t n = 0; n < count; ++n)
    check<ValueError>(y[n] >= 0 && y[n] < dataset_.classes,
                      "the label of sample {} is {}; it must be in 0 ... {}", order[n], y[n],
                      dataset_.classes - 1);
}

}  // namespace ballast::inline BALLAST_PRECISION
