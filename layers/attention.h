#pragma once

#include <utility>

#include <ballast/core/ops/activation.h>
#include <ballast/core/ops/elementwise.h>
#include <ballast/core/ops/movement.h>
#include <ballast/layers/functional/attention.h>
#include <ballast/layers/functional/dropout.h>
#include <ballast/layers/layer_norm.h>
#include <ballast/layers/linear.h>

namespace ballast::inline BALLAST_PRECISION {

struct MultiheadAttentionOptions {
  bool bias = true;
  bool causal = false;  // position i sees positions 0 ... i alone
};

/// Multi-head attention (Vaswani et al. 2017): projections to queries, keys and values, `attention`, and a
/// projection of the result, (N, L, E) -> (N, L, E) (PyTorch's batch_first = true, whose names and initial
/// values the parameters have).
struct MultiheadAttention : Module {
  Parameter in_proj_weight, in_proj_bias;
  Linear out_proj;
  int64_t width, heads;
  bool causal;

  MultiheadAttention(int64_t embedding, int64_t head_count, const MultiheadAttentionOptions& o = {})
      : in_proj_weight(Tensor(Shape{3 * embedding, embedding})),
        out_proj(embedding, embedding, {.bias = o.bias}),
        width(embedding),
        heads(head_count),
        causal(o.causal) {
    check<ValueError>(embedding >= 1 && head_count >= 1 && embedding % head_count == 0,
                      "MultiheadAttention {}: {} heads; they must divide the {} numbers of a position",
                      embedding, head_count, embedding);
    xavier_uniform(in_proj_weight);
    if (o.bias) in_proj_bias = Parameter(zeros({3 * embedding}), {.decay = false});
    if (o.bias) constant(out_proj.bias, 0);
  }

  /// Self-attention.
  Tensor forward(Tensor x) override { return attend_itself(std::move(x), {}); }
  using Module::operator();
  /// The same, without the keys at which key_padding (N, L) isn't 0.
  Tensor operator()(Tensor x, const Tensor& key_padding) {
    const CallScope scope(*this);
    return attend_itself(std::move(x), key_padding);
  }
  /// Queries from q (N, L, E); keys and values from k and v (N, S, E).
  Tensor operator()(Tensor q, Tensor k, Tensor v, const Tensor& key_padding = {}) {
    const CallScope scope(*this);
    return out_proj(attention(project(std::move(q), 0), project(std::move(k), 1), project(std::move(v), 2),
                              {.heads = heads, .causal = causal, .key_padding = key_padding}));
  }

  void visit(Visitor& v) override {
    v("in_proj_weight", in_proj_weight), v("in_proj_bias", in_proj_bias), v("out_proj", out_proj);
  }
  /// Of the projections alone: attention itself adds 2 for each key that a query sees.
  LayerInfo info() override {
    return {.type = &typeid(MultiheadAttention), .multiply_adds = 4 * width, .channel_axis = -1};
  }
  std::string describe() const override {
    return fmt::format("MultiheadAttention {}, {} head{}{}", width, heads, heads == 1 ? "" : "s",
                       causal ? ", causal" : "");
  }

 private:
  Tensor attend_itself(Tensor x, const Tensor& key_padding) {
    check<ShapeError>(x.rank() == 3 && x.size(2) == width, "x is {}; it must be (N, L, {})", x.shape(),
                      width);
    return out_proj(self_attention(detail::linear_same_bits(std::move(x), in_proj_weight, in_proj_bias),
                                   {.heads = heads, .causal = causal, .key_padding = key_padding}));
  }
  Tensor project(Tensor x, int64_t which) {
    const int64_t begin = which * width, end = begin + width;
    return detail::linear_same_bits(std::move(x), slice(in_proj_weight, 0, begin, end),
                                    in_proj_bias.empty() ? Tensor() : slice(in_proj_bias, 0, begin, end));
  }
};

struct TransformerEncoderLayerOptions {
  int64_t feedforward = 2048;
  double dropout = 0.1;
  bool gelu = false;        // instead of ReLU
  bool norm_first = false;  // pre-norm: layer normalization before attention and feed-forward, not after
  bool causal = false;
  real eps = real(1e-5);
};

/// A layer of a transformer's encoder, (N, L, E) -> (N, L, E): with S self-attention, F(x) = W_2 relu(W_1 x +
/// b_1) + b_2 and LN layer normalization, y = LN_2(z + F(z)), z = LN_1(x + S(x)) (Vaswani et al. 2017), or
/// with norm_first y = z + F(LN_2(z)), z = x + S(LN_1(x)) (Xiong et al. 2020). Dropout acts on S, on F, and
/// inside F; not on attention weights, where PyTorch has it too. Names and initial values are PyTorch's.
struct TransformerEncoderLayer : Module {
  MultiheadAttention self_attn;
  Linear linear1, linear2;
  LayerNorm norm1, norm2;
  TransformerEncoderLayerOptions options;

  TransformerEncoderLayer(int64_t width, int64_t heads, const TransformerEncoderLayerOptions& o = {})
      : self_attn(width, heads, {.causal = o.causal}),
        linear1(width, o.feedforward),
        linear2(o.feedforward, width),
        norm1(width, {.eps = o.eps}),
        norm2(width, {.eps = o.eps}),
        options(o) {
    check<ValueError>(o.dropout >= 0 && o.dropout <= 1,
                      "TransformerEncoderLayer: dropout is {}; it must be from 0 to 1", o.dropout);
  }

  Tensor forward(Tensor x) override { return run(std::move(x), {}); }
  using Module::operator();
  /// Positions at which key_padding (N, L) isn't 0 are seen by no other.
  Tensor operator()(Tensor x, const Tensor& key_padding) {
    const CallScope scope(*this);
    return run(std::move(x), key_padding);
  }

  void visit(Visitor& v) override {
    v("self_attn", self_attn), v("linear1", linear1), v("linear2", linear2), v("norm1", norm1),
        v("norm2", norm2);
  }
  LayerInfo info() override {
    return {.type = &typeid(TransformerEncoderLayer),
            .multiply_adds = 4 * self_attn.width + 2 * options.feedforward,
            .channel_axis = -1,
            .dropout = options.dropout};
  }
  std::string describe() const override {
    return fmt::format("TransformerEncoderLayer {}, {} heads, {}-norm", self_attn.width, self_attn.heads,
                       options.norm_first ? "pre" : "post");
  }

 private:
  Tensor attend(Tensor x, const Tensor& key_padding) {
    return dropout(self_attn(std::move(x), key_padding), options.dropout);
  }
  Tensor feed_forward(Tensor x) {
    Tensor hidden = options.gelu ? gelu(linear1(std::move(x))) : linear1(std::move(x), then::relu);
    return dropout(linear2(dropout(std::move(hidden), options.dropout)), options.dropout);
  }
  Tensor run(Tensor x, const Tensor& key_padding) {
    if (options.norm_first) {
      x = x + attend(norm1(x), key_padding);
      return x + feed_forward(norm2(x));
    }
    x = norm1(x + attend(x, key_padding));
    return norm2(x + feed_forward(x));
  }
};

}  // namespace ballast::inline BALLAST_PRECISION
