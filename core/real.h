#pragma once

// The element type. The library is compiled twice, for float and for double, each in an inline namespace of
// its own, so that both link into one program; a user names neither.
#ifdef BALLAST_DOUBLE
#define BALLAST_PRECISION f64
#else
#define BALLAST_PRECISION f32
#endif

namespace ballast::inline BALLAST_PRECISION {

#ifdef BALLAST_DOUBLE
using real = double;
#else
using real = float;
#endif

}  // namespace ballast::inline BALLAST_PRECISION
