// A generative adversarial network (Goodfellow et al. 2014) on points of a ring of eight Gaussians. The
// discriminator has spectral normalization (Miyato et al. 2018), which doesn't let samples of a batch see
// each other, as batch normalization would.
//
//   gan [STEPS]
//
// Measured: 86 % of the points are near one of the eight Gaussians, and all eight are met (3 s of
// processor time, 9 MB).
#include <ballast/ballast.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numbers>
#include <set>

using namespace ballast;

constexpr int64_t batch = 128, noise = 8;

double centre(int64_t k, bool y) {
  const double angle = 2 * std::numbers::pi * static_cast<double>(k) / 8;
  return 2 * (y ? std::sin(angle) : std::cos(angle));
}

Tensor real_points() {
  Tensor x = randn({batch, 2}, 0, real(0.05));
  const Tensor which = rand({batch}, 0, 8);
  for (int64_t n = 0; n < batch; ++n) {
    const auto k = std::min<int64_t>(static_cast<int64_t>(which(n)), 7);
    x(n, 0) += static_cast<real>(centre(k, false));
    x(n, 1) += static_cast<real>(centre(k, true));
  }
  return x;
}

int main(int count, char** arguments) {
  const int64_t steps = count > 1 ? std::atoll(arguments[1]) : 4000;
  manual_seed(1);
  Sequential generator(Linear(noise, 64, {.bias = false}), BatchNorm1d(64), ReLU(),
                       Linear(64, 64, {.bias = false}), BatchNorm1d(64), ReLU(), Linear(64, 2));
  Sequential discriminator(SpectralNorm(Linear(2, 64)), LeakyReLU(real(0.2)), SpectralNorm(Linear(64, 64)),
                           LeakyReLU(real(0.2)), SpectralNorm(Linear(64, 1)));
  Adam generator_optimizer(generator, {.lr = 1e-3, .beta1 = 0.5});
  Adam discriminator_optimizer(discriminator, {.lr = 2e-3, .beta1 = 0.5});
  const Tensor ones_ = ones({batch, 1}), zeros_ = zeros({batch, 1});

  for (int64_t step = 1; step <= steps; ++step) {
    double d_loss = 0, g_loss = 0;
    {
      Tape tape;
      const Tensor fake = generator(randn({batch, noise})).detach();  // no gradient into the generator
      const Tensor loss = binary_cross_entropy_with_logits(discriminator(real_points()), ones_) +
                          binary_cross_entropy_with_logits(discriminator(fake), zeros_);
      tape.backward(loss);
      discriminator_optimizer.step();
      d_loss = static_cast<double>(loss.item());
    }
    {
      Tape tape;
      const Tensor loss =
          binary_cross_entropy_with_logits(discriminator(generator(randn({batch, noise}))), ones_);
      tape.backward(loss);
      generator_optimizer.step();
      discriminator_optimizer.zero_grad();  // what reached it on the way isn't for its own next step
      g_loss = static_cast<double>(loss.item());
    }
    if (step % std::max<int64_t>(steps / 4, 1) != 0) continue;
    const Tensor points = predict(generator, randn({1000, noise}));
    std::set<int64_t> met;
    int64_t near = 0;
    for (int64_t n = 0; n < 1000; ++n) {
      for (int64_t k = 0; k < 8; ++k) {
        if (std::hypot(points(n, 0) - centre(k, false), points(n, 1) - centre(k, true)) > 0.3) continue;
        ++near, met.insert(k);
      }
    }
    fmt::print("step {}: losses {:.3f} and {:.3f}; {:.0f} % of the points near {} of the 8 Gaussians\n", step,
               d_loss, g_loss, static_cast<double>(near) / 10, met.size());
  }
}
