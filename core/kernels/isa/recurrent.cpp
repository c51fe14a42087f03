#include <ballast/core/kernels/isa/for_vectors.h>
#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/math.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {
namespace {

[[gnu::always_inline]] inline Vector sigmoid_slope(Vector y) { return y * (1 - y); }
[[gnu::always_inline]] inline Vector tanh_slope(Vector y) { return 1 - y * y; }

}  // namespace

void lstm(int64_t count, real* gates, const real* c, real* new_c, real* new_h) {
  for_vectors(count, [=](int64_t at, auto valid) {
    real *at_i = gates + at, *at_f = at_i + count, *at_g = at_f + count, *at_o = at_g + count;
    const Vector i = sigmoid(load_first(at_i, valid)), f = sigmoid(load_first(at_f, valid)),
                 g = tanh(load_first(at_g, valid)), o = sigmoid(load_first(at_o, valid));
    const Vector next = f * load_first(c + at, valid) + i * g;
    store_first(at_i, i, valid), store_first(at_f, f, valid);
    store_first(at_g, g, valid), store_first(at_o, o, valid);
    store_first(new_c + at, next, valid);
    store_first(new_h + at, o * tanh(next), valid);
  });
}

void lstm_gradient(int64_t count, const real* gates, const real* c, const real* new_c, const real* dnew_h,
                   real* dc, real* dgates) {
  for_vectors(count, [=](int64_t at, auto valid) {
    const auto gate = [=](int64_t which)
                          BALLAST_ALWAYS_INLINE { return load_first(gates + which * count + at, valid); };
    const Vector i = gate(0), f = gate(1), g = gate(2), o = gate(3);
    const Vector t = tanh(load_first(new_c + at, valid)), dh = load_first(dnew_h + at, valid);
    const Vector d = load_first(dc + at, valid) + dh * o * tanh_slope(t);
    real* to = dgates + at;
    store_first(to, d * g * sigmoid_slope(i), valid);
    store_first(to + count, d * load_first(c + at, valid) * sigmoid_slope(f), valid);
    store_first(to + 2 * count, d * i * tanh_slope(g), valid);
    store_first(to + 3 * count, dh * t * sigmoid_slope(o), valid);
    store_first(dc + at, d * f, valid);
  });
}

void gru(int64_t count, real* x_gates, const real* h_gates, const real* h, real* new_h) {
  for_vectors(count, [=](int64_t at, auto valid) {
    real *at_r = x_gates + at, *at_z = at_r + count, *at_n = at_z + count;
    const auto from_state = [=](int64_t which) BALLAST_ALWAYS_INLINE {
      return load_first(h_gates + which * count + at, valid);
    };
    const Vector r = sigmoid(load_first(at_r, valid) + from_state(0));
    const Vector z = sigmoid(load_first(at_z, valid) + from_state(1));
    const Vector n = tanh(load_first(at_n, valid) + r * from_state(2));
    store_first(at_r, r, valid), store_first(at_z, z, valid), store_first(at_n, n, valid);
    store_first(new_h + at, (1 - z) * n + z * load_first(h + at, valid), valid);
  });
}

void gru_gradient(int64_t count, const real* gates, const real* h_gates, const real* h, const real* dnew_h,
                  real* dx_gates, real* dh_gates, real* dh) {
  for_vectors(count, [=](int64_t at, auto valid) {
    const auto gate = [=](int64_t which)
                          BALLAST_ALWAYS_INLINE { return load_first(gates + which * count + at, valid); };
    const Vector r = gate(0), z = gate(1), n = gate(2), n_h = load_first(h_gates + 2 * count + at, valid);
    const Vector d = load_first(dnew_h + at, valid);
    const Vector dn = d * (1 - z) * tanh_slope(n), dr = dn * n_h * sigmoid_slope(r),
                 dz = d * (load_first(h + at, valid) - n) * sigmoid_slope(z);
    real *to_x = dx_gates + at, *to_h = dh_gates + at;
    store_first(to_x, dr, valid), store_first(to_h, dr, valid);
    store_first(to_x + count, dz, valid), store_first(to_h + count, dz, valid);
    store_first(to_x + 2 * count, dn, valid), store_first(to_h + 2 * count, dn * r, valid);
    store_first(dh + at, load_first(dh + at, valid) + d * z, valid);
  });
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
