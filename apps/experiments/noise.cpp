#include <fmt/ranges.h>

#include <ballast/data/evaluate.h>
#include <ballast/optim/sgd.h>

#include "experiments/training.h"

namespace ballast::app::experiments {
namespace {

const GridAxis norms{"norm", {"none", "batch", "layer"}}, dropouts{"dropout", {"0", "0.5"}},
    sizes{"batch", {"16", "128"}};

Figures run(const Trial& trial) {
  const std::string& p = trial.setting["dropout"];
  const auto size = static_cast<int64_t>(trial.setting.number("batch"));
  Sequential net =
      net_of(fmt::format("flatten, 3x(linear 256, norm, act{}), linear", p == "0" ? "" : ", dropout " + p),
             {.norm = trial.setting["norm"]});
  const double lr = 0.05 * static_cast<double>(size) / 128;
  SGD optimizer(net, {.lr = lr, .momentum = 0.9});
  const Split& data = trial.images.standardized;
  const Dataset some = subset(data.train, 0, std::min<int64_t>(2'000, data.train.size));
  const int64_t steps = trial.steps(30 * (some.size / size));
  train(net, optimizer,
        {.data = some,
         .steps = steps,
         .batch_size = size,
         .seed = trial.seed,
         .lr = schedule::cosine(lr, steps)});
  const Evaluation seen = evaluate(net, some), unseen = evaluate(net, data.test);
  return {{{"train accuracy", 100 * seen.accuracy()},
           {"test accuracy", 100 * unseen.accuracy()},
           {"gap", unseen.loss - seen.loss},
           {"test loss", unseen.loss}},
          {}};
}

Findings judge(const Results& results) {
  Findings findings;
  const std::vector<std::pair<const char*, const char*>> figures = {
      {"Loss on test images less loss on training images", "gap"},
      {"Test accuracy, %", "test accuracy"},
      {"Training accuracy, %", "train accuracy"}};
  for (const auto& [title, figure] : figures) {
    Table table{title, {"norm, dropout"}, {}};
    for (const std::string& size : sizes.values) table.columns.push_back("batches of " + size);
    for (const std::string& norm : norms.values)
      for (const std::string& dropout : dropouts.values) {
        table.rows.push_back({fmt::format("{}, {}", norm, dropout)});
        for (const std::string& size : sizes.values)
          table.rows.back().push_back(
              results.of({{"norm", norm}, {"dropout", dropout}, {"batch", size}}, figure).text(3));
      }
    findings.tables.push_back(std::move(table));
  }
  const auto of = [&](const std::string& norm, const char* dropout, const std::string& size,
                      const char* figure) {
    return results.mean({{"norm", norm}, {"dropout", dropout}, {"batch", size}}, figure);
  };
  const double few = of("batch", "0", "16", "gap"), many = of("batch", "0", "128", "gap"),
               none = of("none", "0", "16", "gap"), none_many = of("none", "0", "128", "gap");
  std::vector<std::string> widened;
  for (const std::string& norm : norms.values)
    for (const std::string& size : sizes.values)
      if (of(norm, "0.5", size, "gap") >= of(norm, "0", size, "gap"))
        widened.push_back(fmt::format("{} in batches of {}", norm, size));
  const double alone = of("batch", "0", "16", "test accuracy"),
               plain = of("none", "0", "16", "test accuracy"),
               with_dropout = of("none", "0.5", "16", "test accuracy");
  findings.checks = {
      {"batch norm's gap is smaller with batches of 16, whose statistics are noisier, than of 128",
       fmt::format("{:.3f} and {:.3f}", few, many), few < many},
      {"from batches of 128 to ones of 16 its gap falls by a larger share than that without norm",
       fmt::format("to {:.0f} % with, to {:.0f} % without", 100 * few / many, 100 * none / none_many),
       few / many < none / none_many},
      {"batch norm's gap is smaller than that without norm, in batches of 16",
       fmt::format("{:.3f} and {:.3f}", few, none), few < none},
      {"dropout makes the gap smaller with each norm and batch size",
       widened.empty() ? "with all" : fmt::format("larger with {}", fmt::join(widened, ", ")),
       widened.empty()},
      {"batch norm alone reaches what dropout alone does, to 0.3 points of test accuracy, in batches of 16",
       fmt::format("{:.2f} and {:.2f} % ({:.2f} % with neither)", alone, with_dropout, plain),
       alone >= with_dropout - 0.3}};
  findings.claim = {{"the gap is narrower", findings.checks[2].holds},
                    {"noisier statistics narrow it more than smaller batches do without norm",
                     findings.checks[0].holds && findings.checks[1].holds},
                    {"batch norm takes dropout's place", findings.checks[4].holds}};
  Plot plot{"Loss on test less on training images", {"images in a batch", true}, {"gap"}, {}};
  for (const std::string& norm : norms.values)
    for (const std::string& dropout : dropouts.values) {
      plot.series.push_back(along(results, {{"norm", norm}, {"dropout", dropout}}, sizes, "gap",
                                  fmt::format("{}, dropout {}", norm, dropout)));
      plot.series.back().dashed = dropout != "0";
    }
  findings.plots.push_back(std::move(plot));
  return findings;
}

}  // namespace

extern const Experiment noise;
const Experiment noise{
    .name = "noise",
    .claim =
        "The noise of a batch's statistics regularizes: batch normalization narrows the gap between training "
        "and test, and takes dropout's place",
    .source = "Ioffe & Szegedy 2015 (arXiv:1502.03167), section 3.4; Luo et al. 2019 (arXiv:1809.00846)",
    .setup =
        "Three hidden layers of 256 ReLU, dropout behind each, 2,000 training images, 30 epochs, SGD with "
        "momentum 0.9, a cosine from 0.05 N / 128 to 0 for batches of N. Losses are measured in evaluation.",
    .reference =
        "nobody has published figures for this set-up; expected before the first run were the lines below",
    .settings = grid({norms, dropouts, sizes}),
    .run = run,
    .judge = judge};

}  // namespace ballast::app::experiments
