#pragma once
// One layer of a Transformer's encoder and decoder (Vaswani et al., 2017), post-norm or pre-norm,
// with the parameters and defaults of torch.nn.TransformerEncoderLayer and ...DecoderLayer.

#include <ldlm/autograd/functions/elementwise.hpp>
#include <ldlm/nn/attention.hpp>
#include <ldlm/nn/norm.hpp>

namespace ldlm {

/// Sizes and choices of a Transformer, under PyTorch's names. All sequences are (B, T, d_model).
struct TransformerOptions {
  std::int64_t d_model = 512;
  std::int64_t nhead = 8;
  std::int64_t num_encoder_layers = 6;  // of the stacks
  std::int64_t num_decoder_layers = 6;
  std::int64_t dim_feedforward = 2048;
  double dropout = 0.1;
  Activation activation = Activation::relu;
  double layer_norm_eps = 1e-5;
  bool norm_first = false;  // normalise before each block (pre-norm) rather than after it

  /// Throws an Error that names the member for values that make no Transformer.
  void validate() const {
    const auto check = [](bool ok, std::string_view name, auto value) {
      LDLM_CHECK(ok, "TransformerOptions", name, " is out of range: ", value);
    };
    check(d_model > 0, "d_model", d_model);
    check(nhead > 0, "nhead", nhead);
    LDLM_CHECK(d_model % nhead == 0, "TransformerOptions", "nhead is ", nhead,
               ", which does not divide d_model ", d_model);
    check(num_encoder_layers >= 0, "num_encoder_layers", num_encoder_layers);
    check(num_decoder_layers >= 0, "num_decoder_layers", num_decoder_layers);
    check(dim_feedforward > 0, "dim_feedforward", dim_feedforward);
    check(dropout >= 0 && dropout < 1, "dropout", dropout);
    check(layer_norm_eps >= 0 && layer_norm_eps <= 1, "layer_norm_eps", layer_norm_eps);
  }
  /// Itself, once it is found to be valid.
  [[nodiscard]] const TransformerOptions& validated() const {
    validate();
    return *this;
  }
};

/// What a pre-norm layer leaves: its output is sum + update. Whoever normalises that next does both
/// in one pass over memory.
template <Floating T>
struct Residual {
  Variable<T> sum, update;
};

/// Self-attention, then a feed-forward block.
template <Floating T = float>
struct TransformerEncoderLayer {
  using value_type = T;

  MultiHeadAttention<T> self_attn;
  Linear<T> linear1, linear2;
  Dropout<T> dropout, dropout1, dropout2;
  LayerNorm<T> norm1, norm2;
  Activation activation = Activation::relu;
  bool norm_first = false;

  TransformerEncoderLayer() = default;
  TransformerEncoderLayer(const TransformerOptions& o, Generator& generator)
      : self_attn(o.validated().d_model, o.nhead, generator, o.dropout),
        linear1(o.d_model, o.dim_feedforward, generator),
        linear2(o.dim_feedforward, o.d_model, generator),
        dropout(o.dropout),
        dropout1(o.dropout),
        dropout2(o.dropout),
        norm1(o.d_model, o.layer_norm_eps),
        norm2(o.d_model, o.layer_norm_eps),
        activation(o.activation),
        norm_first(o.norm_first) {}

  /// (B, T, C) -> (B, T, C).
  Variable<T> operator()(const Operand<T> auto& input,
                         const AttentionContext<T>& context = {}) const {
    const Variable<T>& x = as_variable(input);
    if (norm_first) {
      const Residual<T> out = pre_norm({x, norm1(x)}, context);
      return out.sum + out.update;
    }
    const Variable<T> attended = norm1(dropout1(self_attn(x, context)), x).normalized;
    return norm2(feed_forward(attended), attended).normalized;
  }
  /// The layer with norm_first, for stacks: x comes with norm1 already applied.
  Residual<T> pre_norm(const AddLayerNorm<T>& x, const AttentionContext<T>& context) const {
    const auto attended = norm2(dropout1(self_attn(x.normalized, context)), x.sum);
    return {attended.sum, feed_forward(attended.normalized)};
  }

