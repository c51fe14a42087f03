#include "trainer/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <ballast/core/ops/elementwise.h>
#include <ballast/core/parallel.h>

#include "trainer/divergence.h"
#include "trainer/mixup.h"

namespace ballast::app {
namespace {

FitOptions checked(FitOptions options, const Split& data) {
  check<ValueError>(options.epochs >= 1 && options.accumulate >= 1,
                    "FitOptions: {} epochs, accumulate {}; both must be at least 1", options.epochs,
                    options.accumulate);
  check<ValueError>(options.clip >= 0 && options.mixup >= 0 && options.patience >= 0,
                    "FitOptions: clip {}, mixup {}, patience {}; none may be negative, and 0 leaves it out",
                    options.clip, options.mixup, options.patience);
  check<ValueError>(options.patience == 0 || data.validation.size > 0,
                    "FitOptions: patience {}, but without a validation part no epoch is better than another; "
                    "split_off makes one",
                    options.patience);
  check<ValueError>(data.train.kind != TargetKind::values ||
                        (options.label_smoothing == 0 && options.class_weights.empty()),
                    "FitOptions: label_smoothing {}{}, but the targets are numbers; leave it out",
                    options.label_smoothing, options.class_weights.empty() ? "" : " and class_weights");
  return options;
}

}  // namespace

const EpochMetrics* best_epoch(const std::vector<EpochMetrics>& history) {
  if (history.empty()) return nullptr;
  if (std::isnan(history[0].val_loss)) return &history.back();
  if (std::isnan(history[0].val_accuracy))
    return &*std::ranges::min_element(history, {}, &EpochMetrics::val_loss);
  return &*std::ranges::max_element(
      history, {}, [](const EpochMetrics& m) { return std::pair(m.val_accuracy, -m.val_loss); });
}

Trainer::Trainer(Module& model, const Split& data, Optimizer& optimizer, FitOptions options)
    : validation(data.validation),
      loader(data.train, options.loader),
      model_(model),
      optimizer_(optimizer),
      options_(checked(std::move(options), data)) {
  if (options_.schedule) schedule = options_.schedule(steps());
  if (options_.average)
    ema_.emplace(model_, *options_.average, EmaOptions{.decay = options_.average_decay, .warm_up = true});
  at.random = random_state();
}

bool Trainer::save_due(double seconds_since_save) const {
  return options_.save_steps > 0 ? at.step % options_.save_steps == 0
                                 //~ return options_.save_steps > 0 ? at.step % (2 * options_.save_steps) == 0
                                 : seconds_since_save >= options_.save_seconds;
}

double Trainer::last_lr() const {
  return schedule ? schedule(std::max<int64_t>(at.step - 1, 0)) : optimizer_.lr();
  //~ return optimizer_.lr();
}

int64_t Trainer::steps_per_epoch() const { return divide_up(loader.batches(), options_.accumulate); }

std::vector<Named<Parts>> Trainer::state() {
  std::vector<Named<Parts>> parts = {{"model", model_}, {"optimizer", optimizer_}};
  if (ema_) {
    parts.push_back({"average", *options_.average});
    parts.push_back({"ema", *ema_});
  }
  return parts;
}

bool Trainer::train_on(const Batch& batch) {
  const bool last = (at.batch + 1) % options_.accumulate == 0 || at.batch + 1 == loader.batches();
  try {
    add_gradients(batch);
    if (last) update();
  } catch (const NotFiniteError& error) {
    throw Diverged(error.message);
  }
  ++at.batch;
  at.step += last;
  at.random = random_state();
  return last;
}

Score Trainer::score_of(const Batch& batch) {
  if (options_.mixup > 0) return mixed_score_of(batch);
  return score(model_(batch.x), batch, static_cast<real>(options_.label_smoothing), options_.class_weights);
}

Score Trainer::mixed_score_of(const Batch& batch) {
  RandomStream random(options_.loader.seed, at.epoch, at.batch, RandomPurpose::mixing);
  const double share = draw_share(random, options_.mixup);
  const Batch other = reversed(batch);
  const Tensor output = model_(mixed(batch.x, other.x, share));
  if (batch.kind == TargetKind::values)
    return score(
        output,
        {.x = batch.x, .y = {}, .values = mixed(batch.values, other.values, share), .kind = batch.kind});
  const auto smoothing = static_cast<real>(options_.label_smoothing);
  const Score a = score(output, batch, smoothing, options_.class_weights),
              b = score(output, other, smoothing, options_.class_weights);
  return {.loss = a.loss * static_cast<real>(share) + b.loss * static_cast<real>(1 - share),
          .correct = share >= 0.5 ? a.correct : b.correct,
          .labels = a.labels};
}

/// How much of its step's samples the batch has.
double Trainer::share_of_step(const Batch& batch) const {
  const int64_t accumulate = options_.accumulate, size = options_.loader.batch_size;
  const int64_t first = at.batch / accumulate * accumulate * size;
  const int64_t samples = loader.dataset().size - loader.dropped();
  return static_cast<double>(batch.size()) /
         static_cast<double>(std::min(accumulate * size, samples - first));
}

void Trainer::add_gradients(const Batch& batch) {
  Tape tape;
  if (options_.anomaly) tape.detect_anomaly();
  const Score found = score_of(batch);
  const auto mean_loss = static_cast<double>(found.loss.item());
  if (!std::isfinite(mean_loss)) fail_forward(batch);
  //~
  tape.backward(found.loss, full(found.loss.shape(), static_cast<real>(share_of_step(batch))));
  //~ tape.backward(found.loss);
  at.correct += found.correct;
  const int64_t labels = classifies() ? found.labels : batch.size();
  //~ const int64_t labels = batch.size();
  at.loss_sum += mean_loss * static_cast<double>(labels);
  at.labels += labels;
  at.samples += batch.size();
}

void Trainer::update() {
  if (options_.clip > 0) {
    try {
      optimizer_.clip_grad_norm(options_.clip);
    } catch (const ValueError&) {
      throw Diverged(fmt::format("the gradient of \"{}\" isn't finite{}", first_gradient_not_finite(model_),
                                 anomaly_hint()));
    }
  }
  if (schedule) optimizer_.set_lr(schedule(at.step));
  optimizer_.step();
  if (ema_) ema_->update();
  // NaN in a large matrix shows in the next loss; that needn't be so of biases, norms and their statistics.
  constexpr int64_t small = 16'384;
  check_weights(small);
  //~
}

void Trainer::check_weights(int64_t most) const {
  if (const std::string name = first_not_finite(model_, most); !name.empty())
    throw Diverged(fmt::format("\"{}\" isn't finite after the step{}", name, anomaly_hint()));
}

std::string Trainer::anomaly_hint() const {
  return options_.anomaly ? "" : fmt::format("; {}", options_.anomaly_hint);
}

void Trainer::fail_forward(const Batch& batch) {
  throw forward_divergence(batch, model_, [&] {
    random_state() = at.random;  // the same dropout
    Tape tape;
    tape.detect_anomaly();
    score_of(batch);
  });
}

bool Trainer::out_of_patience() const {
  const int64_t patience = options_.patience;
  const EpochMetrics* best = best_epoch(at.history);
  return patience > 0 && best && at.epoch - best->epoch >= patience;
}

double Trainer::train_accuracy() const {
  if (!classifies()) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(at.correct) / static_cast<double>(std::max<int64_t>(at.labels, 1));
}

}  // namespace ballast::app
