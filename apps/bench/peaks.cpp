#include "peaks.h"

#include <ballast/ballast.h>
#include <cblas.h>

#include <algorithm>
#include <memory>

namespace bench {
using namespace ballast;
namespace {

constexpr int chains = 12;  // independent, to hide the latency; with two operands they fill 16 registers

template <int lanes>
struct Lanes {
  typedef float Vector __attribute__((vector_size(lanes * sizeof(float))));
};

/// Each round is `chains` multiply-adds of `lanes` floats.
template <int lanes>
[[gnu::always_inline]] inline float multiply_add(int64_t rounds) {
  using Vector = typename Lanes<lanes>::Vector;
  Vector values[chains];
  for (int i = 0; i < chains; ++i)
    values[i] = Vector{} + static_cast<float>(i);  // equal ones would be merged
  const Vector factor = Vector{} + 0.5f, term = Vector{} + 1.0f;
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (Vector& value : values) value = value * factor + term;
  }
  float sum = 0;
  for (const Vector& value : values) sum += value[0];
  return sum;
}

/// The widest kernel that this machine runs.
struct MultiplyAdd {
  int lanes;
  float (*run)(int64_t rounds);
};

#ifdef __x86_64__
[[gnu::target("avx512f")]] float multiply_add_avx512(int64_t rounds) { return multiply_add<16>(rounds); }
[[gnu::target("avx2,fma")]] float multiply_add_avx2(int64_t rounds) { return multiply_add<8>(rounds); }

MultiplyAdd widest() {
  if (__builtin_cpu_supports("avx512f")) return {16, multiply_add_avx512};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {8, multiply_add_avx2};
  return {4, multiply_add<4>};
}
#else
MultiplyAdd widest() { return {4, multiply_add<4>}; }
#endif

/// Measures one peak: `step` does `work` billions of something.
Peak peak(const Timing& timing, const std::string& name, int threads, double work, const char* unit,
          const std::function<void()>& step) {
  const Measurement time = time_steps(timing, step);
  return {name, threads, work / time.median, work / time.largest, work / time.fastest, unit};
}

Peak fma(const Timing& timing, int threads) {
  constexpr int64_t rounds = 100'000;
  const MultiplyAdd kernel = widest();
  const int64_t parts = 8 * threads;
  std::vector<float> results(static_cast<size_t>(parts));
  set_num_threads(threads);
  return peak(timing, "fma", threads, 2e-9 * static_cast<double>(parts * rounds * chains * kernel.lanes),
              "GFLOP/s", [&] {
                parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
                  for (int64_t i = begin; i < end; ++i) results[static_cast<size_t>(i)] = kernel.run(rounds);
                });
              });
}

Peak copy(const Timing& timing, int threads, int64_t megabytes) {
  const int64_t count = megabytes * 1024 * 1024 / 2 / static_cast<int64_t>(sizeof(float));
  const std::vector<float> from(static_cast<size_t>(count), 1);
  std::vector<float> to(from.size());
  set_num_threads(threads);
  return peak(timing, fmt::format("copy_{}MB", megabytes), threads,
              2e-9 * sizeof(float) * static_cast<double>(count), "GB/s", [&] {
                parallel_for(count, std::max<int64_t>(count / 64, 4096), [&](int64_t begin, int64_t end) {
                  std::copy(from.begin() + begin, from.begin() + end, to.begin() + begin);
                });
              });
}

struct Product {
  const char* name;
  int m, n, k;
  bool transpose_a, transpose_b;
};

constexpr Product products[] = {
    {"W1 fc1 forward", 128, 512, 784, false, true},    {"W1 fc1 to weights", 512, 784, 128, true, false},
    {"W1 fc2 forward", 128, 512, 512, false, true},    {"W1 fc2 to data", 128, 512, 512, false, false},
    {"W1s fc1 forward", 60, 100, 784, false, true},    {"W2 conv2, one image", 64, 196, 288, false, false},
    {"W2 conv2, batch", 64, 25088, 288, false, false}, {"W2 fc1 forward", 128, 128, 3136, false, true},
    {"1024 cubed", 1024, 1024, 1024, false, false}};

Peak gemm(const Timing& timing, int threads, const Product& p) {
  const std::vector<float> a(static_cast<size_t>(p.m * p.k), 0.1f), b(static_cast<size_t>(p.k * p.n), 0.2f);
  std::vector<float> c(static_cast<size_t>(p.m * p.n));
  openblas_set_num_threads(threads);
  return peak(timing, fmt::format("gemm {}", p.name), threads, 2e-9 * p.m * p.n * p.k, "GFLOP/s", [&] {
    cblas_sgemm(CblasRowMajor, p.transpose_a ? CblasTrans : CblasNoTrans,
                p.transpose_b ? CblasTrans : CblasNoTrans, p.m, p.n, p.k, 1, a.data(),
                p.transpose_a ? p.m : p.k, b.data(), p.transpose_b ? p.k : p.n, 0, c.data(), p.n);
  });
}

}  // namespace

void measure_peaks(const Timing& timing, int threads, const std::function<void(const Peak&)>& report) {
  if (threads > 1) report(fma(timing, 1));
  report(fma(timing, threads));
  for (int64_t megabytes : {1, 32, 1024}) report(copy(timing, threads, megabytes));
  for (const Product& product : products) report(gemm(timing, threads, product));
}

}  // namespace bench