  template <class V>
  void visit(V&& v) {
    v("self_attn", self_attn);
    v("linear1", linear1);
    v("dropout", dropout);
    v("linear2", linear2);
    v("norm1", norm1);
    v("norm2", norm2);
    v("dropout1", dropout1);
    v("dropout2", dropout2);
  }

 private:
  Variable<T> feed_forward(const Variable<T>& x) const {
    return dropout2(linear2(dropout(linear1(x, activation))));
  }
};

/// What a decoder layer's two attentions take beside their inputs.
template <Floating T>
struct DecoderContext {
  AttentionContext<T> self{};
  AttentionContext<T> cross{};
};

/// Self-attention, attention to an encoder's output, then a feed-forward block.
template <Floating T = float>
struct TransformerDecoderLayer {
  using value_type = T;

  MultiHeadAttention<T> self_attn, multihead_attn;
  Linear<T> linear1, linear2;
  Dropout<T> dropout, dropout1, dropout2, dropout3;
  LayerNorm<T> norm1, norm2, norm3;
  Activation activation = Activation::relu;
  bool norm_first = false;

  TransformerDecoderLayer() = default;
  TransformerDecoderLayer(const TransformerOptions& o, Generator& generator)
      : self_attn(o.validated().d_model, o.nhead, generator, o.dropout),
        multihead_attn(o.d_model, o.nhead, generator, o.dropout),
        linear1(o.d_model, o.dim_feedforward, generator),
        linear2(o.dim_feedforward, o.d_model, generator),
        dropout(o.dropout),
        dropout1(o.dropout),
        dropout2(o.dropout),
        dropout3(o.dropout),
        norm1(o.d_model, o.layer_norm_eps),
        norm2(o.d_model, o.layer_norm_eps),
        norm3(o.d_model, o.layer_norm_eps),
        activation(o.activation),
        norm_first(o.norm_first) {}

  /// (B, T, C), and an encoder's output (B, Tm, C) -> (B, T, C).
  Variable<T> operator()(const Operand<T> auto& input, const Operand<T> auto& encoded,
                         const DecoderContext<T>& context = {}) const {
    const Variable<T>& x = as_variable(input);
    const Variable<T>& memory = as_variable(encoded);
    if (norm_first) {
      const auto attended = norm2(dropout1(self_attn(norm1(x), context.self)), x);
      const auto crossed =
          norm3(dropout2(multihead_attn(attended.normalized, memory, context.cross)), attended.sum);
      return crossed.sum + feed_forward(crossed.normalized);
    }
    const Variable<T> attended = norm1(dropout1(self_attn(x, context.self)), x).normalized;
    const Variable<T> crossed =
        norm2(dropout2(multihead_attn(attended, memory, context.cross)), attended).normalized;
    return norm3(feed_forward(crossed), crossed).normalized;
  }
  /// The layer with norm_first, for stacks: x comes with norm1 already applied.
  Residual<T> pre_norm(const AddLayerNorm<T>& x, const Variable<T>& memory,
                       const DecoderContext<T>& context) const {
    const auto attended = norm2(dropout1(self_attn(x.normalized, context.self)), x.sum);
    const auto crossed =
        norm3(dropout2(multihead_attn(attended.normalized, memory, context.cross)), attended.sum);
    return {crossed.sum, feed_forward(crossed.normalized)};
  }

  template <class V>
  void visit(V&& v) {
    v("self_attn", self_attn);
    v("multihead_attn", multihead_attn);
    v("linear1", linear1);
    v("dropout", dropout);
    v("linear2", linear2);
    v("norm1", norm1);
    v("norm2", norm2);
    v("norm3", norm3);
    v("dropout1", dropout1);
    v("dropout2", dropout2);
    v("dropout3", dropout3);
  }

 private:
  Variable<T> feed_forward(const Variable<T>& x) const {
    return dropout3(linear2(dropout(linear1(x, activation))));
  }
};

}  // namespace ldlm
