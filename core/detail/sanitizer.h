#pragma once

// 1 where the code is compiled for a sanitizer: g++ defines a macro of its own for each, clang++ has a
// feature.
#if defined(__SANITIZE_ADDRESS__)
#define BALLAST_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#define BALLAST_ADDRESS_SANITIZER __has_feature(address_sanitizer)
#else
#define BALLAST_ADDRESS_SANITIZER 0
#endif
#if defined(__SANITIZE_THREAD__)
#define BALLAST_THREAD_SANITIZER 1
#elif defined(__has_feature)
#define BALLAST_THREAD_SANITIZER __has_feature(thread_sanitizer)
#else
#define BALLAST_THREAD_SANITIZER 0
#endif
