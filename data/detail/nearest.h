#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// The name in `known` that was meant: the same but for case, "_", "-" and a dimension at the end (Conv2d);
/// what other frameworks call it (dense is linear); or the one with the least edit distance, if that is small
/// enough for a typing error. Else "".
std::string nearest(std::string_view typed, const std::vector<std::string>& known);

/// "; did you mean X?", or "" if nothing is near.
std::string suggestion(std::string_view given, const std::vector<std::string>& known);
/// The same, or if none is near, all: "; known are ...".
std::string suggestion_or_all(std::string_view given, const std::vector<std::string>& known);

}  // namespace ballast::inline BALLAST_PRECISION::detail
