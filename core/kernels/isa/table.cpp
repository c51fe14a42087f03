#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/vector.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {

#define BALLAST_TEXT_OF(name) #name
#define BALLAST_TEXT(name) BALLAST_TEXT_OF(name)

extern const Kernels table;
const Kernels table = {
    .isa = BALLAST_TEXT(BALLAST_ISA),
    .panel = panel,
#define BALLAST_KERNEL(result, name, parameters) .name = name,
#include <ballast/core/kernels/kernels.inc>
#undef BALLAST_KERNEL
#define BALLAST_FUNCTION(name, kept, denormals, ...) \
  .name = {#name, Function::Kept::kept, *#denormals == 'k', name##_value, name##_gradient},
#define BALLAST_SLOPED_FUNCTION(name, denormals, ...)               \
  .name = {#name,        Function::Kept::slope, *#denormals == 'k', \
           name##_value, name##_gradient,       name##_value_and_slope},
#include <ballast/core/kernels/functions.inc>
#undef BALLAST_FUNCTION
#undef BALLAST_SLOPED_FUNCTION
#define BALLAST_BINARY(name, text, denormals, formula) .name = {text, *#denormals == 'k', name##_value},
#include <ballast/core/kernels/binary.inc>
#undef BALLAST_BINARY
#define BALLAST_LOSS(name, ...) .name = {#name, name##_value, name##_by_x, name##_by_target},
#include <ballast/core/kernels/losses.inc>
#undef BALLAST_LOSS
};

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
