#include "experiments/experiment.h"

namespace ballast::app::experiments {

extern const Experiment bn_mnist, lr_tolerance, depth_init, batch_size, landscape, dropout_order,
    weight_decay, time_to_accuracy, gan_leak, covariance, gradient_flow, certificate, style, noise, transfer,
    batch_effects, resnet_depth, segmentation, recurrent, transformer;

const std::vector<const Experiment*>& all_experiments() {
  static const std::vector<const Experiment*> all = {
      &bn_mnist,     &lr_tolerance,  &depth_init,    &batch_size,
      &landscape,    &dropout_order, &weight_decay,  &time_to_accuracy,
      &gan_leak,     &covariance,    &gradient_flow, &certificate,
      &style,        &noise,         &transfer,      &batch_effects,
      &resnet_depth, &segmentation,  &recurrent,     &transformer};
  return all;
}

}  // namespace ballast::app::experiments
