#pragma once

// 1 where the code is compiled for a sanitizer: g++ defines a macro of its own for each, clang++ has a
// feature.
#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define BALLAST_ADDRESS_SANITIZER 1
#else
#define BALLAST_ADDRESS_SANITIZER 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define BALLAST_THREAD_SANITIZER 1
#else
#define BALLAST_THREAD_SANITIZER 0
#endif
