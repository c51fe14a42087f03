#include <ballast/core/kernels/kernels.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include <ballast/core/check.h>

namespace ballast::inline BALLAST_PRECISION::detail {

namespace baseline {
extern const Kernels table;
}
#ifdef __x86_64__
namespace avx2 {
extern const Kernels table;
}
namespace avx512 {
extern const Kernels table;
}
#endif

namespace {

struct Choice {
  const Kernels* table;
  bool supported;  // by this processor
};

const Kernels& choose() {
  const Choice choices[] = {
  // In order of preference.
#ifdef __x86_64__
      {&avx512::table, __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")},
      {&avx2::table, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")},
#endif
      {&baseline::table, true}};
  const char* wanted = std::getenv("BALLAST_ISA");
  for (const auto& [table, supported] : choices) {
    if (wanted && std::string_view(wanted) != table->isa) continue;
    if (supported) return *table;
    if (wanted)
      throw ValueError(fmt::format(
          "the environment variable BALLAST_ISA is '{}', which this processor doesn't have; unset it",
          wanted));
  }
  std::string names;
  for (const Choice& choice : choices) {
    if (!names.empty()) names += ", ";
    names += choice.table->isa;
  }
  throw ValueError(fmt::format(
      "the environment variable BALLAST_ISA is '{}'; set it to one of {}, or unset it", wanted, names));
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace ballast::inline BALLAST_PRECISION::detail
