#pragma once

#include <string>

#include <ballast/core/real.h>

namespace ballast::inline BALLAST_PRECISION::detail {

/// Whether the text is a date of ISO 8601, 2024-05-01, alone or with a time of day: 2024-05-01T12:30,
/// 2024-05-01 12:30:05.25, and these with Z or +02:00 at the end. `days` becomes the days since 1970-01-01,
/// in UTC where the text says how far it is from that.
bool to_date(const std::string& text, double& days);

}  // namespace ballast::inline BALLAST_PRECISION::detail
