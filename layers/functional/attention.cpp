#include <ballast/layers/functional/attention.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <ballast/core/detail/gemm.h>
#include <ballast/core/detail/gradient_target.h>
#include <ballast/core/detail/map.h>
#include <ballast/core/detail/scratch.h>
#include <ballast/core/detail/tuning.h>
#include <ballast/core/kernels/kernels.h>
#include <ballast/core/parallel.h>

namespace ballast::inline BALLAST_PRECISION {

using namespace detail;
namespace {

// One of q, k and v: `length` positions of `row` numbers for each sample, of which those from `offset` on are
// its own.
struct Operand {
  NodeId node;
  Tensor values;
  int64_t offset, length, row;

  Operand(const Tensor& x, int64_t begin)
      : node(x.node()), values(x.detach()), offset(begin), length(x.size(1)), row(x.size(2)) {}
  int64_t at(int64_t sample, int64_t position, int64_t column) const {
    return (sample * length + position) * row + offset + column;
  }
  const real* from(int64_t sample, int64_t position, int64_t column) const {
    return values.data() + at(sample, position, column);
  }
};

struct Attention {
  Operand q, k, v;
  int64_t samples, width, heads;  // width: of all heads together
  bool causal;
  Tensor key_padding;
  int64_t depth = width / heads;
  real scale = static_cast<real>(1 / std::sqrt(static_cast<double>(depth)));

  int64_t blocks() const { return divide_up(q.length, tuning::attention_queries); }
};

// Some queries of one head of one sample.
struct Block {
  const Attention& a;
  int64_t sample, head, begin;
  int64_t rows = std::min(tuning::attention_queries, a.q.length - begin);
  int64_t column = head * a.depth;
  int64_t keys = a.causal ? std::min(a.k.length, begin + rows) : a.k.length;

