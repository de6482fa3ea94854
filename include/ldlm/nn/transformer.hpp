#pragma once
// Stacks of Transformer layers, and the whole encoder-decoder; parameters, names and defaults are
// those of torch.nn.Transformer.

#include <algorithm>
#include <optional>
#include <vector>

#include <ldlm/nn/transformer_layer.hpp>

namespace ldlm {

namespace detail {

/// A stack of layers and its final norm. apply(i, x) runs layer i, pre_norm(i, x) its pre_norm
/// member: a pre-norm layer's last sum is made together with the norm behind it.
template <Floating T, class Layer, class Apply, class PreNorm>
Variable<T> run_stack(const std::vector<Layer>& layers, const std::optional<LayerNorm<T>>& norm,
                      Variable<T> x, Apply&& apply, PreNorm&& pre_norm) {
  const auto is_pre_norm = [](const Layer& layer) { return layer.norm_first; };
  if (layers.empty() || !std::all_of(layers.begin(), layers.end(), is_pre_norm)) {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      x = apply(i, x);
    }
    return norm ? (*norm)(x) : x;
  }
  AddLayerNorm<T> state{x, layers.front().norm1(x)};
  for (std::size_t i = 0; i + 1 < layers.size(); ++i) {
    const Residual<T> out = pre_norm(i, state);
    state = layers[i + 1].norm1(out.update, out.sum);
  }
  const Residual<T> out = pre_norm(layers.size() - 1, state);
  return norm ? (*norm)(out.update, out.sum).normalized : out.sum + out.update;
}

}  // namespace detail

/// num_encoder_layers layers, then an optional layer norm.
template <Floating T = float>
struct TransformerEncoder {
  using value_type = T;

  std::vector<TransformerEncoderLayer<T>> layers;
  std::optional<LayerNorm<T>> norm;

  TransformerEncoder() = default;
  TransformerEncoder(const TransformerOptions& options, Generator& generator,
                     bool final_norm = true) {
    options.validate();
    for (std::int64_t i = 0; i < options.num_encoder_layers; ++i) {
      layers.emplace_back(options, generator);
    }
    if (final_norm) {
      norm.emplace(options.d_model, options.layer_norm_eps);
    }
  }

  /// x (B, T, C) -> (B, T, C).
  Variable<T> operator()(const Operand<T> auto& x, const AttentionContext<T>& context = {}) const {
    return detail::run_stack(
        layers, norm, as_variable(x),
        [&](std::size_t i, const auto& input) { return layers[i](input, context); },
        [&](std::size_t i, const auto& input) { return layers[i].pre_norm(input, context); });
  }

  template <class V>
  void visit(V&& v) {
    v("layers", layers);
    v("norm", norm);
  }
};

/// The caches of one decoder layer: `self` with room for all positions to come, `cross` for the
/// memory's.
template <Floating T>
struct DecoderLayerCache {
  KvCache<T> self, cross;
};

/// num_decoder_layers layers, then an optional layer norm.
template <Floating T = float>
struct TransformerDecoder {
  using value_type = T;

  std::vector<TransformerDecoderLayer<T>> layers;
  std::optional<LayerNorm<T>> norm;

  TransformerDecoder() = default;
  TransformerDecoder(const TransformerOptions& options, Generator& generator,
                     bool final_norm = true) {
    options.validate();
    for (std::int64_t i = 0; i < options.num_decoder_layers; ++i) {
      layers.emplace_back(options, generator);
    }
    if (final_norm) {
      norm.emplace(options.d_model, options.layer_norm_eps);
    }
  }

  /// x (B, T, C), an encoder's output (B, Tm, C) -> (B, T, C). With caches, x holds only the
  /// positions after those already in them.
  Variable<T> operator()(const Operand<T> auto& x, const Operand<T> auto& encoded,
                         const DecoderContext<T>& context = {},
                         std::vector<DecoderLayerCache<T>>* caches = nullptr) const {
    LDLM_CHECK(caches == nullptr || caches->size() == layers.size(), "TransformerDecoder",
               "needs one cache for each of ", layers.size(), " layers, got ", caches->size());
    const Variable<T>& memory = as_variable(encoded);
    const auto context_of = [&](std::size_t i) {
      DecoderContext<T> own = context;
      if (caches != nullptr) {
        own.self.cache = &(*caches)[i].self;
        own.cross.cache = &(*caches)[i].cross;
      }
      return own;
    };
    return detail::run_stack(
        layers, norm, as_variable(x),
        [&](std::size_t i, const auto& input) { return layers[i](input, memory, context_of(i)); },
        [&](std::size_t i, const auto& input) {
          return layers[i].pre_norm(input, memory, context_of(i));
        });
  }

  /// Empty caches for B sequences of at most `positions`, over memories of `memory_positions`.
  [[nodiscard]] std::vector<DecoderLayerCache<T>> make_caches(std::int64_t batch,
                                                              std::int64_t positions,
                                                              std::int64_t memory_positions) const {
    std::vector<DecoderLayerCache<T>> caches;
    for (const auto& layer : layers) {
      const std::int64_t heads = layer.self_attn.heads;
      const std::int64_t head_dim = layer.self_attn.in_proj_weight.size(1) / heads;
      const Device device = layer.self_attn.in_proj_weight.device();
      caches.push_back({KvCache<T>(batch, heads, positions, head_dim, device),
                        KvCache<T>(batch, heads, memory_positions, head_dim, device)});
    }
    return caches;
  }

  template <class V>
  void visit(V&& v) {
    v("layers", layers);
    v("norm", norm);
  }
};

/// What the attentions of a Transformer take beside their inputs.
template <Floating T>
struct TransformerContext {
  AttentionContext<T> source{};  // the encoder's self-attention
  DecoderContext<T> target{};
};

/// Encoder and decoder, each ending with a layer norm.
template <Floating T = float>
struct Transformer {
  using value_type = T;

  TransformerEncoder<T> encoder;
  TransformerDecoder<T> decoder;

  Transformer() = default;
  /// Matrices are Xavier-uniform, biases 0 in attention and PyTorch's linear default elsewhere.
  Transformer(const TransformerOptions& options, Generator& generator)
      : encoder(options, generator), decoder(options, generator) {
    for (const Variable<T>& parameter : parameters(*this)) {
      if (parameter.rank() > 1) {
        xavier_uniform_(parameter.value(), generator);
      }
    }
  }

  /// source (B, Ts, C), target (B, Tt, C) -> (B, Tt, C).
  Variable<T> operator()(const Operand<T> auto& source, const Operand<T> auto& target,
                         const TransformerContext<T>& context = {}) const {
    return decoder(target, encoder(source, context.source), context.target);
  }

  template <class V>
  void visit(V&& v) {
    v("encoder", encoder);
    v("decoder", decoder);
  }
};

}  // namespace ldlm
