#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/vector.h>

namespace ballast::inline BALLAST_PRECISION {
namespace BALLAST_ISA {

#define BALLAST_TEXT_OF(name) #name
#define BALLAST_TEXT(name) BALLAST_TEXT_OF(name)

extern const Kernels table;
const Kernels table = {
    .isa = BALLAST_TEXT(BALLAST_ISA),
    .panel = panel,
    .multiply_panels = multiply_panels,
    .multiply_rows = multiply_rows,
    .multiply_scattered_rows = multiply_scattered_rows,
    .multiply_scattered = multiply_scattered,
    .multiply_vector = multiply_vector,
    .pack = pack,
    .pack_planes = pack_planes,
    .unpack = unpack,
    .winograd_filters = winograd_filters,
    .winograd_input = winograd_input,
    .winograd_gradient = winograd_gradient,
    .winograd_weights = winograd_weights,
    .winograd_output = winograd_output,
    .sum = sum,
    .dot = dot,
    .deviations = deviations,
    .end_streams = end_streams,
    .normalize = normalize,
    .gradient_sums = gradient_sums,
    .gradient = gradient,
    .column_sums = column_sums,
    .column_deviations = column_deviations,
    .normalize_columns = normalize_columns,
    .column_gradient_sums = column_gradient_sums,
    .column_gradient = column_gradient,
    .max_pool = max_pool,
    .max_pool_gradient = max_pool_gradient,
    .pooled_gradient_sums = pooled_gradient_sums,
    .sigmoid = sigmoid,
    .exp_sum = exp_sum,
    .sgd = sgd,
    .adam = adam,
};

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION
