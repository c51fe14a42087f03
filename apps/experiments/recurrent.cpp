#include <algorithm>
#include <cmath>
#include <optional>

#include <ballast/core/ops/loss.h>
#include <ballast/core/ops/movement.h>
#include <ballast/core/predict.h>
#include <ballast/core/random.h>
#include <ballast/layers/batch_norm.h>
#include <ballast/layers/linear.h>
#include <ballast/layers/recurrent.h>
#include <ballast/optim/adam.h>

#include "experiments/training.h"

namespace ballast::app::experiments {
namespace {

const GridAxis norms{"norm", {"none", "batch", "layer", "layer in cells"}},
    lengths{"padded to", {"28", "56"}};
constexpr int64_t rows = 28, width = 48, least_rows = 14;

/// An LSTM that reads an image row by row, and says after the last one which digit it is. The norm is between
/// the rows' projection and the LSTM, or inside its cells.
struct RowReader : Module {
  Linear embed{rows, width};
  std::optional<BatchNorm1d> batch;
  std::optional<LayerNorm> layer;
  LSTM lstm;
  Linear classes{width, 10};

  explicit RowReader(const std::string& norm) : lstm(width, width, {.layer_norm = norm == "layer in cells"}) {
    if (norm == "batch") batch.emplace(width);
    if (norm == "layer") layer.emplace(width);
  }
  Tensor operator()(Tensor x, const Labels& row_counts) {
    const CallScope scope(*this);
    x = embed(std::move(x));
    if (batch) x = permute((*batch)(permute(std::move(x), {0, 2, 1})), {0, 2, 1});
    if (layer) x = (*layer)(std::move(x));
    const Tensor last = lstm(std::move(x), row_counts).last.h;
    return classes(reshape(last, {-1, width}));
  }
  void visit(Visitor& v) override {
    v("embed", embed), v("batch", batch), v("layer", layer), v("lstm", lstm), v("classes", classes);
  }
};

/// The first rows of images, so many of each, and rows of 0 up to `padded`.
struct Sequences {
  Tensor x;
  Labels row_counts;

