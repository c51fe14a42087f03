#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include <ballast/core/ops/loss.h>
#include <ballast/core/ops/movement.h>
#include <ballast/core/predict.h>
#include <ballast/core/random.h>
#include <ballast/layers/attention.h>
#include <ballast/layers/batch_norm.h>
#include <ballast/layers/embedding.h>
#include <ballast/optim/adam.h>

#include "experiments/training.h"

namespace ballast::app::experiments {
namespace {

const GridAxis norms{"norm", {"pre", "post", "none", "batch"}}, rates{"lr", {"0.001", "0.01"}};
constexpr int64_t length = 10, width = 32, digit_count = 10, depth = 6, sequences = 64;

/// Layer norm, batch norm over samples and positions, or nothing, on (N, L, E).
struct Norm : Module {
  std::optional<LayerNorm> layer;
  std::optional<BatchNorm1d> batch;

  explicit Norm(const std::string& kind) {
    if (kind == "pre" || kind == "post") layer.emplace(width);
    if (kind == "batch") batch.emplace(width);
  }
  Tensor forward(Tensor x) override {
    if (layer) return (*layer)(std::move(x));
    return batch ? permute((*batch)(permute(std::move(x), {0, 2, 1})), {0, 2, 1}) : x;
  }
  void visit(Visitor& v) override { v("layer", layer), v("batch", batch); }
};

struct Block : Module {
  MultiheadAttention attention{width, 4};
  Linear inner{width, 2 * width}, outer{2 * width, width};
  Norm first, second;
  bool post;

  explicit Block(const std::string& kind) : first(kind), second(kind), post(kind == "post") {}
  Tensor forward(Tensor x) override {
    const auto feed_forward = [&](Tensor h) { return outer(inner(std::move(h), then::relu)); };
    if (post) {
      x = first(x + attention(x));
      return second(x + feed_forward(x));
    }
    x = x + attention(first(x));
    return x + feed_forward(second(x));
  }
  void visit(Visitor& v) override {
    v("attention", attention), v("inner", inner), v("outer", outer), v("first", first), v("second", second);
  }
};

/// Says which digit stands at each place of the sorted sequence.
struct Sorter : Module {
  Embedding words{digit_count, width};
  PositionEmbedding positions{length, width};
  std::vector<Block> blocks;
  Norm last;
  Linear classes{width, digit_count};

  explicit Sorter(const std::string& kind) : last(kind == "post" ? "none" : kind) {
    for (int64_t i = 0; i < depth; ++i) blocks.emplace_back(kind);
  }
  Tensor forward(Tensor x) override {
    x = positions(words(std::move(x)));
    for (Block& block : blocks) x = block(std::move(x));
    return reshape(classes(last(std::move(x))), {-1, digit_count});
  }
  void visit(Visitor& v) override {
    v("words", words), v("positions", positions), v("blocks", blocks), v("last", last), v("classes", classes);
  }
};

struct Task {
  Tensor x;       // (N, L)
  Labels sorted;  // (N L)

