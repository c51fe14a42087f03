// A long short-term memory with layer normalization inside its cells (Ba et al. 2016) that learns a text
// letter by letter, and continues it.
//
//   char_lstm [TEXT_FILE] [STEPS]     without a file (or with -): a nursery rhyme
//
// Measured: 0.05 nats per letter of the rhyme (7 s of processor time).
#include <ballast/ballast.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <tuple>
#include <utility>

using namespace ballast;

struct Writer : Module {
  Embedding letters;
  LSTM lstm;
  Linear next;
  Writer(int64_t alphabet, int64_t units)
      : letters(alphabet, 32), lstm(32, units, {.layer_norm = true}), next(units, alphabet) {}
  // (N, L) letters -> (N, L, alphabet), from a state and to the next one.
  std::pair<Tensor, RecurrentState> operator()(Tensor x, const RecurrentState& state) {
    const CallScope scope(*this);
    const auto [y, last] = lstm(letters(std::move(x)), Labels{}, state);
    return {next(y), last};
  }
  void visit(Visitor& v) override { v("letters", letters), v("lstm", lstm), v("next", next); }
};

int main(int count, char** arguments) {
  std::string text =
      "this is the house that jack built. this is the malt that lay in the house that jack built. "
      "this is the rat that ate the malt that lay in the house that jack built. this is the cat that "
      "killed the rat that ate the malt that lay in the house that jack built. ";
  if (count > 1 && std::strcmp(arguments[1], "-") != 0) {
    std::ifstream file(arguments[1]);
    text.assign(std::istreambuf_iterator<char>(file), {});
  }
  const int64_t steps = count > 2 ? std::atoll(arguments[2]) : 300, batch = 16, length = 64;
  const auto size = static_cast<int64_t>(text.size());
  if (size <= length) return fmt::print(stderr, "the text must have more than {} letters\n", length), 2;
  std::string alphabet = text;
  std::sort(alphabet.begin(), alphabet.end());
  alphabet.erase(std::unique(alphabet.begin(), alphabet.end()), alphabet.end());
  const auto number = [&](int64_t at) {
    return static_cast<int32_t>(alphabet.find(text[static_cast<size_t>(at)]));
  };

  manual_seed(1);
  Writer writer(static_cast<int64_t>(alphabet.size()), 128);
  AdamW optimizer(writer, {.lr = 3e-3});
  for (int64_t step = 1; step <= steps; ++step) {
    Tensor x({batch, length});
    Labels y(batch * length);
    const Tensor begin = rand({batch}, 0, static_cast<real>(size - length));
    for (int64_t n = 0; n < batch; ++n) {
      for (int64_t i = 0; i < length; ++i) {
        const int64_t at = static_cast<int64_t>(begin(n)) + i;
        x(n, i) = static_cast<real>(number(at));
        y[n * length + i] = number((at + 1) % size);
      }
    }
    Tape tape;
    const Tensor logits = writer(x, {}).first;
    const Tensor loss = cross_entropy(reshape(logits, {batch * length, -1}), y);
    tape.backward(loss);
    optimizer.clip_grad_norm(1);
    optimizer.step();
    if (step % std::max<int64_t>(steps / 4, 1) == 0)
      fmt::print("step {}: {:.3f} nats per letter\n", step, loss.item());
  }

  std::string written = "this is";
  RecurrentState state;
  Tensor logits;
  for (size_t i = 0; i < 160; ++i) {
    const auto letter = static_cast<real>(alphabet.find(written[i]));
    std::tie(logits, state) = writer(full({1, 1}, letter), state);
    if (i + 1 < written.size()) continue;  // still reading the beginning
    written += alphabet[static_cast<size_t>(argmax(logits)[0])];
  }
  fmt::print("{}\n", written);
}
