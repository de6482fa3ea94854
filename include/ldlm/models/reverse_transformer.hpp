#pragma once
// The Reverse Transformer: predicts what a noisy latent was made of.
//
//   ldlm::ReverseTransformer<float> model({}, generator);    // the published configuration
//   auto estimate = model({.z = z_t, .times = t});           // (B, 768) and (B) -> (B, 768)
//
// State dict. The encoder and decoder are those of torch.nn.Transformer, fed the same sequence
// twice:
//   transformer.encoder.layers.<i>.*, transformer.encoder.norm.*
//   transformer.decoder.layers.<i>.*, transformer.decoder.norm.*       (if decoder_layers > 0)
// Before and after it, with d channels of the latent and w of the Transformer:
//   time_projection.weight (w, d + w)    concat: maps [latent, timestep embedding]; 2 d -> d in the
//                                        published configuration
//   input_projection.weight (w, d)       log_snr: maps the latent
//   time_embedding.0.weight (w, w), time_embedding.2.weight (w, w)     log_snr: the network
//   positions.weight (length, w)         if length > 0
//   output_projection.weight (d, w)      if d != w, or with log_snr
// and the biases. With self-conditioning the latent counts twice (2 d), the estimate second.

#include <algorithm>
#include <cmath>

#include <ldlm/autograd/autograd.hpp>
#include <ldlm/models/pretrained.hpp>
#include <ldlm/models/reverse_transformer_config.hpp>
#include <ldlm/nn/embedding.hpp>
#include <ldlm/nn/transformer.hpp>

namespace ldlm {

/// [sin(t f_0), ..., sin(t f_h-1), cos(t f_0), ..., cos(t f_h-1)] with h = dim / 2 frequencies
/// f_i = exp(-ln(10000) i / h): (B) -> (B, dim).
template <Floating T>
[[nodiscard]] Tensor<T> timestep_embedding(const Tensor<T>& times, std::int64_t dim) {
  LDLM_CHECK_STATE(times.defined(), "timestep_embedding", "the times are undefined");
  LDLM_CHECK_SHAPE(times.rank() == 1 && dim >= 2 && dim % 2 == 0, "timestep_embedding",
                   "needs times (B) and an even dimension, got ", to_string(times.shape()), " and ",
                   dim);
  const std::int64_t half = dim / 2;
  Tensor<T> frequencies = Tensor<T>::empty({half});
  for (std::int64_t i = 0; i < half; ++i) {
    frequencies.data()[i] = convert<T>(
        std::exp(-std::log(10000.0) * static_cast<double>(i) / static_cast<double>(half)));
  }
  const Tensor<T> angles = times.unsqueeze(1) * frequencies.to(times.device());
  return concat({sin(angles), cos(angles)}, 1);
}

/// A batch of noisy latents.
template <Floating T>
struct ReverseTransformerInputs {
  AnyOperand<T> z;               // (B, L, d), or (B, d) for L = 1
  Tensor<ComputeType<T>> times;  // (B): timesteps (concat) or log signal-to-noise ratios (log_snr)
  Tensor<bool> mask{};           // (B, L), false where a latent is padding
  AnyOperand<T> estimate{};      // like z: the previous estimate; zeros if undefined
};

template <Floating T = float>
struct ReverseTransformer {
  using value_type = T;

  /// The embedding of the log signal-to-noise ratio: two linear maps around a SiLU.
  struct TimeEmbedding {
    using value_type = T;

    Linear<T> first, second;

    template <class V>
    void visit(V&& v) {
      v("0", first);
      v("2", second);
    }
  };

  ReverseTransformerConfig config;
  Linear<T> time_projection;     // concat
  Linear<T> input_projection;    // log_snr
  TimeEmbedding time_embedding;  // log_snr
  Embedding<T> positions;
  TransformerEncoder<T> encoder;
  TransformerDecoder<T> decoder;
  Linear<T> output_projection;

  ReverseTransformer(const ReverseTransformerConfig& c, Generator& generator)
      : config(detail::validated(c)) {
    Transformer<T> transformer(c.transformer(), generator);
    encoder = std::move(transformer.encoder);
    if (c.decoder_layers > 0) {
      decoder = std::move(transformer.decoder);
    }
    if (c.time_conditioning == TimeConditioning::concat) {
      time_projection = Linear<T>(c.input_dim() + c.width, c.width, generator);
    } else {
      input_projection = Linear<T>(c.input_dim(), c.width, generator);
      time_embedding = {Linear<T>(c.width, c.width, generator),
                        Linear<T>(c.width, c.width, generator)};
    }
    if (c.length > 0) {
      positions = Embedding<T>(c.length, c.width, generator, 0.02);
    }
    if (c.has_output_projection()) {
      output_projection = Linear<T>(c.width, c.latent_dim, generator);
    }
  }

