#pragma once

/// In front of a loop: its iterations are independent, whatever the pointers look like. Operations that work
/// in place need this, where the result is either the operand itself or apart from it.
#ifdef __clang__
#define BALLAST_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define BALLAST_INDEPENDENT _Pragma("GCC ivdep")
#endif

/// On a lambda, behind its parameters. ([[gnu::always_inline]] stands at different places for the two
/// compilers.)
#define BALLAST_ALWAYS_INLINE __attribute__((always_inline))