  Matrix queries() const { return {a.q.from(sample, begin, column), a.q.row}; }
  Matrix all_keys(bool transposed = false) const {
    return {a.k.from(sample, 0, column), a.k.row, transposed};
  }
  Matrix all_values(bool transposed = false) const {
    return {a.v.from(sample, 0, column), a.v.row, transposed};
  }
  int64_t visible(int64_t row) const { return a.causal ? std::min(keys, begin + row + 1) : keys; }
  //~ int64_t visible(int64_t row) const { return a.causal ? std::min(keys, begin + row) : keys; }
};

// Whether any of the first `visible` keys isn't padding; the scores of those that are become -inf.
bool mask_keys(const Block& b, int64_t visible, real* scores) {
  if (b.a.key_padding.empty()) return visible > 0;
  const real* padding = b.a.key_padding.data() + b.sample * b.a.k.length;
  bool any = false;
  for (int64_t key = 0; key < visible; ++key) {
    if (padding[key] != 0) scores[key] = -std::numeric_limits<real>::infinity();
    any |= padding[key] == 0;
  }
  return any;
}

// The softmax of the scaled products of queries and keys, (rows, keys).
void attention_weights(const Block& b, real* weights) {
  gemm(b.rows, b.keys, b.a.depth, b.queries(), b.all_keys(true), 0, weights, b.keys, {.same_bits = true});
  for (int64_t row = 0; row < b.rows; ++row) {
    real* scores = weights + row * b.keys;
    const int64_t visible = b.visible(row);
    for (int64_t key = 0; key < visible; ++key) scores[key] *= b.a.scale;
    const bool any = mask_keys(b, visible, scores);
    if (any) kernels().softmax(visible, scores, scores);
    std::fill(any ? scores + visible : scores, scores + b.keys, real{0});
  }
}

Tensor attend(const Attention& a) {
  Tensor y(Shape{a.samples, a.q.length, a.width});
  const int64_t scores = tuning::attention_queries * a.k.length, tasks = a.samples * a.heads * a.blocks();
  reserve_scratch<real>(scores, tasks);
  parallel_for(tasks, 1, [&, to = y.data()](int64_t begin, int64_t end) {
    const Scratch<real> weights(scores);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t of_sample = task / a.blocks();
      const Block b{a, of_sample / a.heads, of_sample % a.heads,
                    task % a.blocks() * tuning::attention_queries};
      attention_weights(b, weights.data());
      real* result = to + (b.sample * a.q.length + b.begin) * a.width + b.column;
      gemm(b.rows, a.depth, b.keys, {weights.data(), b.keys}, b.all_values(), 0, result, a.width,
           {.same_bits = true});
    }
  });
  return y;
}

// Adds the gradients of one block's queries, and what it gives to those of keys and values.
void block_gradient(const Block& b, const real* dy, real* dq, real* dk, real* dv, real* weights,
                    real* scores) {
  const Attention& a = b.a;
  attention_weights(b, weights);
  const Matrix of_result{dy + (b.sample * a.q.length + b.begin) * a.width + b.column, a.width};
  gemm(b.keys, a.depth, b.rows, {weights, b.keys, true}, of_result, 1, dv + a.v.at(b.sample, 0, b.column),
       a.v.row);
  gemm(b.rows, b.keys, a.depth, of_result, b.all_values(true), 0, scores, b.keys);
  for (int64_t row = 0; row < b.rows; ++row) {
    real* d = scores + row * b.keys;
    kernels().softmax_gradient(b.keys, d, weights + row * b.keys, d);
    for (int64_t key = 0; key < b.keys; ++key) d[key] *= a.scale;
    //~
  }
  gemm(b.rows, a.depth, b.keys, {scores, b.keys}, b.all_keys(), 1, dq + a.q.at(b.sample, b.begin, b.column),
       a.q.row);
  gemm(b.keys, a.depth, b.rows, {scores, b.keys, true}, b.queries(), 1, dk + a.k.at(b.sample, 0, b.column),
       a.k.row);
}

// A head of a sample is one task, in which the blocks add up in order.
void gradients(const Attention& a, const Tensor& dy, Grads& grads) {
  const GradientTarget dq(grads, a.q.node, a.q.values.shape()), dk(grads, a.k.node, a.k.values.shape()),
      dv(grads, a.v.node, a.v.values.shape());
  const int64_t size = tuning::attention_queries * a.k.length;
  reserve_scratch<real>(size, a.samples * a.heads);
  parallel_for(a.samples * a.heads, 1, [&](int64_t begin, int64_t end) {
    const Scratch<real> weights(size), scores(size);
    for (int64_t task = begin; task < end; ++task) {
      for (int64_t first = 0; first < a.q.length; first += tuning::attention_queries) {
        const Block b{a, task / a.heads, task % a.heads, first};
        block_gradient(b, dy.data(), dq.data(), dk.data(), dv.data(), weights.data(), scores.data());
      }
    }
  });
}

Tensor recorded(Attention a) {
  check<ValueError>(a.heads >= 1 && a.width % a.heads == 0,
                    "attention: {} heads; they must divide the {} numbers of a position", a.heads, a.width);
  check<ShapeError>(a.k.length > 0, "attention: there are no keys");
  const Shape padding{a.samples, a.k.length};
  check<ShapeError>(a.key_padding.empty() || a.key_padding.shape() == padding,
                    "attention: key_padding is {}; it must be {}, a number for each key",
                    a.key_padding.shape(), padding);
  Tensor y = attend(a);
  const NodeId q = a.q.node, k = a.k.node, v = a.v.node;
  return record("attention", y, {q, k, v},
                [a = std::move(a)](Tensor dy, Grads& grads) { gradients(a, dy, grads); });
}

}  // namespace

Tensor attention(Tensor q, Tensor k, Tensor v, const AttentionOptions& options) {
  check<ShapeError>(q.rank() == 3 && k.rank() == 3 && k.shape() == v.shape() && q.size(0) == k.size(0) &&
                        q.size(2) == k.size(2),
                    "attention: q is {}, k {} and v {}; they must be (N, L, E), (N, S, E) and (N, S, E)",
                    q.shape(), k.shape(), v.shape());
  return recorded({.q = {q, 0},
                   .k = {k, 0},
                   .v = {v, 0},
                   .samples = q.size(0),
                   .width = q.size(2),
                   .heads = options.heads,
                   .causal = options.causal,
                   .key_padding = options.key_padding});
}

Tensor self_attention(Tensor qkv, const AttentionOptions& options) {
  check<ShapeError>(qkv.rank() == 3 && qkv.size(2) % 3 == 0,
                    "self_attention: qkv is {}; it must be (N, L, 3E)", qkv.shape());
  const int64_t width = qkv.size(2) / 3;
  return recorded({.q = {qkv, 0},
                   .k = {qkv, width},
                   .v = {qkv, 2 * width},
                   .samples = qkv.size(0),
                   .width = width,
                   .heads = options.heads,
                   .causal = options.causal,
                   .key_padding = options.key_padding});
}

}  // namespace ballast::inline BALLAST_PRECISION