  Sequences(const Tensor& images, int64_t padded, RandomStream random)
      : x(zeros({images.size(0), padded, rows})), row_counts(images.size(0)) {
    for (int64_t n = 0; n < images.size(0); ++n) {
      const int64_t count = least_rows + random.below(rows - least_rows + 1);
      row_counts[n] = static_cast<int32_t>(count);
      std::copy_n(images.data() + n * rows * rows, count * rows, x.data() + n * padded * rows);
    }
  }
};

/// How far the logits in training move if padding alone is added, as a share of their length.
double moved_by_padding(RowReader& net, const Tensor& images) {
  const auto logits = [&](int64_t padded) {
    const Sequences s(images, padded, RandomStream(7));
    const Tape tape;
    const FrozenStatisticsScope frozen;
    return net(s.x, s.row_counts).detach();
  };
  const Tensor before = logits(rows), after = logits(2 * rows);
  return distance(before.values(), after.values()) / norm(before.values());
}

Figures run(const Trial& trial) {
  RowReader net(trial.setting["norm"]);
  const auto padded = static_cast<int64_t>(trial.setting.number("padded to"));
  Adam optimizer(net, {.lr = 3e-3});
  const Split& data = trial.images.standardized;
  int64_t at = 0;
  const auto step = [&](const Batch& batch) {
    const Sequences s(batch.x, padded, RandomStream(trial.seed, 0, at++));
    Tape tape;
    const Tensor loss = cross_entropy(net(s.x, s.row_counts), batch.y);
    const double value = loss.item();
    tape.backward(loss);
    optimizer.step();
    return value;
  };
  train(net, optimizer,
        {.data = data.train, .steps = trial.steps(300), .batch_size = 64, .seed = trial.seed, .step = step});
  Loader loader(data.test, {.batch_size = std::min<int64_t>(2'000, data.test.size), .shuffle = false});
  const Batch& test = *loader.begin();
  const Sequences s(test.x, padded, RandomStream(8));
  const EvalScope scope;
  return {{{"accuracy", 100 * accuracy(net(s.x, s.row_counts), test.y)},
           {"moved", moved_by_padding(net, slice(test.x, 0, 0, 64))}},
          {}};
}

Findings judge(const Results& results) {
  Findings findings;
  findings.tables.push_back(
      table_of(results, {.title = "Test accuracy by the length that sequences are padded to, %",
                         .rows = norms,
                         .columns = lengths,
                         .value = "accuracy",
                         .decimals = 1}));
  findings.tables.back().note =
      "Where padding moves nothing, training with the one and the other length differs by rounding alone, "
      "which "
      "it amplifies.";
  findings.tables.push_back(table_of(
      results, {.title = "Change of the outputs in training when 28 rows of padding are added, share",
                .rows = norms,
                .columns = lengths,
                .value = "moved",
                .decimals = 4}));
  const auto of = [&](const std::string& norm, const char* padded) {
    return results.of({{"norm", norm}, {"padded to", padded}}, "accuracy");
  };
  const auto lost = [&](const std::string& norm) { return difference(of(norm, "28"), of(norm, "56")); };
  double unmoved = 0;
  std::string worst = "none";
  for (const std::string& norm : norms.values)
    if (norm != "batch") {
      unmoved = std::max(unmoved, results.of({{"norm", norm}}, "moved").largest());
      if (lost(norm).mean() > lost(worst).mean()) worst = norm;
    }
  const double moved = results.of({{"norm", "batch"}}, "moved").least();
  const auto points = [](const OverSeeds& figures, double limit) {
    return with_error(figures.mean(), figures.error(), limit, "points");
  };
  const OverSeeds ahead = difference(of("layer in cells", "28"), of("batch", "28"));
  findings.checks = {
      {"with batch norm, which counts padding among its values, the outputs in training move by at least 5 "
       "%, "
       "with every seed",
       fmt::format("at least {:.1f} %", 100 * moved), moved >= 0.05},
      {"with the others they don't move, to 1e-6", fmt::format("at most {:.1e}", unmoved), unmoved <= 1e-6},
      {"trained with the longer padding batch norm is at least 1 point worse", points(lost("batch"), 1),
       lost("batch").mean() >= 1},
      {"the others are at most 1 point worse", fmt::format("{}: {}", worst, points(lost(worst), 1)),
       lost(worst).mean() <= 1},
      {"layer norm inside the cells is at least as accurate as batch norm before them",
       "ahead by " + points(ahead, 0), ahead.mean() >= 0}};
  findings.claim = {{"outputs with batch norm depend on the padding", findings.checks[0].holds},
                    {"accuracy with batch norm depends on the padding", findings.checks[2].holds},
                    {"accuracy with layer norm doesn't depend on the padding",
                     findings.checks[1].holds && findings.checks[3].holds},
                    {"layer norm does better", findings.checks[4].holds}};
  Plot plot{"Test accuracy by the length that sequences are padded to", {"length"}, {"test accuracy, %"}, {}};
  for (const std::string& norm : norms.values)
    plot.series.push_back(along(results, {{"norm", norm}}, lengths, "accuracy", norm));
  findings.plots.push_back(std::move(plot));
  return findings;
}

}  // namespace

extern const Experiment recurrent;
const Experiment recurrent{
    .name = "recurrent",
    .claim =
        "In recurrent networks batch normalization depends on how far sequences are padded; layer "
        "normalization doesn't, and does better",
    .source = "Ba et al. 2016 (arXiv:1607.06450), section 3.1; no figures for this set-up",
    .setup =
        "An LSTM of 48 reads the first 14 to 28 rows of an image, each by a linear layer of 48, and a linear "
        "layer tells the digit from its last state. Sequences of a batch are padded by rows of 0; the LSTM "
        "knows their lengths, the norm between the linear layer and the LSTM doesn't. 300 steps of 64, Adam "
        "at 0.003; 2,000 test images.",
    .reference = "nobody has published figures; expected before the first run were the lines below",
    .settings = grid({norms, lengths}),
    .run = run,
    .judge = judge,
    .seeds = 20};

}  // namespace ballast::app::experiments
