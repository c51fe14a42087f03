#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/vector.h>

namespace ballast::inline BALLAST_PRECISION {
namespace BALLAST_ISA {

#define BALLAST_TEXT_OF(name) #name
#define BALLAST_TEXT(name) BALLAST_TEXT_OF(name)

extern const Kernels table;
const Kernels table = {
    .isa = BALLAST_TEXT(BALLAST_ISA),
    .panel = 2 * lanes,
    .multiply_panels = multiply_panels,
    .multiply_rows = multiply_rows,
    .multiply_scattered = multiply_scattered,
    .pack = pack,
};

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION
