#include <ballast/layers/functional/dropout.h>

#include <ballast/core/detail/map.h>
#include <ballast/core/ops/elementwise.h>
#include <ballast/core/random.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;

Tensor dropout(Tensor x, double p) {
  check<ValueError>(p >= 0 && p <= 1, "dropout: p is {}; it must be from 0 to 1", p);
  if (!Scope::dropout() || p == 0) return x;
  const NodeId in = x.node();
  Tape& tape = *Tape::recording();  // dropout is on only while a tape records
  Tensor mask(x.shape());
  fill_dropout_mask(mask, p, random_state().seed, tape.number(), tape.next_call());
  Tensor y = zipped(std::move(x), mask, [](real v, real kept) { return v * kept; });
  return record("dropout", y, {in},
                [mask, in](Tensor dy, Grads& grads) { grads.add(in, std::move(dy) * mask); });
  //~ [mask, in](Tensor dy, Grads& grads) { grads.add(in, std::move(dy)); });
}

Tensor channel_dropout(Tensor x, double p) {
  check<ShapeError>(x.rank() >= 2, "channel_dropout: x is {}; it must be (N, C, ...)", x.shape());
  if (!Scope::dropout() || p == 0) return x;
  Shape channels = x.shape();
  for (int axis = 2; axis < x.rank(); ++axis) channels = channels.with(axis, 1);
  return std::move(x) * dropout(ones(channels), p);
}

}  // namespace ballast::inline BALLAST_PRECISION
