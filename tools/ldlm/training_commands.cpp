// The stages of training, each a command of its own and each resumable.

#include <chrono>
#include <filesystem>
#include <fstream>

#include <ldlm/ldlm/dataset.hpp>
#include <ldlm/ldlm/pipeline.hpp>
#include <ldlm/ldlm/trainer.hpp>
#include <ldlm/text/corpus.hpp>
#include <ldlm/text/tokenizer_trainer.hpp>

#include "command.hpp"
#include "sentences.hpp"

namespace ldlm::command {

namespace {

namespace fs = std::filesystem;

/// Options of every training stage.
struct TrainingArguments {
  std::string corpus;
  std::string tokenizer;
  std::string config = "tiny";
  std::string out;
  std::string checkpoints;
  TrainOptions train;

  void add_to(CLI::App& command) {
    command.add_option("--corpus", corpus, "The training text: WikiText's layout or a text a line")
        ->required();
    command.add_option("--out", out, "The folder to write the result to")->required();
    command.add_option("--checkpoints", checkpoints,
                       "The folder of the checkpoints; by default <out>.checkpoints/<stage>");
    command.add_option("--steps", train.steps, "Optimiser steps in all")
        ->check(CLI::PositiveNumber);
    command.add_option("--batch-size", train.batch_size, "Sentences a step")
        ->check(CLI::PositiveNumber);
    command.add_option("--learning-rate", train.learning_rate, "Peak learning rate of AdamW")
        ->check(CLI::NonNegativeNumber);
    command.add_option("--warmup", train.warmup, "Steps of linear warm-up")
        ->check(CLI::NonNegativeNumber);
    command.add_option("--weight-decay", train.weight_decay, "Weight decay of matrices")
        ->check(CLI::NonNegativeNumber);
    command.add_option("--ema", train.ema_decay, "Decay of the averaged weights; 0: none")
        ->check(CLI::Range(0.0, 0.999999));
    command.add_option("--checkpoint-every", train.checkpoint_every, "Steps between checkpoints")
        ->check(CLI::PositiveNumber);
    command.add_option("--report-every", train.report_every, "Steps between reports")
        ->check(CLI::PositiveNumber);
  }
  void add_model_options(CLI::App& command) {
    command.add_option("--tokenizer", tokenizer, "The tokenizer.json")->required();
    command.add_option("--config", config,
                       "tiny, seed, or a folder with ldlm.json and the parts' config.json");
  }
  /// The options of the loop, once the command line is read.
  [[nodiscard]] TrainOptions options(const Common& common, const std::string& stage) const {
    TrainOptions out_options = train;
    out_options.seed = common.seed;
    out_options.folder =
        checkpoints.empty() ? fs::path(out + ".checkpoints") / stage : fs::path(checkpoints);
    return out_options;
  }
  [[nodiscard]] LdlmConfig model_config() const {
    if (config == "tiny") {
      return LdlmConfig::tiny();
    }
    return config == "seed" ? LdlmConfig::seed() : load_config(config);
  }
};

/// Makes the folder that a stage will write to, so that a mistake shows before hours of work.
void prepare_output(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  LDLM_CHECK(!error, "train", folder.native(), ": ", error.message());
  const fs::path probe = folder / ".ldlm-can-write";
  LDLM_CHECK(std::ofstream(probe).put('.').flush().good(), "train", folder.native(),
             ": cannot be written to");
  fs::remove(probe, error);
}

/// Ids of a tokenizer's special tokens.
SpecialIds special_ids(const Tokenizer& tokenizer) {
  const auto end = tokenizer.token_to_id(end_token);
  const auto mask = tokenizer.token_to_id(mask_token);
  LDLM_CHECK(end && mask, "train", "the tokenizer has no ", end_token, " or no ", mask_token,
             "; make one with `ldlm train-tokenizer`");
  return {*end, *mask};
}

/// Reads the sentences that fit `length` tokens, the end token included.
Dataset read_dataset(const Common& common, const std::string& corpus, const Tokenizer& tokenizer,
                     std::int64_t length) {
  const auto begin = std::chrono::steady_clock::now();
  Dataset data(length, static_cast<std::int32_t>(special_ids(tokenizer).end));
  std::int64_t sentences = 0;
  for_each_training_sentence(corpus, [&](std::string_view sentence) {
    ++sentences;
    const auto ids = tokenizer.encode_ids(sentence);
    if (static_cast<std::int64_t>(ids.size()) < length) {
      data.add(ids);
    }
  });
  LDLM_CHECK(data.size() > 0, "train", corpus, ": no sentence fits ", length, " tokens");
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  say(common, std::to_string(data.size()) + " of " + std::to_string(sentences) + " sentences fit " +
                  std::to_string(length) + " tokens (" + fixed(elapsed.count(), 1) + " s)");
  return data;
}

/// Runs a stage to its end, or to Ctrl-C; reports on the terminal and to <folder>/log.jsonl.
/// `loss(rows, generator)` is the loss of rows (B, length) of the data. False if interrupted.
template <class Model, class Loss>
bool run_stage(const Common& common, Model& model, const TrainOptions& options, const Dataset& data,
               Loss&& loss) {
  Trainer trainer(model, options);
  say(common, std::to_string(nn::num_parameters(model)) + " parameters, " +
                  std::to_string(options.steps) + " steps" +
                  (trainer.step() > 0 ? ", resumed at " + std::to_string(trainer.step()) : ""));
  BatchOrder order(data.size(), options.batch_size, options.seed);
  fs::create_directories(options.folder);
  std::ofstream log(options.folder / "log.jsonl", std::ios::app);
  LDLM_CHECK(log.is_open(), "train", (options.folder / "log.jsonl").native(),
             ": cannot be written");
  catch_interrupts();
  {
    ProgressLine line(common);
    const auto begin = std::chrono::steady_clock::now();
    trainer.run([&](std::int64_t step,
                    Generator& generator) { return loss(data.rows(order.batch(step)), generator); },
                [&](const TrainProgress& p) {
                  const std::chrono::duration<double> seconds =
                      std::chrono::steady_clock::now() - begin;
                  log << to_string(JsonValue::object({{"step", p.step},
                                                      {"loss", p.loss},
                                                      {"grad_norm", p.grad_norm},
                                                      {"learning_rate", p.learning_rate},
                                                      {"rows_per_second", p.rows_per_second},
                                                      {"seconds", seconds.count()}}))
                      << std::endl;
                  const double left = static_cast<double>(p.steps - p.step) *
                                      static_cast<double>(options.batch_size) / p.rows_per_second;
                  line.show("step " + std::to_string(p.step) + '/' + std::to_string(p.steps) +
                            "  loss " + fixed(p.loss, 4) + "  " + fixed(p.rows_per_second, 0) +
                            " sentences/s  " + fixed(left / 60.0, 0) + " min left");
                },
                interrupted);
  }
  if (trainer.step() < options.steps) {
    say(common, "interrupted at step " + std::to_string(trainer.step()) +
                    "; run the same command to go on");
    return false;
  }
  trainer.finish();
  return true;
}

/// The model's own tokenizers beside its weights: one for both sides.
void save_tokenizers(const Tokenizer& tokenizer, const fs::path& folder) {
  tokenizer.save(folder / "encoder_tokenizer.json");
  tokenizer.save(folder / "decoder_tokenizer.json");
}

void train_tokenizer(const Common& common, const std::string& corpus, const std::string& out,
                     std::size_t vocab_size) {
  text::BpeTrainerOptions options;
  options.vocab_size = vocab_size;
  options.special_tokens = {end_token, mask_token};
  options.add_prefix_space = true;
  text::BpeTrainer trainer(options);
  for_each_training_sentence(corpus, [&](std::string_view sentence) { trainer.add(sentence); });
  const Tokenizer tokenizer = trainer.train();
  tokenizer.save(out);
  say(common, out + ": " + std::to_string(tokenizer.vocab_size()) + " pieces from " +
                  std::to_string(trainer.distinct_words()) + " different words");
}

void pretrain_encoder(const Common& common, const TrainingArguments& arguments) {
  prepare_output(arguments.out);
  const auto tokenizer = Tokenizer::from_file(arguments.tokenizer);
  const SpecialIds special = special_ids(tokenizer);
  const LdlmConfig config = arguments.model_config();
  const Dataset data = read_dataset(common, arguments.corpus, tokenizer, config.latent_length);
  Generator generator = common.generator();
  BertForMaskedLM<float> model(config.encoder, generator);
  if (run_stage(common, model, arguments.options(common, "encoder"), data,
                [&](const Tensor<std::int64_t>& ids, Generator& g) {
                  return masked_lm_loss(model, ids, special, g);
                })) {
    model.save_pretrained(arguments.out);
    tokenizer.save(fs::path(arguments.out) / "tokenizer.json");
  }
}

void pretrain_decoder(const Common& common, const TrainingArguments& arguments) {
  prepare_output(arguments.out);
  const auto tokenizer = Tokenizer::from_file(arguments.tokenizer);
  const SpecialIds special = special_ids(tokenizer);
  const LdlmConfig config = arguments.model_config();
  const Dataset data = read_dataset(common, arguments.corpus, tokenizer, config.latent_length);
  Generator generator = common.generator();
  Gpt2<float> model(config.decoder, generator);
  if (run_stage(common, model, arguments.options(common, "decoder"), data,
                [&](const Tensor<std::int64_t>& ids, Generator&) {
                  return causal_lm_loss(model, ids, special.end);
                })) {
    model.save_pretrained(arguments.out);
    tokenizer.save(fs::path(arguments.out) / "tokenizer.json");
  }
}

/// Sets the latents' mean and deviation per channel to those over (part of) the training texts.
void fit_normalization(Autoencoder<float>& model, const Dataset& data) {
  const NoGrad no_grad;
  constexpr std::int64_t rows = 4096;
  constexpr std::int64_t batch = 64;
  model.map.mean.fill_(0.0F);
  model.map.deviation.fill_(1.0F);
  std::vector<Tensor<float>> latents;
  for (std::int64_t i = 0; i < std::min(rows, data.size()); i += batch) {
    latents.push_back(model.encode({.ids = data.rows(i, batch)}).value());
  }
  const Tensor<float> all = concat(latents, 0);
  model.map.mean.copy_(mean(all, {0, 1}));
  model.map.deviation.copy_(sqrt(var(all, {0, 1})));
}

void train_autoencoder(const Common& common, const TrainingArguments& arguments,
                       const std::string& encoder, const std::string& decoder,
                       const AutoencoderNoise& noise) {
  const auto tokenizer = Tokenizer::from_file(arguments.tokenizer);
  const SpecialIds special = special_ids(tokenizer);
  LdlmConfig config = arguments.model_config();
  prepare_output(fs::path(arguments.out) / "denoiser");
  LDLM_CHECK(config.latent == LatentKind::sequence, "train",
             "this command trains sequence latents; a pooled latent is the encoder's own");
  Generator generator = common.generator();
  auto bert = encoder.empty() ? Bert<float>(config.encoder, generator, false)
                              : Bert<float>::from_pretrained(encoder);
  auto gpt2 = decoder.empty() ? Gpt2<float>(config.decoder, generator)
                              : Gpt2<float>::from_pretrained(decoder);
  config.encoder = bert.config;
  config.decoder = gpt2.config;
  config.validate();
  Autoencoder<float> model(config, std::move(bert), std::move(gpt2), generator);
  const Dataset data = read_dataset(common, arguments.corpus, tokenizer, config.latent_length);
  if (run_stage(common, model, arguments.options(common, "autoencoder"), data,
                [&](const Tensor<std::int64_t>& ids, Generator& g) {
                  return autoencoder_loss(model, ids, special, noise, g);
                })) {
    fit_normalization(model, data);
    save_autoencoder(model, config, arguments.out);
    save_tokenizers(tokenizer, arguments.out);
    write_json(fs::path(arguments.out) / "denoiser" / "config.json", config.denoiser.to_json());
  }
}

void train_denoiser(const Common& common, const TrainingArguments& arguments) {
  prepare_output(arguments.out);
  const fs::path folder = arguments.out;
  const LdlmConfig config = load_config(folder);
  const auto tokenizer = Tokenizer::from_file(folder / "encoder_tokenizer.json");
  const Autoencoder<float> autoencoder = load_autoencoder<float>(folder, config);
  const NoiseSchedule schedule = config.schedule.make();
  Generator generator = common.generator();
  ReverseTransformer<float> model(config.denoiser, generator);
  const Dataset data = read_dataset(common, arguments.corpus, tokenizer, config.latent_length);
  const DenoiserSetup<float> setup{model, schedule, config.prediction};
  if (run_stage(common, model, arguments.options(common, "denoiser"), data,
                [&](const Tensor<std::int64_t>& ids, Generator& g) {
                  const Tensor<float> latents = [&] {
                    const NoGrad no_grad;
                    return autoencoder.encode({.ids = ids}).value();
                  }();
                  return denoiser_loss(setup, latents, g);
                })) {
    save_denoiser(model, folder);
  }
}

/// Tunes the decoder on what the denoiser makes of noised latents, so that it forgives its errors.
void tune_decoder(const Common& common, const TrainingArguments& arguments,
                  const AutoencoderNoise& noise) {
  const fs::path folder = arguments.out;
  const LdlmConfig config = load_config(folder);
  const auto tokenizer = Tokenizer::from_file(folder / "encoder_tokenizer.json");
  const SpecialIds special = special_ids(tokenizer);
  Autoencoder<float> model = load_autoencoder<float>(folder, config);
  const auto denoiser = ReverseTransformer<float>::from_pretrained(folder / "denoiser");
  const NoiseSchedule schedule = config.schedule.make();
  const DenoiserSetup<float> setup{denoiser, schedule, config.prediction};
  nn::set_requires_grad(model.encoder, false);
  nn::set_requires_grad(model.map.compress, false);
  const Dataset data = read_dataset(common, arguments.corpus, tokenizer, config.latent_length);
  if (run_stage(common, model, arguments.options(common, "decoder"), data,
                [&](const Tensor<std::int64_t>& ids, Generator& g) {
                  std::vector<double> levels;
                  const Tensor<float> latents = denoised_latents(model, setup, ids, levels, g);
                  return decoder_loss(model, Variable<float>(latents), levels, ids, special, noise,
                                      g);
                })) {
    save_autoencoder(model, config, folder);
  }
}

}  // namespace

void add_training_commands(CLI::App& app, Common& common) {
  {
    struct Arguments {
      std::string corpus, out;
      std::size_t vocab_size = 8192;
    };
    const auto arguments = std::make_shared<Arguments>();
    CLI::App* const command = add_subcommand(
        app, "train-tokenizer", "Learn a byte-level BPE tokenizer from a text.",
        "ldlm train-tokenizer --corpus wiki.train.txt --out tokenizer.json", [&common, arguments] {
          train_tokenizer(common, arguments->corpus, arguments->out, arguments->vocab_size);
        });
    command->add_option("--corpus", arguments->corpus, "The text")->required();
    command->add_option("--out", arguments->out, "The tokenizer.json to write")->required();
    command->add_option("--vocab-size", arguments->vocab_size, "Number of pieces");
  }

  CLI::App* const pretrain =
      app.add_subcommand("pretrain", "Train one half of the autoencoder on its own.");
  pretrain->require_subcommand(1);
  pretrain->footer("Example:\n  ldlm pretrain encoder --help");
  pretrain->fallthrough();
  CLI::App* const train = app.add_subcommand("train", "Train a stage of the model.");
  train->require_subcommand(1);
  train->footer("Example:\n  ldlm train autoencoder --help");
  train->fallthrough();

  const auto add_stage = [&](CLI::App& parent, const std::string& name,
                             const std::string& description, const std::string& example,
                             auto action) {
    const auto arguments = std::make_shared<TrainingArguments>();
    CLI::App* const command = add_subcommand(parent, name, description, example,
                                             [arguments, action] { action(*arguments); });
    arguments->add_to(*command);
    return std::pair(command, arguments);
  };
  const std::string corpus = " --corpus wiki.train.txt --tokenizer tokenizer.json";

  const auto [encoder, encoder_arguments] =
      add_stage(*pretrain, "encoder", "Train a BERT as a masked language model.",
                "ldlm pretrain encoder" + corpus + " --out runs/encoder",
                [&common](const TrainingArguments& a) { pretrain_encoder(common, a); });
  encoder_arguments->add_model_options(*encoder);

  const auto [decoder, decoder_arguments] =
      add_stage(*pretrain, "decoder", "Train a GPT-2 as a causal language model.",
                "ldlm pretrain decoder" + corpus + " --out runs/decoder",
                [&common](const TrainingArguments& a) { pretrain_decoder(common, a); });
  decoder_arguments->add_model_options(*decoder);

  struct AutoencoderArguments {
    std::string encoder, decoder;
    AutoencoderNoise noise;
  };
  const auto extra = std::make_shared<AutoencoderArguments>();
  const auto add_noise_options = [](CLI::App& command, AutoencoderNoise& noise) {
    command.add_option("--decoder-mask-rows", noise.decoder_mask_rows,
                       "Share of rows whose previous tokens are masked");
    command.add_option("--decoder-mask-rate", noise.decoder_mask_rate,
                       "Largest share of tokens masked in such a row");
  };
  const auto [autoencoder, autoencoder_arguments] =
      add_stage(*train, "autoencoder", "Train encoder, latent and decoder together.",
                "ldlm train autoencoder" + corpus + " --out runs/tiny",
                [&common, extra](const TrainingArguments& a) {
                  train_autoencoder(common, a, extra->encoder, extra->decoder, extra->noise);
                });
  autoencoder_arguments->add_model_options(*autoencoder);
  autoencoder->add_option("--encoder", extra->encoder, "Begin with the BERT of this folder");
  autoencoder->add_option("--decoder", extra->decoder, "Begin with the GPT-2 of this folder");
  autoencoder->add_option("--encoder-mask-rows", extra->noise.encoder_mask_rows,
                          "Share of rows whose input is masked");
  autoencoder->add_option("--encoder-mask-rate", extra->noise.encoder_mask_rate,
                          "Largest share of tokens masked in such a row");
  autoencoder->add_option("--clean-rows", extra->noise.clean, "Share of rows without noise");
  autoencoder->add_option("--mild-noise", extra->noise.mild, "Largest noise of most rows");
  autoencoder->add_option("--wild-rows", extra->noise.wild, "Share of rows with stronger noise");
  add_noise_options(*autoencoder, extra->noise);

  add_stage(*train, "denoiser", "Train the Reverse Transformer on the latents of a model's folder.",
            "ldlm train denoiser --corpus wiki.train.txt --out runs/tiny --steps 50000",
            [&common](const TrainingArguments& a) { train_denoiser(common, a); });

  const auto tuning = std::make_shared<AutoencoderNoise>();
  const auto [tune, tune_arguments] = add_stage(
      *train, "decoder", "Tune a model's decoder on its denoiser's estimates.",
      "ldlm train decoder --corpus wiki.train.txt --out runs/tiny --steps 5000",
      [&common, tuning](const TrainingArguments& a) { tune_decoder(common, a, *tuning); });
  add_noise_options(*tune, *tuning);
}

}  // namespace ldlm::command
