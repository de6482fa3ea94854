// Configurations that are built in code: what makes no model is an Error with the member's name,
// wherever it is used; from a file, one with the file and the key (test_pretrained.cpp).

#include <limits>

#include <doctest/doctest.h>
#include <ldlm/diffusion/sampler.hpp>
#include <ldlm/latent_diffusion/config.hpp>
#include <ldlm/models/bert.hpp>
#include <ldlm/models/gpt2.hpp>
#include <ldlm/models/reverse_transformer.hpp>
#include <ldlm/optim/schedule.hpp>

#include "model_support.hpp"

using ldlm::BertConfig;
using ldlm::Generator;
using ldlm::Gpt2Config;
using ldlm::LdlmConfig;
using ldlm::ReverseTransformerConfig;
using ldlm::ScheduleConfig;
using model_support::contains;
using model_support::message_of;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();

/// What making a model of the configuration says.
template <class Model, class Config>
std::string said(const Config& config) {
  return message_of([&] {
    Generator generator;
    (void)Model(config, generator);
  });
}
std::string gpt2(const Gpt2Config& config) {
  return said<ldlm::Gpt2<float>>(config);
}
std::string bert(const BertConfig& config) {
  return said<ldlm::Bert<float>>(config);
}
std::string denoiser(const ReverseTransformerConfig& config) {
  return said<ldlm::ReverseTransformer<float>>(config);
}

}  // namespace

TEST_CASE("a GPT-2 that cannot be is refused, and so is a BERT") {
  CHECK(gpt2({.n_layer = 0}) == "[Gpt2Config] n_layer must be at least 1, got 0");
  CHECK(gpt2({.n_head = 7}) == "[Gpt2Config] n_head is 7, which does not divide n_embd 768");
  CHECK(contains(gpt2({.n_head = 0}), "n_head must be at least 1"));
  CHECK(contains(gpt2({.n_embd = -768}), "n_embd must be at least 1"));
  CHECK(contains(gpt2({.n_embd = huge, .n_head = 1}), "n_embd is too large"));
  CHECK(contains(gpt2({.vocab_size = -1}), "vocab_size must be at least 1"));
  CHECK(contains(gpt2({.n_positions = 0}), "n_positions must be at least 1"));
  CHECK(contains(gpt2({.n_inner = -1}), "n_inner must be at least 0"));
  CHECK(contains(gpt2({.resid_pdrop = 1}), "resid_pdrop must lie in [0, 1)"));
  CHECK(contains(gpt2({.embd_pdrop = not_a_number}), "embd_pdrop must lie in [0, 1)"));
  CHECK(contains(gpt2({.layer_norm_epsilon = 0}), "layer_norm_epsilon must lie in (0, 1]"));
  CHECK(contains(gpt2({.initializer_range = -1}), "initializer_range must lie in [0, 1]"));
  CHECK(contains(gpt2({.bos_token_id = 50257}), "bos_token_id must be an id below vocab_size"));
  CHECK(contains(gpt2({.eos_token_id = {0, -1}}), "eos_token_id must be an id below vocab_size"));
  CHECK(bert({.num_attention_heads = 5}) ==
        "[BertConfig] num_attention_heads is 5, which does not divide hidden_size 768");
  CHECK(contains(bert({.num_hidden_layers = -1}), "num_hidden_layers must be at least 0"));
  CHECK(contains(bert({.type_vocab_size = 0}), "type_vocab_size must be at least 1"));
  CHECK(contains(bert({.hidden_dropout_prob = 2}), "hidden_dropout_prob must lie in [0, 1)"));
  CHECK(contains(bert({.pad_token_id = -1}), "pad_token_id must be an id"));
  const auto no_activation = static_cast<ldlm::Activation>(99);
  CHECK(gpt2({.activation_function = no_activation}) ==
        "[Gpt2Config] activation_function is 99, which is no Activation");
  CHECK(contains(bert({.hidden_act = no_activation}), "hidden_act is 99"));
  CHECK(contains(said<ldlm::BertForMaskedLM<float>>(BertConfig{.intermediate_size = 0}),
                 "intermediate_size must be at least 1"));
  // The default ids stand for none in a smaller vocabulary.
  const Gpt2Config small{
      .vocab_size = 12, .n_positions = 4, .n_embd = 4, .n_layer = 1, .n_head = 1};
  CHECK(gpt2(small) == "no error");
  CHECK(small.end_tokens().empty());
  CHECK_FALSE(small.start_token().has_value());
  CHECK(Gpt2Config{}.end_tokens() == std::vector<std::int64_t>{50256});
}

