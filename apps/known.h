#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include <ballast/core/check.h>

// The names that options choose from.
namespace ballast::inline BALLAST_PRECISION {

inline constexpr std::array known_models = {"mlp", "lenet", "cnn"};
inline constexpr std::array known_norms = {"none", "batch", "layer", "group", "instance"};
inline constexpr std::array known_activations = {"relu", "leaky_relu", "sigmoid", "tanh", "silu", "gelu"};
inline constexpr std::array known_optimizers = {"sgd", "adam", "adamw"};
inline constexpr std::array known_schedules = {"constant", "step", "cosine", "one-cycle"};

template <size_t n>
void check_known(std::string_view option, std::string_view name, const std::array<const char*, n>& known) {
  check<ValueError>(std::ranges::find(known, name) != known.end(), "unknown {} \"{}\"; known are {}", option,
                    name, fmt::join(known, ", "));
}

}  // namespace ballast::inline BALLAST_PRECISION
