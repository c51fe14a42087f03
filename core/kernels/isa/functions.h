#pragma once

#include <ballast/core/kernels/kernels.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {

#define BALLAST_KERNEL(result, name, parameters) result name parameters;
#include <ballast/core/kernels/kernels.inc>
#undef BALLAST_KERNEL

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
