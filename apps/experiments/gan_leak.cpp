#include <cmath>

#include <ballast/core/ops/elementwise.h>
#include <ballast/core/ops/loss.h>
#include <ballast/core/ops/movement.h>
#include <ballast/core/random.h>
#include <ballast/layers/batch_norm.h>
#include <ballast/layers/flatten.h>
#include <ballast/layers/layer_norm.h>
#include <ballast/layers/linear.h>
#include <ballast/layers/spectral_norm.h>
#include <ballast/optim/adam.h>

#include "experiments/training.h"

namespace ballast::app::experiments {
namespace {

const GridAxis norms{"discriminator", {"none", "batch", "batch, apart", "layer", "spectral"}};
constexpr int64_t images_of_each = 64, noise = 64, full_steps = 600, look = 25;

bool apart(const Setting& setting) { return setting["discriminator"] == "batch, apart"; }

Sequential discriminator(const std::string& norm) {
  Sequential net{Flatten()};
  for (const int64_t in : {784, 128}) {
    if (norm == "spectral")
      net.add(SpectralNorm(Linear(in, 128)));
    else
      net.add(Linear(in, 128));
    if (norm.starts_with("batch")) net.add(BatchNorm1d(128));
    if (norm == "layer") net.add(LayerNorm(128));
    net.add(LeakyReLU(real(0.2)));
  }
  net.add(Linear(128, 1));
  return net;
}

Sequential generator() {
  return Sequential(Linear(noise, 128, {.bias = false}), BatchNorm1d(128), ReLU(),
                    Linear(128, 128, {.bias = false}), BatchNorm1d(128), ReLU(), Linear(128, 784), Sigmoid());
}

/// A GAN on the images: both sorts go through the discriminator in one batch, or in one each.
class Gan {
 public:
  explicit Gan(const Setting& setting)
      : d(discriminator(setting["discriminator"])), g(generator()), apart_(apart(setting)) {}

  double step(const Batch& batch) {
    const Tensor real_images = flatten(batch.x);
    Tensor loss;
    {
      Tape tape;
      const Tensor fake = g(randn({images_of_each, noise})).detach();
      loss = binary_cross_entropy_with_logits(judged(real_images, fake), truth());
      tape.backward(loss);
      d_optimizer_.step();
    }
    Tape tape;
    const Tensor all = judged(real_images, g(randn({images_of_each, noise})));
    tape.backward(binary_cross_entropy_with_logits(slice(all, 0, images_of_each, 2 * images_of_each),
                                                   ones({images_of_each, 1})));
    g_optimizer_.step();
    d_optimizer_.zero_grad();
    return loss.item();
  }

  /// The discriminator's outputs for the one and then for the other images.
  Tensor judged(const Tensor& first, const Tensor& second) {
    if (apart_) return concat({d(first), d(second)}, 0);
    return d(concat({first, second}, 0));
  }

  Sequential d, g;

 private:
  static Tensor truth() { return concat({ones({images_of_each, 1}), zeros({images_of_each, 1})}, 0); }

  bool apart_;
  Adam d_optimizer_{d, {.lr = 5e-4, .beta1 = 0.5}}, g_optimizer_{g, {.lr = 5e-4, .beta1 = 0.5}};
};

/// The gradient of the output for the first real image by all fakes, as a share of that by the image itself.
double leak(Gan& gan, Tensor real_images, Tensor fake) {
  Tape tape;
  tape.watch(real_images), tape.watch(fake);
  Tensor first;
  {
    const FrozenStatisticsScope frozen;
    first = slice(gan.judged(real_images, fake), 0, 0, 1);
  }
  tape.backward(first, ones({1, 1}));
  zero_grad(gan.d);
  const Tensor by_fake = tape.grad(fake), by_real = tape.grad(real_images);
  return by_fake.empty() ? 0 : norm(by_fake.values()) / norm(by_real.values().first(784));
}

/// Percent of the real images whose verdict changes when the fakes of the batch are replaced by other real
/// ones.
double flipped(Gan& gan, const Tensor& real_images, const Tensor& fake, const Tensor& others) {
  Tape tape;
  const FrozenStatisticsScope frozen;
  const Tensor among_fakes = gan.judged(real_images, fake), among_real = gan.judged(real_images, others);
  int64_t count = 0;
  for (int64_t n = 0; n < images_of_each; ++n) count += (among_fakes(n, 0) > 0) != (among_real(n, 0) > 0);
  return 100.0 * static_cast<double>(count) / images_of_each;
}

Figures run(const Trial& trial) {
  Gan gan(trial.setting);
  Loader loader(trial.images.pixels.train,
                {.batch_size = images_of_each, .seed = trial.seed, .drop_last = true});
  auto batch = loader.begin();
  const Tensor some = flatten(batch->x).clone();
  ++batch;
  const Tensor others = flatten(batch->x).clone();
  const auto fakes = [&] {
    const Tape tape;
    const FrozenStatisticsScope frozen;
    return gan.g(randn({images_of_each, noise})).detach();
  };
  Figures figures;
  figures.values["leak at first"] = leak(gan, some, fakes());
  figures.curves["leak"].push_back(100 * figures.values["leak at first"]);
  double loss = 0;
  for (int64_t step = 0; step < trial.steps(full_steps); ++step) {
    ++batch;
    loss = gan.step(*batch);
    if ((step + 1) % look != 0) continue;
    const RandomState before = random_state();  // looking doesn't change the training
    figures.curves["leak"].push_back(100 * leak(gan, some, fakes()));
    random_state() = before;
  }
  const Tensor fake = fakes();
  figures.values["leak at last"] = leak(gan, some, fake);
  figures.values["flipped"] = flipped(gan, some, fake, others);
  figures.values["generator's loss"] = loss;
  return figures;
}

Findings judge(const Results& results) {
  Findings findings;
  Table table{"A real image's output in training, and the 64 fakes of its batch",
              {"discriminator", "gradient by fakes at first, %", "at last, %", "verdicts that flip, %",
               "generator's loss"},
              {}};
  double exact = 0, least_leak = HUGE_VAL, most_flips = 0;
  for (const std::string& norm : norms.values) {
    const Setting setting{{"discriminator", norm}};
    const OverSeeds first = results.of(setting, "leak at first"), last = results.of(setting, "leak at last"),
                    flips = results.of(setting, "flipped");
    const auto percent = [](OverSeeds share) {
      for (double& value : share.all) value *= 100;
      return share.text();
    };
    table.rows.push_back(
        {norm, percent(first), percent(last), flips.text(1), results.of(setting, "generator's loss").text()});
    if (norm == "batch") {
      least_leak = std::min(first.least(), last.least());
    } else {
      exact = std::max({exact, first.largest(), last.largest()});
      most_flips = std::max(most_flips, flips.largest());
    }
  }
  table.note =
      "Gradients by all fakes as a share of that by the image itself. A verdict, real or fake, flips if it "
      "is "
      "another one when the fakes are replaced by other real images.";
  findings.tables.push_back(std::move(table));
  Plot plot{"Gradient by the fakes, share of that by the image (0 for all but batch)",
            {"step"},
            {"share, %", false, 0},
            {}};
  std::vector<double> steps;
  for (int64_t step = 0; step <= full_steps; step += look) steps.push_back(static_cast<double>(step));
  for (const std::string& norm : norms.values)
    plot.series.push_back(results.curve({{"discriminator", norm}}, "leak", steps, norm));
  findings.plots.push_back(std::move(plot));
  const OverSeeds flips = results.of({{"discriminator", "batch"}}, "flipped");
  findings.checks = {
      {"with batch norm over both sorts the output for a real image depends on the fakes: at least 1 % of "
       "the "
       "gradient, with every seed",
       fmt::format("at least {:.1f} %", 100 * least_leak), least_leak >= 0.01},
      {"without norm, with layer or spectral norm, and with a batch for each sort, it does not at all: the "
       "gradient is 0",
       fmt::format("at most {:g}", exact), exact == 0},
      {"after training at least 10 % of real images are judged otherwise among real ones, with batch norm "
       "over "
       "both sorts",
       flips.text(1) + " %", flips.mean() >= 10},
      {"with the others none is", fmt::format("at most {:g} %", most_flips), most_flips == 0}};
  return findings;
}

}  // namespace

extern const Experiment gan_leak;
const Experiment gan_leak{
    .name = "gan-leak",
    .claim =
        "Batch normalization in a discriminator lets a real image see the fakes of its batch; layer and "
        "spectral normalization do not",
    .source =
        "follows from the definitions; Miyato et al. 2018 (arXiv:1802.05957) for spectral normalization, "
        "Radford et al. 2016 (arXiv:1511.06434) for batch normalization in discriminators",
    .setup =
        "Discriminator: two hidden layers of 128, the norm, leaky ReLU of slope 0.2. Generator: two hidden "
        "layers of 128 ReLU with batch norm, sigmoid. 64 real images and 64 fakes, together in one batch, or "
        "\"apart\" in one each; 600 steps of Adam at 0.0005 with beta1 0.5, pixels of 0 to 1. The gradient "
        "is "
        "that of the first real image's output, in training mode.",
    .reference = "nobody has published figures; expected before the first run were the lines below",
    .settings = grid({norms}),
    .run = run,
    .judge = judge};

}  // namespace ballast::app::experiments