TEST_CASE("a denoiser and a Transformer that cannot be are refused") {
  CHECK(denoiser({.width = 7}) == "[ReverseTransformerConfig] width must be even, got 7");
  CHECK(contains(denoiser({.heads = 5}), "heads is 5, which does not divide width 768"));
  CHECK(contains(denoiser({.latent_dim = 0}), "latent_dim must be at least 1"));
  CHECK(contains(denoiser({.encoder_layers = 0}), "encoder_layers must be at least 1"));
  CHECK(contains(denoiser({.decoder_layers = -1}), "decoder_layers must be at least 0"));
  CHECK(contains(denoiser({.length = -1}), "length must be at least 0"));
  CHECK(contains(denoiser({.activation = static_cast<ldlm::Activation>(99)}), "activation is 99"));
  CHECK(contains(denoiser({.time_conditioning = static_cast<ldlm::TimeConditioning>(2)}),
                 "time_conditioning is 2"));
  const auto transformer = [](const ldlm::TransformerOptions& options) {
    return message_of([&] {
      Generator generator;
      (void)ldlm::Transformer<float>(options, generator);
    });
  };
  CHECK(transformer({.d_model = 8, .nhead = 3}) ==
        "[TransformerOptions] nhead is 3, which does not divide d_model 8");
  CHECK(contains(transformer({.d_model = 0}), "d_model is out of range: 0"));
  CHECK(contains(transformer({.nhead = 0}), "nhead is out of range: 0"));
  CHECK(contains(transformer({.num_encoder_layers = -1}), "num_encoder_layers"));
  CHECK(contains(transformer({.dim_feedforward = -5}), "dim_feedforward"));
  CHECK(contains(transformer({.dropout = not_a_number}), "dropout"));
  CHECK(contains(transformer({.layer_norm_eps = -1}), "layer_norm_eps"));
}

TEST_CASE("parts of networks check their extents") {
  Generator g;
  CHECK(contains(message_of([&] { (void)ldlm::Embedding<float>(0, 4, g); }), "[Embedding]"));
  CHECK(contains(message_of([&] { (void)ldlm::Embedding<float>(4, -1, g); }), "4 and -1"));
  CHECK(contains(message_of([&] { (void)ldlm::Embedding<float>(4, 4, g, -1); }), "stddev"));
  CHECK(contains(message_of([&] { (void)ldlm::Linear<float>(4, -1, g); }), "[Linear]"));
  CHECK(contains(message_of([&] { (void)ldlm::LayerNorm<float>(-1); }), "[LayerNorm]"));
  CHECK(contains(message_of([&] { (void)ldlm::LayerNorm<float>(4, not_a_number); }),
                 "epsilon must lie"));
  CHECK(contains(message_of([&] { (void)ldlm::RMSNorm<float>(0); }), "[RMSNorm]"));
  CHECK(contains(message_of([&] { (void)ldlm::Dropout<float>(1); }), "[Dropout]"));
  CHECK(contains(message_of([&] { (void)ldlm::MultiHeadAttention<float>(8, 0, g); }),
                 "do not split into 0 heads"));
}

