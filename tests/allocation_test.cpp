// A training step in its steady state calls the system allocator not once.
#include <doctest/doctest.h>

#include <ballast/core/detail/scratch.h>

#include "count_allocations.h"
#include "models.h"
#include "threads.h"

using namespace ballast;
using namespace ballast::detail;

namespace {

void check_steady(Sequential net) {
  AdamW optimizer(net, {.lr = 1e-3});
  const Noise noise(64);
  Loader loader(from_tensors(noise.x, noise.y), {.batch_size = 32});
  int step = 0;
  for (int epoch = 0; epoch < 4; ++epoch) {
    for (const Batch& batch : loader) {
      const int64_t before = allocations;
      Tape tape;
      const Tensor loss = cross_entropy(net(batch.x), batch.y);
      tape.backward(loss);
      optimizer.step();
      const int64_t made = allocations - before;
      CAPTURE(step);
      if (++step > 3) CHECK(made == 0);
    }
  }
  CHECK(step == 8);
}

}  // namespace

TEST_CASE("the counter counts") {
  const int64_t before = allocations;
  const auto several = std::make_unique<std::vector<int>>(3);
  CHECK(several->size() == 3);
  CHECK(allocations - before == 2);
}

TEST_CASE("an mlp's training step allocates nothing") { check_steady(small_mlp()); }
TEST_CASE("a cnn's training step allocates nothing") { check_steady(small_cnn()); }
TEST_CASE("a net with every norm and dropout allocates nothing") { check_steady(every_norm()); }

TEST_CASE("to predict one image allocates nothing") {
  Sequential net(Conv2d(16, 150, 3, {.padding = 1}), ReLU());
  const Tensor x = randn({1, 16, 12, 12});
  for (int step = 0; step < 6; ++step) {
    const int64_t before = allocations;
    predict(net, x);
    if (step > 2) CHECK(allocations == before);
  }
}

TEST_CASE("memory reserved for a loop of two threads is there twice for each at once") {
  const Threads scope(2);
  constexpr int64_t size = 20'000'000;  // a size class that no other test takes
  reserve_scratch<real>(size, 2);
  const int64_t earlier = allocations;
  const Scratch<real> of_each[] = {Scratch<real>(size), Scratch<real>(size), Scratch<real>(size),
                                   Scratch<real>(size)};
  CHECK(allocations == earlier);
}
