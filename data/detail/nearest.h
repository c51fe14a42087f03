#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// `known` with the least edit distance from what was typed, in lower case, or "" if none is near enough to
/// be a typing error.
std::string nearest(std::string_view typed, const std::vector<std::string>& known);

/// "; did you mean X?", or "" if nothing is near.
std::string suggestion(std::string_view given, const std::vector<std::string>& known);
/// The same, or if none is near, all: "; known are ...".
std::string suggestion_or_all(std::string_view given, const std::vector<std::string>& known);

}  // namespace ballast::inline BALLAST_PRECISION::detail
