// The same bits on any number of threads.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include <ballast/core/detail/sanitizer.h>

#include "models.h"

using namespace ballast;

namespace {

#if BALLAST_ADDRESS_SANITIZER || BALLAST_THREAD_SANITIZER
constexpr int steps = 3;  // the sanitizers look for races, which don't take 200 steps
#else
constexpr int steps = 200;
#endif

std::vector<Tensor> train(const std::function<Sequential()>& make, int threads) {
  set_num_threads(threads);
  manual_seed(11);
  Sequential net = make();
  AdamW optimizer(net, {.lr = 1e-3});
  const Noise noise(128);
  for (int64_t step = 0; step < steps; ++step) {
    const int64_t at = step % 4 * 32;
    train_step(net, optimizer, slice(noise.x, 0, at, at + 32), Labels(std::span(noise.y.data() + at, 32)));
  }
  std::vector<Tensor> result;
  for_each_parameter(net, [&](const std::string&, Parameter& p) { result.push_back(p.value().clone()); });
  for_each_buffer(net, [&](const std::string&, Buffer& b) { result.push_back(b.value().clone()); });
  return result;
}

void check_same_on_any_number_of_threads(const std::function<Sequential()>& make) {
  const int before = num_threads();
  const std::vector<Tensor> one = train(make, 1);
  for (int threads : {2, 3, 4}) {
    CAPTURE(threads);
    threads_used_since_last_call();
    int used = 0;  // a worker may wake too late on a busy machine
    for (int attempt = 0; attempt < 50 && used < threads; ++attempt) {
      const std::vector<Tensor> many = train(make, threads);
      REQUIRE(many.size() == one.size());
      for (size_t i = 0; i < one.size(); ++i) {
        const bool finite = std::isfinite(sum(one[i]).item());
        CHECK(finite);
        CHECK(std::equal(one[i].values().begin(), one[i].values().end(), many[i].values().begin()));
      }
      used = threads_used_since_last_call();
    }
    CHECK(used == threads);
  }
  set_num_threads(before);
}

}  // namespace

TEST_CASE("an mlp trains to the same bits on 1 to 4 threads") {
  check_same_on_any_number_of_threads(small_mlp);
}
TEST_CASE("a cnn trains to the same bits on 1 to 4 threads") {
  check_same_on_any_number_of_threads(small_cnn);
}
TEST_CASE("a net with every norm and dropout trains to the same bits on 1 to 4 threads") {
  check_same_on_any_number_of_threads(every_norm);
}
