#pragma once

#include "experiments/experiment.h"

namespace ballast::app::experiments {

// Runs of weight-decay on a network with two hidden layers of 100, in which a batch norm follows each weight
// W.

/// At initialization and on one batch, of the setting's `eps`: how far f(aW) is from f(W) and a grad(aW) from
/// grad(W), as shares of the latter; the largest |cos| between a row of W and its gradient; the gradient of
/// the biases as a share of W's. "decayed weights" and "decayed others": how far one step with weight decay
/// ends from the same step without.
Figures scale_identities(const Trial& trial);

constexpr double length_lr = 0.1;
constexpr int64_t length_epochs = 4, length_every = 20;  // steps from one point of a curve to the next

/// SGD with the setting's `sgd decay`, and at each step what theory says of the second hidden layer's weight
/// W: since its gradient g is orthogonal to it, |W'|^2 = (1 - lr decay)^2 |W|^2 + lr^2 |g|^2, and the angle
/// between W and W' has the tangent lr |g| / ((1 - lr decay) |W|). "angle" is that of the last epoch.
Figures length_and_angle(const Trial& trial);

}  // namespace ballast::app::experiments
