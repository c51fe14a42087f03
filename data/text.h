#pragma once

#include <string>
#include <string_view>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION {

/// Index of the first byte that isn't part of valid UTF-8; `text.size()` if all are.
size_t first_invalid_utf8(std::string_view text);

/// `text` in quotes, fit for one line of a message whatever it holds: control characters become '?', what
/// goes beyond 80 bytes becomes "...".
std::string in_quotes(std::string_view text);

}  // namespace ballast::inline BALLAST_PRECISION