  explicit Task(int64_t count) : x(rand({count, length}, 0, digit_count)), sorted(count * length) {
    for (int64_t n = 0; n < count; ++n) {
      int32_t* row = sorted.data() + n * length;
      for (int64_t i = 0; i < length; ++i) {
        x(n, i) = std::min<real>(std::floor(x(n, i)), digit_count - 1);
        row[i] = static_cast<int32_t>(x(n, i));
      }
      std::sort(row, row + length);
    }
  }
};

Figures run(const Trial& trial) {
  Sorter net(trial.setting["norm"]);
  AdamW optimizer(net, {.lr = trial.setting.number("lr")});
  Figures figures;
  double loss_value = 0;
  for (int64_t step = 0; step < trial.steps(400) && std::isfinite(loss_value); ++step) {
    const Task task(sequences);
    Tape tape;
    const Tensor loss = cross_entropy(net(task.x), task.sorted);
    loss_value = loss.item();
    tape.backward(loss);
    if (step == 0) {
      figures.values["last gradient"] = norm(net.blocks.back().outer.weight.grad().values());
      figures.values["first gradient"] = norm(net.blocks.front().outer.weight.grad().values());
    }
    optimizer.step();
  }
  const Task test(500);
  figures.values["right"] =
      std::isfinite(loss_value) ? 100 * accuracy(predict(net, test.x), test.sorted) : std::nan("");
  return figures;
}

Findings judge(const Results& results) {
  Findings findings;
  findings.tables.push_back(table_of(results, {.title = "Places of the sorted sequence that are right, %",
                                               .rows = norms,
                                               .columns = rates,
                                               .value = "right",
                                               .decimals = 1}));
  Table gradients{
      "Gradient of a feed-forward weight at initialization", {"norm", "first block", "last block"}, {}};
  for (const std::string& norm : norms.values)
    gradients.rows.push_back({norm, results.of({{"norm", norm}, {"lr", "0.001"}}, "first gradient").text(4),
                              results.of({{"norm", norm}, {"lr", "0.001"}}, "last gradient").text(4)});
  findings.tables.push_back(std::move(gradients));
  const auto right = [&](const std::string& norm, const char* lr) {
    OverSeeds figures = results.of({{"norm", norm}, {"lr", lr}}, "right");
    std::ranges::replace_if(
        figures.all, [](double v) { return std::isnan(v); }, 0.0);
    return figures;
  };
  const auto best = [&](const std::string& norm) {
    const OverSeeds slow = right(norm, "0.001"), fast = right(norm, "0.01");
    return slow.mean() >= fast.mean() ? slow : fast;
  };
  const OverSeeds post = results.of({{"norm", "post"}, {"lr", "0.001"}}, "last gradient"),
                  pre = results.of({{"norm", "pre"}, {"lr", "0.001"}}, "last gradient");
  const double ratio = post.mean() / pre.mean();
  const double ratio_error = ratio * std::hypot(post.error() / post.mean(), pre.error() / pre.mean());
  const auto ahead = [](const OverSeeds& one, const OverSeeds& other, double limit) {
    const OverSeeds points = difference(one, other);
    return fmt::format("{:.1f} and {:.1f} %: {}", one.mean(), other.mean(),
                       with_error(points.mean(), points.error(), limit, "points"));
  };
  findings.checks = {
      {"at initialization the last block's gradient is at least 1.5 times as large with post-norm as with "
       "pre-norm "
       "(sqrt(6) in theory)",
       with_error(ratio, ratio_error, 1.5, "times"), ratio >= 1.5,
       "the theorem compares upper bounds, not gradients"},
      {"at the higher rate, without a warm-up, pre-norm is at least 20 points better than post-norm",
       ahead(right("pre", "0.01"), right("post", "0.01"), 20),
       right("pre", "0.01").mean() - right("post", "0.01").mean() >= 20},
      {"pre-norm at its better rate is at least as good as without norm at its own",
       ahead(best("pre"), best("none"), 0), best("pre").mean() >= best("none").mean()},
      {"and as with batch norm in its place", ahead(best("pre"), best("batch"), 0),
       best("pre").mean() >= best("batch").mean()}};
  findings.claim = {{"post-norm doesn't train without a warm-up", findings.checks[1].holds},
                    {"a transformer without norm does worse", findings.checks[2].holds},
                    {"one with batch norm does worse", findings.checks[3].holds}};
  Plot plot{"Places that are right by learning rate", {"learning rate", true}, {"%", false, {}, 100}, {}};
  for (const std::string& norm : norms.values)
    plot.series.push_back(along(results, {{"norm", norm}}, rates, "right", norm));
  findings.plots.push_back(std::move(plot));
  return findings;
}

}  // namespace

extern const Experiment transformer;
const Experiment transformer{
    .name = "transformer",
    .claim =
        "A transformer trains without a warm-up if the norm stands before attention and feed-forward part, "
        "not "
        "if it stands behind the sum; batch normalization and none do worse",
    .source =
        "Xiong et al. 2020 (arXiv:2002.04745), theorem 1; Shen et al. 2020 (arXiv:2003.07845), on batch "
        "normalization; no figures for this task",
    .setup =
        "Six blocks of width 32, four heads and a feed-forward part of 64 sort sequences of ten digits: for "
        "each place the "
        "digit that stands there in the sorted one. 400 steps of 64 random sequences, AdamW with a constant "
        "rate; 500 sequences for the test. Batch norm and none stand where pre-norm does. Needs no images.",
    .reference = "for the lines without a figure in the source, what was expected before the first run",
    .settings = grid({norms, rates}),
    .run = run,
    .judge = judge,
    .seeds = 12};

}  // namespace ballast::app::experiments