  static ReverseTransformer from_pretrained(const std::filesystem::path& folder) {
    const JsonReader json = open_config(folder, "reverse_transformer");
    const auto config = ReverseTransformerConfig::from_json(json);
    const SafetensorsModel file = SafetensorsModel::open(folder);
    detail::check_sizes(file, json, std::max(config.encoder_layers, config.decoder_layers),
                        {{"latent_dim", config.latent_dim},
                         {"width", config.width},
                         {"feed_forward", config.feed_forward},
                         {"length", config.length}});
    Generator generator;
    ReverseTransformer model(config, generator);
    load_pretrained(model, file, json);
    return model;
  }
  void save_pretrained(const std::filesystem::path& folder) const {
    ldlm::save_pretrained(*this, config.to_json(), folder);
  }
  /// The same as a part of an update.
  void save_pretrained(FolderUpdate& update, const std::filesystem::path& part = {}) const {
    ldlm::save_pretrained(*this, config.to_json(), update, part);
  }

  /// The prediction, of z's shape.
  Variable<T> operator()(const ReverseTransformerInputs<T>& inputs) const {
    LDLM_CHECK_STATE(inputs.z.defined(), "reverse_transformer", "the latents are undefined");
    if (inputs.z.rank() == 2) {
      ReverseTransformerInputs<T> raised = inputs;
      raised.z = inputs.z.unsqueeze(1);
      if (inputs.estimate.defined() && inputs.estimate.shape() == inputs.z.shape()) {
        raised.estimate = inputs.estimate.unsqueeze(1);
      }
      return (*this)(raised).squeeze(1);
    }
    check(inputs);
    AttentionContext<T> context;
    if (inputs.mask.defined()) {
      context.mask = padding_mask<T>(inputs.mask, inputs.z.device());
    }
    const Variable<T> x = project(inputs);
    Variable<T> y = encoder(x, context);
    if (!decoder.layers.empty()) {
      y = decoder(x, y, {context, context});
    }
    return output_projection.defined() ? output_projection(y) : y;
  }

  template <class V>
  void visit(V&& v) {
    v("time_projection", time_projection);
    v("input_projection", input_projection);
    v("time_embedding", time_embedding);
    v("positions", positions);
    v("transformer.encoder", encoder);
    v("transformer.decoder", decoder);
    v("output_projection", output_projection);
  }

 private:
  void check(const ReverseTransformerInputs<T>& inputs) const {
    const Variable<T>& z = inputs.z;
    LDLM_CHECK_SHAPE(z.rank() == 3 && z.size(2) == config.latent_dim, "reverse_transformer",
                     "needs latents (B, L, ", config.latent_dim, "), got ", to_string(z.shape()));
    LDLM_CHECK_STATE(inputs.times.defined(), "reverse_transformer", "the times are undefined");
    LDLM_CHECK_SHAPE(inputs.times.shape() == Shape{z.size(0)}, "reverse_transformer", "times ",
                     to_string(inputs.times.shape()), " do not fit latents ", to_string(z.shape()));
    const Shape mask_shape{z.size(0), z.size(1)};
    LDLM_CHECK_SHAPE(!inputs.mask.defined() || inputs.mask.shape() == mask_shape,
                     "reverse_transformer", "mask ", to_string(inputs.mask.shape()),
                     " does not fit latents ", to_string(z.shape()));
    LDLM_CHECK_SHAPE(!inputs.estimate.defined() ||
                         (config.self_conditioning && inputs.estimate.shape() == z.shape()),
                     "reverse_transformer",
                     config.self_conditioning ? "estimate " : "takes no estimate ",
                     to_string(inputs.estimate.shape()), " with latents ", to_string(z.shape()));
    LDLM_CHECK_INDEX(config.length == 0 || z.size(1) <= config.length, "reverse_transformer",
                     z.size(1), " latents are more than the ", config.length, " positions");
  }

  // The sequence that the Transformer reads, (B, L, w).
  Variable<T> project(const ReverseTransformerInputs<T>& inputs) const {
    const Variable<T>& z = inputs.z;
    std::vector<Variable<T>> parts{z};
    if (config.self_conditioning) {
      const Variable<T>& estimate = inputs.estimate;
      parts.push_back(estimate.defined() ? estimate
                                         : Variable<T>(Tensor<T>::zeros(z.shape(), z.device())));
    }
    const Tensor<ComputeType<T>> times = inputs.times.to(z.device());
    Variable<T> x;
    if (config.time_conditioning == TimeConditioning::concat) {
      const Tensor<T> time = cast<T>(timestep_embedding(times, config.width));
      parts.emplace_back(time.unsqueeze(1).expand({z.size(0), z.size(1), config.width}));
      x = time_projection(concat(parts, 2));
    } else {
      // Ratios span some -20..20: scaled, so that near ones can be told apart.
      const Variable<T> time(cast<T>(timestep_embedding(times * 25, config.width)));
      x = input_projection(parts.size() > 1 ? concat(parts, 2) : z) +
          time_embedding.second(time_embedding.first(time, Activation::silu)).unsqueeze(1);
    }
    return positions.weight.defined() ? x + positions.weight.slice(0, 0, z.size(1)) : x;
  }
};

}  // namespace ldlm
