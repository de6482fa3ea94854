#pragma once
// Ldlm: the whole model behind four verbs, encode, add_noise, denoise and decode, and sample.
//
//   const auto model = ldlm::Ldlm<float>::load("weights/ldlm-tiny");
//   auto z = model.encode({"The river rises in the north."});           // (1, L, d)
//   auto zt = model.add_noise(z, 500, generator);                       // level 500 of the seed's
//   auto text = model.decode(model.denoise(zt, 500), {.t = 500});       // schedule
//
// A folder holds ldlm.json, tokenizer.json (or, where the two sides differ, encoder_tokenizer.json
// and decoder_tokenizer.json), and the parts encoder/, decoder/ (folders of Hugging Face's),
// latent/, details/ and denoiser/.

#include <cmath>
#include <functional>
#include <limits>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <ldlm/diffusion/sampler.hpp>
#include <ldlm/generate/beam_search.hpp>
#include <ldlm/generate/gpt2_session.hpp>
#include <ldlm/generate/sampling.hpp>
#include <ldlm/latent_diffusion/stages.hpp>
#include <ldlm/text/batch.hpp>
#include <ldlm/text/tokenizer.hpp>

namespace ldlm {

/// How Ldlm::decode turns latents into text.
struct DecodeOptions {
  std::int64_t t = -1;         // level of the seed's schedule that the latents were denoised from;
                               // -1: they are clean; 1000: nothing is known of them
  std::int64_t num_beams = 0;  // 0: the configuration's; 1: greedy. Without a generator only
  // How a token is drawn: with a generator only.
  double temperature = 1;
  std::int64_t top_k = 0;  // 0: all
  double top_p = 1;
};

/// How Ldlm::encode turns texts into latents.
struct LatentOptions {
  bool details = false;  // with details, if the configuration has them: latents (B, L + D, d)
};

/// The names of tokens with a meaning of their own in tokenizers that this project trains.
inline constexpr const char* end_token = "<|endoftext|>";
inline constexpr const char* mask_token = "<|mask|>";

/// The token that ends a decoder's texts: the one that the tokenizer's folder names, else the one
/// that the decoder's configuration sets, else end_token. Throws if there is none.
[[nodiscard]] inline std::int64_t find_end_id(const Tokenizer& tokenizer, const Gpt2Config& config,
                                              std::string_view op) {
  if (const auto named = tokenizer.special_tokens().eos) {
    return *named;
  }
  const auto ours = tokenizer.token_to_id(end_token);
  const std::vector<std::int64_t> set = config.end_tokens();
  if (!set.empty() && (set.front() != Gpt2Config::default_token_id || !ours)) {
    return set.front();
  }
  LDLM_CHECK(ours.has_value(), op,
             "the decoder's tokenizer has no end token: its folder names none, "
             "config.json has no eos_token_id, and there is no ",
             end_token);
  return *ours;
}

namespace detail {
/// Runs read() and names the folder in errors that do not, such as those of a lack of memory.
template <class Read>
auto name_in_errors(const std::filesystem::path& folder, Read&& read) {
  const auto refuse = [&folder](ErrorCode code, std::string_view reason) {
    fail_at(code, "load", folder.native(), ": ", reason);
  };
  try {
    return read();
  } catch (const Error& error) {
    if (error.path().empty()) {
      refuse(error.code(), error.what());
    }
    throw;
  } catch (const std::bad_alloc&) {
    refuse(ErrorCode::memory, "asks for more memory than there is");
    throw;
  } catch (const std::length_error&) {
    refuse(ErrorCode::memory, "asks for more memory than there can be");
    throw;
  }
}
}  // namespace detail

/// The configuration of a model's folder: ldlm.json and the config.json of every part.
[[nodiscard]] inline LdlmConfig load_config(const std::filesystem::path& folder) {
  return detail::name_in_errors(folder, [&folder] {
    const JsonReader json = open_json(folder / "ldlm.json");
    LdlmConfig config = LdlmConfig::from_json(json);
    config.encoder = BertConfig::from_json(open_config(folder / "encoder", "bert"));
    config.decoder = Gpt2Config::from_json(open_config(folder / "decoder", "gpt2"));
    config.denoiser = ReverseTransformerConfig::from_json(
        open_config(folder / "denoiser", "reverse_transformer"));
    config.validate();
    return config;
  });
}

/// Encoder, latent maps and decoder of a model's folder.
template <Floating T>
[[nodiscard]] Autoencoder<T> load_autoencoder(const std::filesystem::path& folder,
                                              const LdlmConfig& config) {
  Generator unused;
  Autoencoder<T> model(config, Bert<T>::from_pretrained(folder / "encoder"),
                       Gpt2<T>::from_pretrained(folder / "decoder"), unused);
  if (config.latent != LatentKind::pooled) {
    load_pretrained(model.map, SafetensorsModel::open(folder / "latent"));
  }
  if (config.details) {
    load_pretrained(model.detail_map, SafetensorsModel::open(folder / "details"));
  }
  return model;
}

namespace detail {
/// What a model computed, unless it holds NaN or infinity: then its weights are broken.
template <Floating T>
[[nodiscard]] Tensor<T> check_finite(Tensor<T> x, std::string_view op) {
  LDLM_CHECK(x.numel() == 0 || std::isfinite(max(abs(x)).item()), op,
             "the model's weights lead to values that are no numbers");
  return x;
}

/// Writes one part of a model: config.json, which may be null, and its weights as elements of
/// `storage`. Throws for a packed weight, and for an element type that is no floating one.
template <class Model>
void save_part(const Model& model, const JsonValue& config, FolderUpdate& update,
               const std::filesystem::path& part, DType storage) {
  for (const auto& [name, matrix] : packed_weights(model)) {
    fail("save", part.native(), ": ", name, " is packed as ", name_of(matrix.format),
         "; save the model before that");
  }
  SafetensorsWriter writer;
  writer.metadata("format", "pt");
  for (const auto& [name, tensor] : state_dict(model)) {
    switch (storage) {
      case DType::f64:
        writer.add(name, cast<double>(tensor));
        break;
      case DType::f32:
        writer.add(name, cast<float>(tensor));
        break;
      case DType::f16:
        writer.add(name, cast<f16>(tensor));
        break;
      case DType::bf16:
        writer.add(name, cast<bf16>(tensor));
        break;
      default:
        fail("save", "weights cannot be stored as ", name_of(storage));
    }
  }
  writer.write_model(update, part, std::numeric_limits<std::size_t>::max());
  if (!config.is_null()) {
    update.add(part / "config.json",
               [&](const std::filesystem::path& path) { write_json(path, config); });
  }
}
}  // namespace detail

/// Writes the autoencoder's parts and ldlm.json as a part of the update of a model's folder.
/// Weights are stored as elements of `storage`, of any floating type.
template <Floating T>
void save_autoencoder(const Autoencoder<T>& model, const LdlmConfig& config, FolderUpdate& update,
                      DType storage = dtype_of<T>) {
  detail::save_part(model.encoder, config.encoder.to_json("BertModel"), update, "encoder", storage);
  detail::save_part(model.decoder, config.decoder.to_json(), update, "decoder", storage);
  if (model.kind != LatentKind::pooled) {
    detail::save_part(model.map, {}, update, "latent", storage);
  } else {
    SafetensorsWriter::remove_model(update, "latent");  // of a model that was there before
  }
  if (model.detail_length > 0) {
    detail::save_part(model.detail_map, {}, update, "details", storage);
  } else {
    SafetensorsWriter::remove_model(update, "details");
  }
  update.add("ldlm.json",
             [&](const std::filesystem::path& path) { write_json(path, config.to_json()); });
}
/// Writes the denoiser as a part of the update of a model's folder.
template <Floating T>
void save_denoiser(const ReverseTransformer<T>& model, FolderUpdate& update,
                   DType storage = dtype_of<T>) {
  detail::save_part(model, model.config.to_json(), update, "denoiser", storage);
}

/// Throws unless a model with `rows` embeddings can read all ids of its tokenizer.
inline void check_tokenizer_fits(std::string_view part, const Tokenizer& tokenizer,
                                 std::int64_t rows) {
  LDLM_CHECK(static_cast<std::int64_t>(tokenizer.id_bound()) <= rows, "ldlm", part,
             ": the tokenizer has ids up to ", tokenizer.id_bound() - 1, ", the embedding ", rows,
             " rows");
}

/// How a model's two sides read text.
struct LdlmTokenizers {
  Tokenizer encoder, decoder;

  /// The tokenizers in a model's folder.
  static LdlmTokenizers load(const std::filesystem::path& folder) {
    if (std::filesystem::exists(folder / "tokenizer.json") ||
        !std::filesystem::exists(folder / "encoder_tokenizer.json")) {
      Tokenizer both = Tokenizer::from_file(folder / "tokenizer.json");
      return {both, both};
    }
    return {Tokenizer::from_file(folder / "encoder_tokenizer.json"),
            Tokenizer::from_file(folder / "decoder_tokenizer.json")};
  }
  /// Throws if a side's tokenizer has ids for which its model has no embedding.
  void check_fit(const LdlmConfig& config) const {
    check_tokenizer_fits("encoder", encoder, config.encoder.vocab_size);
    check_tokenizer_fits("decoder", decoder, config.decoder.vocab_size);
  }
  /// Writes them as a part of the update of a model's folder.
  void save(FolderUpdate& update) const {
    const bool same = encoder.to_json() == decoder.to_json();
    for (const char* const name :
         {"tokenizer.json", "encoder_tokenizer.json", "decoder_tokenizer.json"}) {
      update.remove(name);  // of a model that was there before
    }
    const auto add = [&update](const char* name, const Tokenizer& tokenizer) {
      update.add(name, [&](const std::filesystem::path& path) { tokenizer.save(path); });
    };
    add(same ? "tokenizer.json" : "encoder_tokenizer.json", encoder);
    if (!same) {
      add("decoder_tokenizer.json", decoder);
    }
  }
};

template <Floating T = float>
class Ldlm {
 public:
  Ldlm(LdlmConfig config, LdlmTokenizers tokenizers, Autoencoder<T> autoencoder,
       ReverseTransformer<T> denoiser)
      : config_(std::move(config)),
        tokenizers_(std::move(tokenizers)),
        autoencoder_(std::move(autoencoder)),
        denoiser_(std::move(denoiser)),
        diffusion_{config_.schedule.make(), config_.prediction},
        levels_(NoiseSchedule::scaled_linear()) {
    config_.validate();
    end_id_ = find_end_id(tokenizers_.decoder, config_.decoder, "ldlm");
    tokenizers_.check_fit(config_);
  }

  /// Loads a folder that save() wrote, or that was put together from Hugging Face's.
  static Ldlm load(const std::filesystem::path& folder) {
    return read_folder(folder, [&folder] {
      return detail::name_in_errors(folder, [&folder] {
        const LdlmConfig config = load_config(folder);
        LDLM_CHECK_FILE(std::filesystem::exists(folder / "denoiser"), "ldlm", folder.native(),
                        ": has no denoiser yet (`ldlm train denoiser` makes one)");
        return Ldlm(config, LdlmTokenizers::load(folder), load_autoencoder<T>(folder, config),
                    ReverseTransformer<T>::from_pretrained(folder / "denoiser"));
      });
    });
  }

  /// Writes all parts into a folder, see load(). They take the place of a model that is there
  /// together; other files in the folder stay.
  void save(const std::filesystem::path& folder, DType storage = dtype_of<T>) const {
    FolderUpdate update(folder);
    save(update, storage);
    update.commit();
  }
  /// The same as a part of an update.
  void save(FolderUpdate& update, DType storage = dtype_of<T>) const {
    save_autoencoder(autoencoder_, config_, update, storage);
    save_denoiser(denoiser_, update, storage);
    tokenizers_.save(update);
  }

  // ---- The parts. ----

  [[nodiscard]] const LdlmConfig& config() const { return config_; }
  [[nodiscard]] const Tokenizer& encoder_tokenizer() const { return tokenizers_.encoder; }
  [[nodiscard]] const Tokenizer& decoder_tokenizer() const { return tokenizers_.decoder; }
  [[nodiscard]] const Autoencoder<T>& autoencoder() const { return autoencoder_; }
  [[nodiscard]] const ReverseTransformer<T>& denoiser() const { return denoiser_; }
  /// The schedule of training and sampling.
  [[nodiscard]] const NoiseSchedule& schedule() const { return diffusion_.schedule; }
  /// The seed's schedule, whose levels t = 0 .. 999 add_noise, denoise and decode speak of, so that
  /// figures of all configurations compare.
  [[nodiscard]] const NoiseSchedule& levels() const { return levels_; }
  [[nodiscard]] std::int64_t end_id() const { return end_id_; }

  /// Where it computes; its latents are there, too.
  [[nodiscard]] Device device() const { return autoencoder_.decoder.wte.device(); }
  void to(Device device) {
    ldlm::to(autoencoder_, device);
    ldlm::to(denoiser_, device);
  }

  // ---- Text to latent and back. ----

  /// Encoder ids of a text. Sequence latents hold up to L - 1 tokens and the end, slots up to
  /// max_new_tokens - 1.
  [[nodiscard]] std::vector<TokenId> tokenize(std::string_view text) const {
    return tokenizers_.encoder.encode_ids(text);
  }
  /// Whether a text is short enough for the latent.
  [[nodiscard]] bool fits(std::string_view text) const {
    return static_cast<std::int64_t>(tokenize(text).size()) <= capacity();
  }

  /// Latents (B, L, d). Throws for a text that is empty or too long.
  [[nodiscard]] Tensor<T> encode(const std::vector<std::string>& texts,
                                 const LatentOptions& how = {}) const {
    LDLM_CHECK(!texts.empty(), "encode", "there is no text");
    std::vector<std::vector<TokenId>> rows;
    for (const std::string& text : texts) {
      rows.push_back(tokenize(text));
      const auto size = static_cast<std::int64_t>(rows.back().size());
      const std::string which =
          texts.size() == 1 ? "the text" : "text " + std::to_string(rows.size());
      LDLM_CHECK(size > 0, "encode", which, " is empty");
      LDLM_CHECK(size <= capacity(), "encode", which, " has ", size, " tokens, the model takes ",
                 capacity(), " at most: ", detail::quote(text, 60));
    }
    const bool sequence = config_.latent == LatentKind::sequence;
    BatchOptions options{.pad_id = sequence ? end_id_ : config_.encoder.pad_token_id,
                         .padding_side = TextDirection::right};
    if (sequence) {  // the end tokens after a text are part of its latent
      options.length = config_.latent_length;
    }
    const TokenBatch batch = to_batch(rows, options);
    return encode_ids(batch.ids, sequence ? Tensor<bool>() : batch.mask, how);
  }
  /// The same for encoder ids (B, T) and, but for sequence latents, their mask.
  [[nodiscard]] Tensor<T> encode_ids(const Tensor<std::int64_t>& ids, const Tensor<bool>& mask = {},
                                     const LatentOptions& how = {}) const {
    return detail::check_finite(
        encode_without_graph(autoencoder_, {ids, mask, {}}, how.details && config_.details),
        "encode");
  }

  /// Token ids decoded from latents (B, L, d), or such with details, each up to and including the
  /// end token.
  [[nodiscard]] TokenSequences decode_ids(const Tensor<T>& latents,
                                          const DecodeOptions& options = {}) const {
    LDLM_CHECK(options.temperature == 1 && options.top_k == 0 && options.top_p == 1, "decode",
               "temperature, top_k and top_p need a generator to draw from");
    const NoGrad no_grad;
    const EvaluationMode evaluation;
    Gpt2Session<T> session = this->session(latents, options);
    const auto prompts = Tensor<std::int64_t>::zeros({latents.size(0), 0});
    const std::int64_t beams = options.num_beams > 0 ? options.num_beams : config_.num_beams;
    if (beams == 1) {
      return greedy(session, prompts, stop());
    }
    TokenSequences out;
    for (auto& hypotheses : beam_search(session, prompts, {.stop = stop(), .num_beams = beams})) {
      out.push_back(std::move(hypotheses.front().tokens));
    }
    return out;
  }
  /// The same, each token drawn. The generator moves on.
  [[nodiscard]] TokenSequences decode_ids(const Tensor<T>& latents, const DecodeOptions& options,
                                          Generator& generator) const {
    LDLM_CHECK(options.num_beams == 0, "decode", "num_beams does not go with a generator");
    const NoGrad no_grad;
    const EvaluationMode evaluation;
    Gpt2Session<T> session = this->session(latents, options);
    return ldlm::sample(session, Tensor<std::int64_t>::zeros({latents.size(0), 0}),
                        {stop(), options.temperature, options.top_k, options.top_p}, generator);
  }
  /// Texts decoded from latents (B, L, d).
  [[nodiscard]] std::vector<std::string> decode(const Tensor<T>& latents,
                                                const DecodeOptions& options = {}) const {
    return detokenize_all(decode_ids(latents, options));
  }
  [[nodiscard]] std::vector<std::string> decode(const Tensor<T>& latents,
                                                const DecodeOptions& options,
                                                Generator& generator) const {
    return detokenize_all(decode_ids(latents, options, generator));
  }
  /// The text of decoder ids, without the end token.
  [[nodiscard]] std::string detokenize(std::vector<TokenId> ids) const {
    std::erase(ids, end_id_);
    std::string text = tokenizers_.decoder.decode(ids);
    return text.starts_with(' ') ? text.substr(1)
                                 : text;  // the word boundary before the first word
  }

  /// The decoder before the first token of the text of each of the latents (B, L, d): a CausalLm,
  /// for a search of one's own. Of the options it takes the level.
  [[nodiscard]] Gpt2Session<T> session(const Tensor<T>& latents,
                                       const DecodeOptions& options = {}) const {
    const NoGrad no_grad;
    const EvaluationMode evaluation;
    const std::vector<double> levels(
        static_cast<std::size_t>(latents.size(0)),
        options.t == levels_.steps() ? lost_alpha_bar : levels_.alpha_bar(options.t));
    const auto log_snr = detail::log_snrs<T>(levels);
    return Gpt2Session<T>(autoencoder_.decoder,
                          {.prefix = autoencoder_.prefix(Variable<T>(latents), log_snr).value()});
  }

  // ---- Diffusion. ----

  /// Latents with the noise of level t of levels().
  [[nodiscard]] Tensor<T> add_noise(const Tensor<T>& z0, std::int64_t t,
                                    Generator& generator) const {
    const std::vector<double> level(static_cast<std::size_t>(z0.size(0)), levels_.alpha_bar(t));
    return ldlm::add_noise(z0, randn_like(z0, generator), level);
  }
  /// The estimate of z_0 in one step from level t; with self-conditioning, a second one that reads
  /// the first. Details, which the denoiser doesn't know, are estimated linearly.
  [[nodiscard]] Tensor<T> denoise(const Tensor<T>& zt, std::int64_t t) const {
    if (autoencoder_.has_details(zt)) {
      const std::int64_t slots = config_.latent_length;
      return concat({denoise(zt.slice(1, 0, slots), t),
                     mul(zt.slice(1, slots, zt.size(1)), std::sqrt(levels_.alpha_bar(t)))},
                    1);
    }
    const std::vector<double> level(static_cast<std::size_t>(zt.size(0)), levels_.alpha_bar(t));
    const Tensor<T> first = estimate_x0(denoiser_, diffusion_, zt, level);
    return detail::check_finite(denoiser_.config.self_conditioning
                                    ? estimate_x0(denoiser_, diffusion_, zt, level, first)
                                    : first,
                                "denoise");
  }
  /// Sees each step of a sampler: the estimate of z_0 (B, L, d), and abar of the level at which it
  /// was made.
  using Watch = std::function<void(const Tensor<T>& estimate, double alpha_bar)>;

  /// New latents (count, L, d) from pure noise. A self-conditioned denoiser's estimate is moved
  /// away from the one that it makes without its previous estimate, by `guidance` times what that
  /// changes (1: not at all).
  [[nodiscard]] Tensor<T> sample(std::int64_t count, const SamplerOptions& options,
                                 Generator& generator, double guidance = 1.0,
                                 const Watch& watch = {}) const {
    LDLM_CHECK(count > 0, "sample", "count must be positive, got ", count);
    auto denoise = sampled_denoiser(count, guidance, watch, "sample");
    return detail::check_finite(
        sample_diffusion<T>({count, config_.latent_length, config_.latent_channels},
                            diffusion_.schedule, denoise, options, generator, device()),
        "sample");
  }
  /// Latents like z0 (B, L, d): they get the noise of level t of levels(), 0 to 999, and are
  /// sampled from there. The more noise, the less they keep (SDEdit: Meng et al., 2022).
  [[nodiscard]] Tensor<T> vary(const Tensor<T>& z0, std::int64_t t, const SamplerOptions& options,
                               Generator& generator, double guidance = 1.0,
                               const Watch& watch = {}) const {
    LDLM_CHECK_INDEX(t >= 0 && t < levels_.steps(), "vary", "t = ", t, " is outside [0, ",
                     levels_.steps(), ")");
    auto denoise = sampled_denoiser(z0.size(0), guidance, watch, "vary");
    std::vector<std::int64_t> timesteps = options.timesteps(diffusion_.schedule);
    const std::int64_t start = diffusion_.schedule.nearest(levels_.alpha_bar(t));
    std::erase_if(timesteps, [start](std::int64_t step) { return step >= start; });
    timesteps.insert(timesteps.begin(), start);
    const std::vector<double> level(static_cast<std::size_t>(z0.size(0)),
                                    diffusion_.schedule.alpha_bar(start));
    Tensor<T> zt = ldlm::add_noise(z0, randn_like(z0, generator), level);
    return detail::check_finite(
        denoise_from(std::move(zt), diffusion_.schedule, timesteps, denoise, options, generator),
        "vary");
  }

 private:
  /// The denoiser of `rows` latents for a sampler, which keeps its last estimate.
  [[nodiscard]] auto sampled_denoiser(std::int64_t rows, double guidance, const Watch& watch,
                                      std::string_view op) const {
    LDLM_CHECK(guidance >= 0.0 && std::isfinite(guidance), op,
               "guidance must not be negative, got ", guidance);
    LDLM_CHECK(guidance == 1.0 || denoiser_.config.self_conditioning, op,
               "guidance needs a denoiser that is self-conditioned");
    return [this, rows, guidance, watch, previous = Tensor<T>()](const Tensor<T>& zt,
                                                                 double alpha_bar) mutable {
      const std::vector<double> level(static_cast<std::size_t>(rows), alpha_bar);
      const bool guided = guidance != 1.0 && previous.defined();
      previous = estimate_x0(denoiser_, diffusion_, zt, level, previous);
      if (guided) {
        const Tensor<T> without = estimate_x0(denoiser_, diffusion_, zt, level);
        previous = add(without, mul(sub(previous, without), static_cast<ComputeType<T>>(guidance)));
      }
      if (watch) {
        watch(previous, alpha_bar);
      }
      return previous;
    };
  }
  [[nodiscard]] StopOptions stop() const {
    return {.max_new_tokens = config_.max_new_tokens, .end_tokens = {end_id_}};
  }
  [[nodiscard]] std::vector<std::string> detokenize_all(const TokenSequences& rows) const {
    std::vector<std::string> texts;
    for (const auto& ids : rows) {
      texts.push_back(detokenize(ids));
    }
    return texts;
  }

  // Tokens that a text may have.
  [[nodiscard]] std::int64_t capacity() const {
    return config_.latent == LatentKind::pooled ? config_.encoder.max_position_embeddings
                                                : config_.text_length() - 1;
  }

  LdlmConfig config_;
  LdlmTokenizers tokenizers_;
  Autoencoder<T> autoencoder_;
  ReverseTransformer<T> denoiser_;
  Diffusion diffusion_;
  NoiseSchedule levels_;
  std::int64_t end_id_ = 0;
};

}  // namespace ldlm
