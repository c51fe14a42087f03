#pragma once

/// Before a loop: its iterations are independent, though its pointers may alias. Operations that work in
/// place need this: their result either is the operand itself or doesn't overlap it.
#ifdef __clang__
#define BALLAST_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define BALLAST_INDEPENDENT _Pragma("GCC ivdep")
#endif

/// After the parameters of a lambda. (The compilers want [[gnu::always_inline]] at different places.)
#define BALLAST_ALWAYS_INLINE __attribute__((always_inline))
