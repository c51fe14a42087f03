#pragma once

#include <ballast/core/kernels/kernels.h>

namespace ballast::inline BALLAST_PRECISION {
namespace BALLAST_ISA {

// What Kernels points at; see there.
void multiply_panels(const Product& p, const Output& out);
void multiply_rows(const Product& p, int64_t step, const Output& out);
void multiply_scattered_rows(const Product& p, const int64_t* offsets, const Output& out);
void multiply_scattered(const Product& p, const int64_t* offsets, const Output& out);
void multiply_vector(const Product& p, const Output& out);
void pack(int64_t columns, int64_t depth, const real* from, int64_t column_step, int64_t k_step, real* to);
void pack_planes(const Frame& f, int64_t channels, const real* from, real* to);
void unpack(int64_t columns, int64_t depth, const real* from, const Output& out);
void winograd_filters(const WinogradFilters& f, int64_t p);
void winograd_input(const WinogradTile& t, const real* x, real* to);
void winograd_gradient(const WinogradTile& t, const real* dy, real* to);
void winograd_weights(const WinogradWeights& w);
void winograd_output(const WinogradTile& t, const real* from, real* y);
double sum(const real* x, int64_t count);
double dot(const real* x, const real* y, int64_t count);
Sums deviations(const real* x, int64_t count, double shift);
void end_streams();
void normalize(const Run& run, const real* x, real* y);
Sums gradient_sums(const Run& run, const real* x, const real* dy, real* dweights, real* dbiases);
void gradient(const Run& run, const real* x, const real* dy, real a, real b, real* dx);
void column_sums(int64_t rows, int64_t columns, int64_t stride, const real* x, double* sums);
void column_deviations(const Columns& c, const real* x, const double* shift, double* a, double* b);
void normalize_columns(const Columns& c, const real* x, real* y);
void column_gradient_sums(const Columns& c, const real* x, const real* dy, double* a, double* b);
void column_gradient(const Columns& c, const real* x, const real* dy, const real* a, const real* b, real* dx);
void max_pool(const PoolPlane& p, const real* x, bool relu, real* y, uint8_t* winners);
Sums pooled_gradient_sums(const Run& run, const PoolPlane& p, const real* x, const real* dy,
                          const uint8_t* winners);
void max_pool_gradient(const PoolPlane& p, const real* dy, const uint8_t* winners, real* dx);
void sigmoid(int64_t count, const real* x, real* y);
double exp_sum(int64_t count, const real* x, real shift, real* y);
void sgd(const SGDStep& s, int64_t count, real* value, const real* grad, real* buffer);
void adam(const AdamStep& s, int64_t count, real* value, const real* grad, real* m, real* v);

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION
