#pragma once

#include <string>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// Whether the text is a number in the usual notation: no hexadecimal digits, no words, no locale. One that
/// is too large becomes infinity.
bool to_number(const std::string& text, double& value);

}  // namespace ballast::inline BALLAST_PRECISION::detail
