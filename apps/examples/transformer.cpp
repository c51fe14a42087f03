// A transformer (Vaswani et al. 2017) with pre-norm that learns to sort: it is given 10 digits and says which
// digit stands at each place of the sorted sequence. Sequences have different lengths; the shorter ones are
// padded.
//
//   transformer [STEPS]
//
// Measured: 99.98 % of the places right (8 s of processor time, 21 MB).
#include <ballast/ballast.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

using namespace ballast;

constexpr int64_t longest = 10, width = 32, digits_ = 10;

struct Sorter : Module {
  Embedding words{digits_, width};
  PositionEmbedding positions{longest, width};
  std::vector<TransformerEncoderLayer> layers;
  LayerNorm norm{width};
  Linear classes{width, digits_};

  Sorter() {
    for (int i = 0; i < 2; ++i)
      layers.emplace_back(
          width, 4, TransformerEncoderLayerOptions{.feedforward = 64, .dropout = 0, .norm_first = true});
  }
  Tensor operator()(Tensor x, const Tensor& key_padding) {
    const CallScope scope(*this);
    x = positions(words(std::move(x)));
    for (TransformerEncoderLayer& layer : layers) x = layer(std::move(x), key_padding);
    return classes(norm(std::move(x)));
  }
  void visit(Visitor& v) override {
    v("words", words), v("positions", positions), v("layers", layers), v("norm", norm), v("classes", classes);
  }
};

struct Sequences {
  Tensor x, key_padding;  // (N, L); key_padding is 1 behind the end
  Labels sorted;          // (N L), `ignored_label` behind the end
};

Sequences random_sequences(int64_t count) {
  Sequences s{rand({count, longest}, 0, digits_), zeros({count, longest}), Labels(count * longest)};
  const Tensor lengths = rand({count}, 3, longest + 1);
  for (int64_t n = 0; n < count; ++n) {
    const auto length = std::min<int64_t>(static_cast<int64_t>(lengths(n)), longest);
    std::vector<int32_t> sorted;
    for (int64_t i = 0; i < longest; ++i) {
      s.x(n, i) = std::min<real>(std::floor(s.x(n, i)), digits_ - 1);
      s.key_padding(n, i) = i < length ? 0 : 1;
      if (i < length) sorted.push_back(static_cast<int32_t>(s.x(n, i)));
    }
    std::sort(sorted.begin(), sorted.end());
    sorted.resize(longest, ignored_label);
    std::copy(sorted.begin(), sorted.end(), s.sorted.data() + n * longest);
  }
  return s;
}

int main(int count, char** arguments) {
  const int64_t steps = count > 1 ? std::atoll(arguments[1]) : 1500;
  manual_seed(1);
  Sorter net;
  AdamW optimizer(net, {.lr = 3e-3});
  const Schedule rate = schedule::one_cycle(3e-3, steps);
  for (int64_t step = 1; step <= steps; ++step) {
    const Sequences s = random_sequences(64);
    Tape tape;
    const Tensor logits = reshape(net(s.x, s.key_padding), {64 * longest, digits_});
    const Tensor loss = cross_entropy(logits, s.sorted);
    tape.backward(loss);
    optimizer.set_lr(rate(step - 1));
    optimizer.step();
    if (step % std::max<int64_t>(steps / 4, 1) == 0) fmt::print("step {}: loss {:.4f}\n", step, loss.item());
  }
  const Sequences s = random_sequences(1000);
  const Labels found = argmax(net(s.x, s.key_padding));
  int64_t right = 0, all = 0;
  for (int64_t i = 0; i < found.size(); ++i) {
    all += s.sorted[i] != ignored_label;
    right += found[i] == s.sorted[i];
  }
  fmt::print("{:.2f} % of the places are right\n",
             100.0 * static_cast<double>(right) / static_cast<double>(all));
}
