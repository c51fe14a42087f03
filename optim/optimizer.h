#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ballast/core/module.h>

namespace ballast::inline BALLAST_PRECISION {

/// Which parameters weight decay applies to: weights only, or biases and the parameters of norms as well (as
/// PyTorch does unless told).
enum class DecayRule { weights_only, all };

/// What all optimizers share: the parameters of a module and their gradients, laid out in one stretch of
/// memory (the slab), so that an update is one pass. It is a Module itself: its parts are its state, so that
/// `save` and `load` take it along with the model.
///
/// A parameter that no gradient reached since the last step is skipped, its state included. Model and
/// optimizer may die in either order. A second optimizer over the same model takes its parameters over; the
/// first one throws UsageError at its next step.
class Optimizer : public Module {
 public:
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;
  ~Optimizer() override;

  /// Updates every parameter that has a gradient and drops the gradients. Throws UsageError if a trainable
  /// parameter that took part in a backward pass belongs to no optimizer: it would silently never learn.
  void step();
  void zero_grad();

  /// The 2-norm of all gradients together; scales them down to `max_norm` if it is larger (Pascanu et al.
  /// 2013). Call it between backward and step.
  double clip_grad_norm(double max_norm);
  /// Limits every element of the gradients to [-limit, limit].
  void clip_grad_value(double limit);

  /// The learning rate of the parameters outside of groups; groups keep their ratio to it. What a schedule
  /// sets.
  double lr() const { return lr_; }
  void set_lr(double lr) { lr_ = lr; }

  /// Gives the parameters of `part`, which the optimizer must hold already, a learning rate and a weight
  /// decay of their own.
  struct GroupOptions {
    double lr;
    double weight_decay = 0;
  };
  void group(Module& part, const GroupOptions& options);

  void visit(Visitor& v) override;

 protected:
  /// What one update covers: neighbours in the slab that are treated alike.
  struct Range {
    int64_t begin, count;
    int64_t step;  // 1 at a parameter's first update
    double lr, weight_decay;
  };

  Optimizer(Module& module, double lr, double weight_decay, DecayRule rule);
  /// A buffer of the slab's layout, zeros, named `name` in checkpoints.
  Buffer& add_state(const std::string& name);
  virtual void update(const Range& range, real* value, real* grad) = 0;

 private:
  struct Slot {
    std::string path;
    StorageRef storage;  // the parameter's
    int64_t offset, count;
    double lr_ratio, weight_decay;
    Counter steps;
  };
  struct State {
    std::string name;
    std::unique_ptr<Buffer> values;
  };

  void check_slots() const;
  template <class F>
  void for_each_gradient(F f);

  std::shared_ptr<Slab> slab_;
  std::vector<Slot> slots_;
  std::vector<State> states_;
  double lr_;
  DecayRule rule_;
};

}  // namespace ballast::inline BALLAST_PRECISION
