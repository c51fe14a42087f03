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
};

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
