#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ballast/core/module.h>

namespace ballast::inline BALLAST_PRECISION {

/// Which parameters weight decay applies to: weights only, or biases and the parameters of norms as well
/// (PyTorch's default).
enum class DecayRule { weights_only, all };

/// What all optimizers share: the parameters of a module and their gradients, each contiguous in one buffer
/// (the slab), so that an update is one pass. Its parts are its state, so that `save` and `load` take it
/// along with the model.
///
/// A parameter that no gradient reached since the last step is skipped, its state included. Model and
/// optimizer may be destroyed in either order. A second optimizer over the same model takes its parameters
/// over; the first one throws UsageError at its next step.
class Optimizer : public Parts {
 public:
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;
  ~Optimizer() override;

  /// Updates every parameter that has a gradient and drops the gradients. Throws UsageError where something
  /// would silently not learn: if a trainable parameter that took part in a backward pass with these belongs
  /// to no optimizer, or if none of these has a gradient, as when the model was replaced or copied after the
  /// optimizer was made.
  void step();
  /// Drops the gradients. `step` does that too; this is for gradients that must not be part of the next step:
  /// those of a step abandoned after `backward` (an exception that ends the tape drops them by itself), and
  /// those left by a pass for another optimizer, as in a discriminator when its generator is trained.
  void zero_grad();

  /// The 2-norm of all gradients together; scales them down to `max_norm` if it is larger (Pascanu et al.
  /// 2013). Call it between backward and step. Throws ValueError naming a parameter whose gradient has an
  /// element that isn't finite, and leaves all gradients as they are.
  double clip_grad_norm(double max_norm);
  /// Limits every element of the gradients to [-limit, limit]; NaN stays NaN.
  void clip_grad_value(double limit);

  /// The learning rate of the parameters outside of groups. What a schedule sets.
  double lr() const { return lr_; }
  /// Throws ValueError unless it is finite and at least 0.
  void set_lr(double lr);

  struct GroupOptions {
    std::optional<double> lr = {}, weight_decay = {};  // the optimizer's own unless given
  };
  /// Gives the parameters of `part`, which the optimizer must hold already, a learning rate and a weight
  /// decay of their own. `lr` stands beside the learning rate that the optimizer was made with: their ratio
  /// stays when `set_lr` changes it.
  void group(Parts& part, const GroupOptions& options);

  void visit(Visitor& v) override;

 protected:
  static constexpr size_t most_states = 3;

  /// A contiguous range of one parameter, and of the states in the order of `add_state`.
  struct Part {
    int64_t count;
    real* value;
    const real* grad;
    real* state[most_states];
    int64_t step;  // 1 at the parameter's first update
    double lr, weight_decay;
  };

  /// Takes the parameters over, even from another optimizer: check all other options first.
  Optimizer(Parts& model, double lr, double weight_decay, DecayRule rule);
  /// Throws ValueError unless the option is finite and at least 0.
  static void check_option(const char* name, double value);
  /// Allocates one value per parameter element, 0 at first, saved under `name`.
  void add_state(const std::string& name);
  /// Called by several threads concurrently, each for a part of its own.
  virtual void update(const Part& part) const = 0;

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
  // A range of a slot's elements, which one thread updates; `first` is an index into the slab.
  struct Piece {
    const Slot* slot;
    int64_t first, count;
  };

  void partition_slots();
  void check_slots() const;
  void check_unowned() const;
  void check_gradients() const;
  template <class F>
  void for_each_piece(F f) const;

  std::shared_ptr<Slab> slab_;
  std::vector<Slot> slots_;
  std::vector<Piece> pieces_;
  std::vector<State> states_;
  double first_lr_, lr_, weight_decay_;
  DecayRule rule_;
};

}  // namespace ballast::inline BALLAST_PRECISION
