#include <ballast/core/kernels/isa/for_vectors.h>
#include <ballast/core/kernels/isa/functions.h>
#include <ballast/core/kernels/isa/math.h>

namespace ballast::inline BALLAST_PRECISION::detail {
namespace BALLAST_ISA {
namespace {

template <class Valid>
[[gnu::always_inline]] inline void add_first(real* to, Vector v, Valid valid) {
  store_first(to, load_first(to, valid) + v, valid);
}

[[gnu::always_inline]] inline Vector sigmoid_slope(Vector y) { return y * (1 - y); }
[[gnu::always_inline]] inline Vector tanh_slope(Vector y) { return 1 - y * y; }

}  // namespace

void lstm_state(int64_t count, const real* gates, const real* c, real* to) {
  for_vectors(count, [=](int64_t at, auto valid) {
    const Vector i = sigmoid(load_first(gates + at, valid)),
                 f = sigmoid(load_first(gates + count + at, valid)),
                 g = tanh(load_first(gates + 2 * count + at, valid));
    store_first(to + at, f * load_first(c + at, valid) + i * g, valid);
  });
}

void lstm_state_gradient(int64_t count, const real* gates, const real* c, const real* dy, real* dgates,
                         real* dc) {
  for_vectors(count, [=](int64_t at, auto valid) {
    const Vector i = sigmoid(load_first(gates + at, valid)),
                 f = sigmoid(load_first(gates + count + at, valid)),
                 g = tanh(load_first(gates + 2 * count + at, valid)), d = load_first(dy + at, valid);
    add_first(dgates + at, d * g * sigmoid_slope(i), valid);
    add_first(dgates + count + at, d * load_first(c + at, valid) * sigmoid_slope(f), valid);
    add_first(dgates + 2 * count + at, d * i * tanh_slope(g), valid);
    add_first(dc + at, d * f, valid);
  });
}

void lstm_output(int64_t count, const real* gates, const real* c, real* to) {
  for_vectors(count, [=](int64_t at, auto valid) {
    const Vector o = sigmoid(load_first(gates + 3 * count + at, valid));
    store_first(to + at, o * tanh(load_first(c + at, valid)), valid);
  });
}

void lstm_output_gradient(int64_t count, const real* gates, const real* c, const real* dy, real* dgates,
                          real* dc) {
  for_vectors(count, [=](int64_t at, auto valid) {
    const Vector o = sigmoid(load_first(gates + 3 * count + at, valid)), t = tanh(load_first(c + at, valid)),
                 d = load_first(dy + at, valid);
    add_first(dgates + 3 * count + at, d * t * sigmoid_slope(o), valid);
    add_first(dc + at, d * o * tanh_slope(t), valid);
  });
}

namespace {

struct GruCell {
  Vector r, z, n, n_h;
};

template <class Valid>
[[gnu::always_inline]] inline GruCell gru_cell(int64_t count, const real* x_gates, const real* h_gates,
                                               int64_t at, Valid valid) {
  const auto gate = [=](const real* gates, int64_t which)
                        BALLAST_ALWAYS_INLINE { return load_first(gates + which * count + at, valid); };
  const Vector r = sigmoid(gate(x_gates, 0) + gate(h_gates, 0)), n_h = gate(h_gates, 2);
  return {r, sigmoid(gate(x_gates, 1) + gate(h_gates, 1)), tanh(gate(x_gates, 2) + r * n_h), n_h};
}

}  // namespace

void gru_state(int64_t count, const real* x_gates, const real* h_gates, const real* h, real* to) {
  for_vectors(count, [=](int64_t at, auto valid) {
    const GruCell cell = gru_cell(count, x_gates, h_gates, at, valid);
    store_first(to + at, (1 - cell.z) * cell.n + cell.z * load_first(h + at, valid), valid);
  });
}

void gru_state_gradient(int64_t count, const real* x_gates, const real* h_gates, const real* h,
                        const real* dy, real* dx_gates, real* dh_gates, real* dh) {
  for_vectors(count, [=](int64_t at, auto valid) {
    const GruCell cell = gru_cell(count, x_gates, h_gates, at, valid);
    const Vector d = load_first(dy + at, valid);
    const Vector dn = d * (1 - cell.z) * tanh_slope(cell.n);
    const Vector dr = dn * cell.n_h * sigmoid_slope(cell.r);
    const Vector dz = d * (load_first(h + at, valid) - cell.n) * sigmoid_slope(cell.z);
    add_first(dx_gates + at, dr, valid), add_first(dh_gates + at, dr, valid);
    add_first(dx_gates + count + at, dz, valid), add_first(dh_gates + count + at, dz, valid);
    add_first(dx_gates + 2 * count + at, dn, valid), add_first(dh_gates + 2 * count + at, dn * cell.r, valid);
    add_first(dh + at, d * cell.z, valid);
  });
}

}  // namespace BALLAST_ISA
}  // namespace ballast::inline BALLAST_PRECISION::detail