TEST_CASE("an LDLM, its schedules and samplers that cannot be are refused") {
  const auto validate = [](const auto& change) {
    return message_of([&] {
      LdlmConfig config = LdlmConfig::tiny();
      change(config);
      config.validate();
    });
  };
  CHECK(validate([](LdlmConfig&) {}) == "no error");
  CHECK(validate([](LdlmConfig& c) { c.decoder.n_layer = 0; }) ==
        "[Gpt2Config] n_layer must be at least 1, got 0");
  CHECK(contains(validate([](LdlmConfig& c) { c.encoder.num_attention_heads = 5; }),
                 "[BertConfig] num_attention_heads"));
  CHECK(contains(validate([](LdlmConfig& c) { c.denoiser.width = -2; }),
                 "[ReverseTransformerConfig] width"));
  CHECK(contains(validate([](LdlmConfig& c) { c.latent_length = -1; }), "latent_length"));
  CHECK(contains(validate([](LdlmConfig& c) { c.latent_channels = 0; }), "latent_channels"));
  CHECK(contains(validate([](LdlmConfig& c) { c.num_beams = 0; }), "num_beams must be at least 1"));
  CHECK(contains(validate([](LdlmConfig& c) { c.schedule.steps = 0; }), "[ScheduleConfig] steps"));
  const auto slots = [&validate](const auto& change) {
    return validate([&change](LdlmConfig& c) {
      c.latent = ldlm::LatentKind::slots;
      c.latent_length = c.denoiser.length = 12;
      c.encoder.max_position_embeddings = c.decoder.n_positions = 52;
      change(c);
    });
  };
  CHECK(slots([](LdlmConfig&) {}) == "no error");
  CHECK(message_of([] { LdlmConfig::tiny_slots().validate(); }) == "no error");
  CHECK(slots([](LdlmConfig& c) { c.encoder.max_position_embeddings = 51; }) ==
        "[ldlm config] the encoder has 51 positions, 12 slots and a text of 40 tokens need more");
  CHECK(slots([](LdlmConfig& c) { c.decoder.n_positions = 51; }) ==
        "[ldlm config] the decoder has 51 positions, 12 slots and a text of 40 tokens need more");
  CHECK(contains(slots([](LdlmConfig& c) { c.max_new_tokens = 1; }), "must be more than 1, got 1"));
  const auto schedule = [](const ScheduleConfig& config) {
    return message_of([&] { (void)config.make(); });
  };
  CHECK(schedule({}) == "no error");
  const auto with = [](const std::string& old, const std::string& text) {
    std::string file = ldlm::to_string(LdlmConfig::tiny().to_json());
    file.replace(file.find(old), old.size(), text);
    return message_of([&] { (void)LdlmConfig::from_json(ldlm::JsonReader::parse(file)); });
  };
  CHECK(with("num_beams", "num_beams") == "no error");
  CHECK(contains(with("num_beams", "beams"), "key \"beams\" is not known"));
  CHECK(with("\"sequence\"", "\"slots\"") == "no error");
  CHECK(contains(with("\"sequence\"", "\"slot\""),
                 "must be \"pooled\", \"sequence\" or \"slots\", got \"slot\""));
  CHECK(contains(with("shift", "shft"), "key \"schedule.shft\" is not known"));
  CHECK(contains(with("guidance", "guide"), "key \"sampling.guide\" is not known"));
  CHECK(
      contains(with("800", "1001"), "\"sampling.decode_level\" must lie in [-1, 1000], got 1001"));
  const auto sampling = [&validate](const auto& change) {
    return validate([&change](LdlmConfig& c) { change(c.sampling); });
  };
  using ldlm::SamplingConfig;
  CHECK(contains(sampling([](SamplingConfig& c) { c.steps = -1; }), "[SamplingConfig] steps"));
  CHECK(contains(sampling([](SamplingConfig& c) { c.guidance = not_a_number; }), "guidance"));
  CHECK(contains(sampling([](SamplingConfig& c) { c.temperature = -1; }), "temperature"));
  CHECK(contains(sampling([](SamplingConfig& c) { c.top_p = 0; }), "top_p"));
  CHECK(contains(schedule({.kind = "sine"}), "kind must be one of scaled_linear"));
  CHECK(contains(schedule({.steps = 1'000'000'000}), "steps must lie in [1, 1000000]"));
  CHECK(contains(schedule({.shift = 1e30}), "shift must lie in"));
  CHECK(contains(schedule({.d = not_a_number}), "d must lie in"));
  CHECK(contains(message_of([] { (void)ldlm::NoiseSchedule::cosine(1'000'000'000); }),
                 "can have 1000000 steps at most"));
  CHECK(contains(message_of([] { ldlm::SamplerOptions{.steps = -1}.validate(); }), "steps"));
  CHECK(contains(message_of([] { ldlm::SamplerOptions{.eta = not_a_number}.validate(); }), "eta"));
  CHECK(contains(message_of([] { (void)ldlm::WarmupLinear{.warmup = -1}(1); }), "warmup"));
  CHECK(contains(message_of([] { (void)ldlm::WarmupCosine{.total = 0}(1); }), "total"));
}
