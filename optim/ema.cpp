#include <ballast/optim/ema.h>

#include <algorithm>

#include <ballast/core/detail/compiler.h>
#include <ballast/core/detail/tuning.h>
#include <ballast/core/parallel.h>

namespace ballast::inline BALLAST_PRECISION {
namespace {

struct Found {
  std::vector<Tensor> tensors;
  std::vector<Counter*> counters;
};

Found parts_of(Parts& parts) {
  Found found;
  for_each_parameter(parts, [&](const std::string&, Parameter& p) { found.tensors.push_back(p.value()); });
  for_each_buffer(parts, [&](const std::string&, Buffer& b) { found.tensors.push_back(b.value()); });
  for_each_counter(parts, [&](const std::string&, Counter& c) { found.counters.push_back(&c); });
  return found;
}

void move_towards(real* to, const real* from, int64_t count, real share) {
  parallel_for(count, detail::tuning::elementwise_grain, [=](int64_t begin, int64_t end) {
    BALLAST_INDEPENDENT
    for (int64_t i = begin; i < end; ++i) to[i] += share * (from[i] - to[i]);
  });
}

}  // namespace

Ema::Ema(Parts& model, Parts& average, const EmaOptions& options) : options_(options) {
  check<ValueError>(options.decay >= 0 && options.decay < 1, "Ema: a decay of {}; it must be in [0, 1)",
                    options.decay);
  const Found from = parts_of(model), to = parts_of(average);
  check<UsageError>(from.tensors.size() == to.tensors.size() && from.counters.size() == to.counters.size(),
                    "Ema: the average has {} parameters and buffers and {} counters, the model {} and {}; "
                    "make it a copy of the model",
                    to.tensors.size(), to.counters.size(), from.tensors.size(), from.counters.size());
  for (size_t i = 0; i < from.tensors.size(); ++i) {
    const Tensor &x = from.tensors[i], &mean = to.tensors[i];
    check<UsageError>(
        x.storage() != mean.storage(),
        "Ema: the average and the model share a part of shape {}; make the average a copy of the model",
        x.shape());
    check<UsageError>(x.shape() == mean.shape(),
                      "Ema: a part of the average has shape {}, that of the model {}; make it a copy of the "
                      "model",
                      mean.shape(), x.shape());
    // Parameters that are tied in the average, too, come by each of their names.
    const bool known = std::any_of(tensors_.begin(), tensors_.end(),
                                   [&](const Pair& pair) { return pair.to.storage() == mean.storage(); });
    if (!known) tensors_.push_back({x, mean});
    //~ tensors_.push_back({x, mean});
  }
  for (size_t i = 0; i < from.counters.size(); ++i) counters_.push_back({from.counters[i], to.counters[i]});
}

void Ema::update() {
  const auto before = static_cast<double>(updates_.value++);
  const double decay =
      options_.warm_up ? std::min(options_.decay, (1 + before) / (10 + before)) : options_.decay;
  //~ options_.decay;
  for (Pair& pair : tensors_) {
    if (before == 0) {
      std::copy_n(pair.from.data(), pair.from.count(), pair.to.data());
      //~
    } else {
      move_towards(pair.to.data(), pair.from.data(), pair.from.count(), static_cast<real>(1 - decay));
    }
  }
  for (const CounterPair& pair : counters_) pair.to->value = pair.from->value;
}

}  // namespace ballast::inline BALLAST_PRECISION
