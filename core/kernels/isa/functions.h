#pragma once

#include <ballast/core/kernels/kernels.h>

namespace ballast::inline BALLAST_PRECISION {
namespace BALLAST_ISA {

// What Kernels points at; see there.
void multiply_panels(const Product& p, const Output& out);
void multiply_rows(const Product& p, const int64_t* offsets, const Output& out);
void multiply_scattered(const Product& p, const int64_t* offsets, const Output& out);
void pack(int64_t columns, int64_t depth, const real* from, int64_t column_step, int64_t k_step, real* to);

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION
