// train autoencoder, denoiser, decoder: the stages of a model, in this order.

#include <ldlm/latent_diffusion/text_dataset.hpp>

#include "training_stage.hpp"

namespace ldlm::command {

namespace {

namespace fs = std::filesystem;

/// Which model `train autoencoder` makes: its shapes, and where its halves begin.
struct ModelArguments {
  std::string config = "tiny";
  std::string tokenizer, encoder, decoder;
  bool normalize = true;

  void add_to(CLI::App& command) {
    command.add_option("--config", config,
                       "tiny, tiny-slots, published, or a folder with ldlm.json and the parts' "
                       "config.json");
    command.add_option("--tokenizer", tokenizer,
                       "The tokenizer.json of both sides; by default those of their folders");
    command.add_option("--encoder", encoder, "Begin with the BERT of this folder");
    command.add_option("--decoder", decoder, "Begin with the GPT-2 of this folder");
    command.add_flag("!--no-normalization", normalize,
                     "Leave the latents' channels with the mean and deviation that they have");
  }
  [[nodiscard]] LdlmConfig shapes() const { return named_config(config); }
  [[nodiscard]] LdlmTokenizers tokenizers() const {
    if (!tokenizer.empty()) {
      const Tokenizer both = Tokenizer::from_file(tokenizer);
      return {both, both};
    }
    LDLM_CHECK(!encoder.empty() && !decoder.empty(), "train",
               "--tokenizer is needed, or --encoder and --decoder with tokenizers of their own");
    return {Tokenizer::from_folder(encoder), Tokenizer::from_folder(decoder)};
  }
};

/// The special tokens that training needs; pooled latents need no mask token.
SpecialIds special_ids(const LdlmConfig& config, const Tokenizer& tokenizer) {
  const auto named = tokenizer.special_tokens().mask;
  const auto mask = named ? named : tokenizer.token_to_id(mask_token);
  LDLM_CHECK(mask || config.latent == LatentKind::pooled, "train", "the tokenizer has no ",
             mask_token, "; make one with `ldlm train-tokenizer`");
  return {find_end_id(tokenizer, config.decoder, "train"), mask.value_or(0)};
}

TextDataset read_texts(const Common& common, const std::string& corpus, const LdlmConfig& config,
                       const LdlmTokenizers& tokenizers) {
  TextDataset data(config, tokenizers);
  read_sentences(common, corpus, data.length(),
                 [&](std::string_view sentence) { return data.add(sentence); });
  return data;
}

/// The texts of --valid, if it is given.
std::optional<TextDataset> read_valid(const Common& common, const TrainingArguments& arguments,
                                      const LdlmConfig& config, const LdlmTokenizers& tokenizers) {
  if (arguments.valid.empty()) {
    return {};
  }
  return read_texts(common, arguments.valid, config, tokenizers);
}

/// What tells one set of weights from another.
std::string fingerprint(const NamedTensors<float>& weights) {
  std::uint64_t hash = 0;
  for (const auto& [name, tensor] : weights) {
    const Tensor<float> values = tensor.to(cpu).contiguous();
    hash =
        ldlm::detail::mix(hash ^ ldlm::detail::hash_bytes(
                                     {reinterpret_cast<const char*>(values.data()),
                                      sizeof(float) * static_cast<std::size_t>(values.numel())}));
  }
  return std::to_string(hash);
}
/// The same of what makes a text's latent.
std::string latents_fingerprint(const Autoencoder<float>& model) {
  NamedTensors<float> weights;
  for (const auto& [name, tensor] : ldlm::state_dict(model)) {
    if (name.starts_with("encoder.") || name.starts_with("latent.compress.") ||
        name == "latent.mean" || name == "latent.deviation") {
      weights.emplace_back(name, tensor);
    }
  }
  return fingerprint(weights);
}

/// What the losses of all stages depend on: all but how texts are drawn.
JsonValue shapes_of(LdlmConfig config) {
  config.sampling = {};
  return JsonValue::object({{"configuration", config.to_json()},
                            {"encoder", config.encoder.to_json("BertModel")},
                            {"decoder", config.decoder.to_json()},
                            {"denoiser", config.denoiser.to_json()}});
}
void add_noise(JsonValue& context, const LdlmConfig& config, const AutoencoderNoise& noise) {
  context.set("encoder_mask_rows", noise.encoder_mask_rows);
  context.set("encoder_mask_rate", noise.encoder_mask_rate);
  context.set("decoder_mask_rows", noise.decoder_mask_rows);
  context.set("decoder_mask_rate", noise.decoder_mask_rate);
  context.set("clean_rows", noise.clean);
  context.set("wild_rows", noise.wild);
  context.set("dropped_rows", noise.dropped);
  context.set("mild_noise", noise.mild);
  context.set("strong_noise", noise.strong);
  if (noise.warmup > 0) {
    context.set("noise_warmup", noise.warmup);
  }
  if (config.details) {
    context.set("detail_batches", noise.details);
  }
  LDLM_CHECK(config.details || noise.details == AutoencoderNoise().details, "train",
             "--detail-batches has no effect: the model has no details");
}

/// Has the update remove the weights of a denoiser that was trained on other latents than those of
/// the autoencoder that it writes.
void remove_denoiser_of_other_latents(const Common& common, FolderUpdate& update,
                                      const Autoencoder<float>& model) {
  const fs::path& folder = update.folder();
  if (!fs::exists(folder / "ldlm.json") || !fs::exists(folder / "denoiser" / "model.safetensors")) {
    return;
  }
  bool same = false;
  try {
    same = latents_fingerprint(load_autoencoder<float>(folder, load_config(folder))) ==
           latents_fingerprint(model);
  } catch (const Error&) {  // what can't be read is not the same
  }
  if (!same) {
    SafetensorsWriter::remove_model(update, "denoiser");
    say(common, "the denoiser in " + folder.native() +
                    " was trained on other latents and is removed; train it again");
  }
}

/// Sets the latents' mean and deviation per channel to those over (part of) the training texts.
void fit_normalization(Autoencoder<float>& model, const TextDataset& data) {
  constexpr std::int64_t rows = 4096;
  constexpr std::int64_t batch = 64;
  const bool details = model.detail_length > 0;
  const auto reset = [](LatentMap<float>& map) {
    map.mean.fill_(0.0F);
    map.deviation.fill_(1.0F);
  };
  reset(model.map);
  if (details) {
    reset(model.detail_map);
  }
  std::vector<Tensor<float>> latents;
  for (std::int64_t i = 0; i < std::min(rows, data.size()); i += batch) {
    latents.push_back(encode_without_graph(model, data.rows(i, batch), details));
  }
  const Tensor<float> all = concat(latents, 0);
  const auto fit = [&](LatentMap<float>& map, std::int64_t begin, std::int64_t end) {
    const Tensor<float> part = all.slice(1, begin, end);
    map.mean.copy_(mean(part, {0, 1}));
    map.deviation.copy_(sqrt(var(part, {0, 1})));
  };
  const std::int64_t slots = all.size(1) - model.detail_length;
  fit(model.map, 0, slots);
  if (details) {
    fit(model.detail_map, slots, all.size(1));
  }
}

void train_autoencoder(const Common& common, const TrainingArguments& arguments,
                       const ModelArguments& parts, const AutoencoderNoise& noise) {
  const fs::path folder = arguments.out;
  const LdlmTokenizers tokenizers = parts.tokenizers();
  LdlmConfig config = parts.shapes();
  const SpecialIds special = special_ids(config, tokenizers.decoder);
  noise.validate();
  config.decoder.bos_token_id = special.end;
  config.decoder.eos_token_id = {special.end};
  const FolderLock lock = prepare_output(folder);
  Generator generator = common.generator();
  auto bert = parts.encoder.empty() ? Bert<float>(config.encoder, generator, false)
                                    : Bert<float>::from_pretrained(parts.encoder);
  auto gpt2 = parts.decoder.empty() ? Gpt2<float>(config.decoder, generator)
                                    : Gpt2<float>::from_pretrained(parts.decoder);
  config.encoder = bert.config;
  config.decoder = gpt2.config;
  config.validate();
  const bool pooled = config.latent == LatentKind::pooled;
  Autoencoder<float> model(config, std::move(bert), std::move(gpt2), generator);
  ldlm::set_requires_grad(model.encoder, !pooled);  // pooled latents are the encoder's own
  const TextDataset data = read_texts(common, arguments.corpus, config, tokenizers);
  const auto valid = read_valid(common, arguments, config, tokenizers);
  JsonValue context = shapes_of(config);
  add_noise(context, config, noise);
  if (run_stage(common, model, arguments, "autoencoder", data, valid, context,
                [&](const TextBatch& texts, Generator& g, std::int64_t step) {
                  return autoencoder_loss(model, texts, special, noise.at(step), g);
                })) {
    if (!pooled && parts.normalize) {
      fit_normalization(model, data);
    }
    FolderUpdate update(folder);
    remove_denoiser_of_other_latents(common, update, model);
    save_autoencoder(model, config, update);
    tokenizers.save(update);
    update.add("denoiser/config.json",
               [&config](const fs::path& path) { write_json(path, config.denoiser.to_json()); });
    update.commit();
  }
}

/// The diffusion at whose levels a stage trains: the model's, with its ratio of noise to signal
/// times `shift`.
Diffusion training_diffusion(const LdlmConfig& config, double shift) {
  LDLM_CHECK(shift == 1.0 || config.denoiser.time_conditioning == TimeConditioning::log_snr,
             "train",
             "--noise-shift needs a denoiser that is told the noise itself, and not the "
             "step of the schedule");
  ScheduleConfig schedule = config.schedule;
  schedule.shift *= shift;
  return {schedule.make(), config.prediction};
}

/// The latents of all texts, (N, L, d), encoded once.
struct LatentDataset {
  Tensor<float> latents;
  std::string texts;  // their fingerprint

  LatentDataset(const Common& common, const Autoencoder<float>& model, const TextDataset& data)
      : texts(data.fingerprint()) {
    constexpr std::int64_t batch = 256;
    const auto begin = std::chrono::steady_clock::now();
    for (std::int64_t i = 0; i < data.size(); i += batch) {
      const Tensor<float> part = encode_without_graph(model, data.rows(i, batch)).to(cpu);
      if (!latents.defined()) {
        latents = Tensor<float>::empty({data.size(), part.size(1), part.size(2)});
      }
      latents.slice(0, i, i + part.size(0)).copy_(part);
    }
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
    say(common, std::to_string(data.size()) + " latents (" + fixed(elapsed.count(), 1) + " s)");
  }

  [[nodiscard]] std::int64_t size() const { return latents.size(0); }
  [[nodiscard]] std::vector<std::int64_t> lengths() const { return {}; }
  [[nodiscard]] std::string fingerprint() const { return texts; }
  [[nodiscard]] Tensor<float> rows(const Tensor<std::int64_t>& indices) const {
    return index_select(latents, 0, indices);
  }
};

/// What is peculiar to the denoiser's stage.
struct DenoiserArguments {
  std::string from, levels = "schedule";
  double noise_shift = 1.0, self_conditioning = usual_self_conditioning;
  bool cache = false;
};

/// A denoiser, and the curve of its loss if levels are drawn by that, which its checkpoints hold.
struct DenoiserInTraining {
  using value_type = float;
  ReverseTransformer<float> denoiser;
  std::optional<LossCurve<float>> curve;

  template <class V>
  void visit(V&& v) {
    denoiser.visit(v);
    if (curve) {
      v.buffer("loss_curve", curve->loss);
    }
  }
};

void train_denoiser(const Common& common, const TrainingArguments& arguments,
                    const DenoiserArguments& own) {
  const fs::path folder = arguments.out;
  const FolderLock lock = prepare_output(folder);
  finish_update(folder);
  const LdlmConfig config = load_config(folder);
  const Diffusion diffusion = training_diffusion(config, own.noise_shift);
  LDLM_CHECK(own.self_conditioning == usual_self_conditioning || config.denoiser.self_conditioning,
             "train", "--self-conditioning has no effect: the denoiser reads no estimate");
  Autoencoder<float> autoencoder = load_autoencoder<float>(folder, config);
  Generator generator = common.generator();
  const fs::path part = fs::path(own.from) / "denoiser";
  DenoiserInTraining model{
      .denoiser = own.from.empty() ? ReverseTransformer<float>(config.denoiser, generator)
                                   : ReverseTransformer<float>::from_pretrained(
                                         fs::is_directory(part) ? part : fs::path(own.from)),
      .curve = {}};
  LDLM_CHECK(model.denoiser.config.to_json() == config.denoiser.to_json(), "train", own.from,
             " holds a denoiser of another configuration than ", folder.native());
  const LdlmTokenizers tokenizers = LdlmTokenizers::load(folder);
  const TextDataset data = read_texts(common, arguments.corpus, config, tokenizers);
  const auto valid = read_valid(common, arguments, config, tokenizers);
  JsonValue context = shapes_of(config);
  context.set("latents", latents_fingerprint(autoencoder));
  ldlm::to(autoencoder, common.device());
  context.set("noise_shift", own.noise_shift);
  context.set("self_conditioning", own.self_conditioning);
  if (own.levels == "slope") {
    LDLM_CHECK(config.prediction == Prediction::x0, "train",
               "--levels slope needs a denoiser that predicts x0");
    model.curve.emplace(diffusion.schedule);
    context.set("levels", own.levels);
  }
  const auto loss = [&](const Tensor<float>& latents, Generator& g) {
    // Another text is measured at the schedule's levels, whatever is trained on.
    const bool by_curve = model.curve && grad_enabled();
    return denoiser_loss(model.denoiser, diffusion, latents.to(common.device()), g,
                         own.self_conditioning, by_curve ? &*model.curve : nullptr);
  };
  const auto loss_of_texts = [&](const TextBatch& texts, Generator& g) {
    return loss(encode_without_graph(autoencoder, texts), g);
  };
  const auto latents_of = [&](const TextDataset& texts) {
    return LatentDataset(common, autoencoder, texts);
  };
  if (own.cache
          ? run_stage(common, model, arguments, "denoiser", latents_of(data),
                      valid ? std::optional(latents_of(*valid)) : std::nullopt, context, loss)
          : run_stage(common, model, arguments, "denoiser", data, valid, context, loss_of_texts)) {
    FolderUpdate update(folder);
    save_denoiser(model.denoiser, update);
    update.commit();
  }
}

/// Tunes the decoder on what the denoiser makes of noised latents, so that it forgives its errors.
void tune_decoder(const Common& common, const TrainingArguments& arguments,
                  const AutoencoderNoise& noise, double noise_shift) {
  const fs::path folder = arguments.out;
  noise.validate();
  const FolderLock lock = prepare_output(folder);
  finish_update(folder);
  const LdlmConfig config = load_config(folder);
  const LdlmTokenizers tokenizers = LdlmTokenizers::load(folder);
  const SpecialIds special = special_ids(config, tokenizers.decoder);
  const Diffusion diffusion = training_diffusion(config, noise_shift);
  Autoencoder<float> model = load_autoencoder<float>(folder, config);
  auto denoiser = ReverseTransformer<float>::from_pretrained(folder / "denoiser");
  ldlm::set_requires_grad(model.encoder, false);
  ldlm::set_requires_grad(model.map.compress, false);
  if (config.details) {
    ldlm::set_requires_grad(model.detail_map.compress, false);
  }
  const TextDataset data = read_texts(common, arguments.corpus, config, tokenizers);
  const auto valid = read_valid(common, arguments, config, tokenizers);
  JsonValue context = shapes_of(config);
  add_noise(context, config, noise);
  context.set("latents", latents_fingerprint(model));
  context.set("denoiser weights", fingerprint(ldlm::state_dict(denoiser)));
  ldlm::to(denoiser, common.device());
  context.set("noise_shift", noise_shift);
  if (run_stage(common, model, arguments, "decoder", data, valid, context,
                [&](const TextBatch& texts, Generator& g) {
                  if (draw_details(model, noise, g)) {
                    return detailed_loss(model, texts, special, noise, g);
                  }
                  const auto latents = denoise_at_random_levels(
                      denoiser, diffusion, encode_without_graph(model, texts), g);
                  return decoder_loss(model, Variable<float>(latents.estimates), latents.alpha_bars,
                                      texts.targets, special, noise, g);
                })) {
    FolderUpdate update(folder);
    save_autoencoder(model, config, update);
    update.commit();
  }
}

/// Trains all parts of a model together, so that its latents become ones that can be denoised.
void train_joint(const Common& common, const TrainingArguments& arguments,
                 const AutoencoderNoise& noise, double noise_shift) {
  const fs::path folder = arguments.out;
  noise.validate();
  const FolderLock lock = prepare_output(folder);
  finish_update(folder);
  const LdlmConfig config = load_config(folder);
  LDLM_CHECK(config.latent != LatentKind::pooled && config.prediction == Prediction::x0, "train",
             "all parts can train together where latents are of kind \"sequence\" or \"slots\" and "
             "the denoiser predicts x0");
  LDLM_CHECK(!config.details, "train",
             "a model with details would lose them if all its parts trained together");
  const LdlmTokenizers tokenizers = LdlmTokenizers::load(folder);
  const SpecialIds special = special_ids(config, tokenizers.decoder);
  const Diffusion diffusion = training_diffusion(config, noise_shift);
  JointModel<float> model{load_autoencoder<float>(folder, config),
                          ReverseTransformer<float>::from_pretrained(folder / "denoiser")};
  const TextDataset data = read_texts(common, arguments.corpus, config, tokenizers);
  const auto valid = read_valid(common, arguments, config, tokenizers);
  JsonValue context = shapes_of(config);
  add_noise(context, config, noise);
  context.set("noise_shift", noise_shift);
  if (run_stage(common, model, arguments, "joint", data, valid, context,
                [&](const TextBatch& texts, Generator& g) {
                  return joint_loss(model.autoencoder, model.denoiser, diffusion, texts, special,
                                    noise, g);
                })) {
    fit_normalization(model.autoencoder, data);
    FolderUpdate update(folder);
    save_autoencoder(model.autoencoder, config, update);
    save_denoiser(model.denoiser, update);
    update.commit();
  }
}

void add_decoder_noise(CLI::App& command, AutoencoderNoise& noise) {
  command
      .add_option("--decoder-mask-rows", noise.decoder_mask_rows,
                  "Share of rows whose previous tokens are masked")
      ->check(share);
  command
      .add_option("--decoder-mask-rate", noise.decoder_mask_rate,
                  "Largest share of tokens masked in such a row")
      ->check(share);
}

void add_detail_batches(CLI::App& command, AutoencoderNoise& noise) {
  command
      .add_option("--detail-batches", noise.details,
                  "Share of batches that are decoded with details, of a model that has them")
      ->check(share);
}

void add_noise_shift(CLI::App& command, double& shift) {
  command
      .add_option("--noise-shift", shift,
                  "Factor on the schedule's ratio of noise to signal while training")
      ->check(CLI::Range(0.01, 100.0));
}

}  // namespace

void add_training_commands(CLI::App& app, Common& common) {
  CLI::App* const parent = app.add_subcommand("train", "Train a stage of the model.");
  parent->require_subcommand(1);
  parent->footer("Example:\n  ldlm train autoencoder --help");
  parent->fallthrough();
  {
    const auto parts = std::make_shared<ModelArguments>();
    const auto noise = std::make_shared<AutoencoderNoise>();
    CLI::App* const command = add_stage(
        *parent, "autoencoder", "Train encoder, latent and decoder together.",
        "ldlm train autoencoder --corpus wiki.train.txt --tokenizer tokenizer.json --out runs/tiny",
        [&common, parts, noise](const TrainingArguments& arguments) {
          train_autoencoder(common, arguments, *parts, *noise);
        });
    parts->add_to(*command);
    for (const auto& [name, value, what] : {
             std::tuple{"--encoder-mask-rows", &noise->encoder_mask_rows,
                        "Share of rows whose input is masked"},
             {"--encoder-mask-rate", &noise->encoder_mask_rate,
              "Largest share of tokens masked in such a row"},
             {"--clean-rows", &noise->clean, "Share of rows without noise"},
             {"--wild-rows", &noise->wild, "Share of rows with stronger noise"},
             {"--dropped-rows", &noise->dropped,
              "Share of rows of which nothing but noise is left"},
         }) {
      command->add_option(name, *value, what)->check(share);
    }
    command->add_option("--mild-noise", noise->mild, "Largest noise of most rows");
    command->add_option("--strong-noise", noise->strong, "Largest of the stronger noise");
    command
        ->add_option("--noise-warmup", noise->warmup,
                     "Steps in which the stronger noise grows from the mild one")
        ->check(CLI::NonNegativeNumber);
    add_detail_batches(*command, *noise);
    add_decoder_noise(*command, *noise);
  }
  {
    const auto own = std::make_shared<DenoiserArguments>();
    CLI::App* const command = add_stage(
        *parent, "denoiser", "Train the Reverse Transformer on the latents of a model's folder.",
        "ldlm train denoiser --corpus wiki.train.txt --out runs/tiny --steps 50000",
        [&common, own](const TrainingArguments& arguments) {
          train_denoiser(common, arguments, *own);
        });
    command->add_option("--from", own->from,
                        "Begin with the denoiser of this model, or in this folder");
    command
        ->add_option("--self-conditioning", own->self_conditioning,
                     "Share of rows that are given the denoiser's own estimate")
        ->check(share);
    command->add_flag("--cache-latents", own->cache,
                      "Encode all texts once, at the start: faster, and takes memory for them");
    command
        ->add_option("--levels", own->levels,
                     "The noise levels: schedule, or slope, by where the loss rises with the noise")
        ->check(CLI::IsMember({"schedule", "slope"}));
    add_noise_shift(*command, own->noise_shift);
  }
  {
    const auto noise = std::make_shared<AutoencoderNoise>();
    const auto shift = std::make_shared<double>(1.0);
    CLI::App* const command =
        add_stage(*parent, "decoder", "Tune a model's decoder on its denoiser's estimates.",
                  "ldlm train decoder --corpus wiki.train.txt --out runs/tiny --steps 5000",
                  [&common, noise, shift](const TrainingArguments& arguments) {
                    tune_decoder(common, arguments, *noise, *shift);
                  });
    add_decoder_noise(*command, *noise);
    add_detail_batches(*command, *noise);
    add_noise_shift(*command, *shift);
  }
  {
    const auto noise = std::make_shared<AutoencoderNoise>();
    const auto shift = std::make_shared<double>(1.0);
    CLI::App* const command =
        add_stage(*parent, "joint", "Train all parts of a model on, together.",
                  "ldlm train joint --corpus wiki.train.txt --out runs/tiny --steps 5000",
                  [&common, noise, shift](const TrainingArguments& arguments) {
                    train_joint(common, arguments, *noise, *shift);
                  });
    add_decoder_noise(*command, *noise);
    add_noise_shift(*command, *shift);
  }
}

}  // namespace ldlm::command
