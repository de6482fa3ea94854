#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <unistd.h>

#include <ldlm/latent_diffusion/evaluation.hpp>
#include <ldlm/latent_diffusion/infilling.hpp>
#include <ldlm/optim/adam.hpp>
#include <ldlm/train/trainer.hpp>

#include "io_support.hpp"
#include "ldlm_support.hpp"

using namespace ldlm;
using ldlm_test::small_model;
using ldlm_test::small_texts;

namespace {

// A model that knows the eight small texts by heart, trained once for all tests of this file.
const Ldlm<float>& trained_model() {
  static const Ldlm<float> model = [] {
    const Tokenizer tokenizer = ldlm_test::small_tokenizer();
    const LdlmConfig config =
        ldlm_test::small_config(static_cast<std::int64_t>(tokenizer.id_bound()));
    const Dataset data = ldlm_test::small_dataset(tokenizer, config.latent_length);
    Generator generator(1);
    Autoencoder<float> autoencoder(config, generator);
    TrainOptions options;
    options.steps = 500;
    options.batch_size = data.size();
    options.warmup = 20;
    const auto optimizer_of = [](const auto& part) {
      return ldlm::AdamW(ldlm::trainable_parameters(part),
                         {.learning_rate = 1e-2, .beta2 = 0.98, .weight_decay = 0});
    };
    const SpecialIds special{*tokenizer.token_to_id(end_token), *tokenizer.token_to_id(mask_token)};
    AutoencoderNoise noise;
    noise.encoder_mask_rows = noise.decoder_mask_rows = noise.wild = 0.0;
    noise.mild = 0.2;
    Trainer(autoencoder, optimizer_of(autoencoder), options).run([&](std::int64_t, Generator& g) {
      return autoencoder_loss(autoencoder, data.rows(0, data.size()), special, noise, g);
    });
    ReverseTransformer<float> denoiser(config.denoiser, generator);
    const Diffusion diffusion{config.schedule.make(), config.prediction};
    const Tensor<float> latents = autoencoder.encode({.ids = data.rows(0, data.size())}).value();
    Trainer(denoiser, optimizer_of(denoiser), options).run([&](std::int64_t, Generator& g) {
      return denoiser_loss(denoiser, diffusion, latents, g);
    });
    return Ldlm<float>(config, {tokenizer, tokenizer}, autoencoder, denoiser);
  }();
  return model;
}

}  // namespace

TEST_CASE("texts go through the latent and come back") {
  const Ldlm<float>& model = trained_model();
  const Tensor<float> z = model.encode(small_texts());
  CHECK(z.shape() == Shape{8, 14, 8});
  CHECK(model.decode(z, {.num_beams = 1}) == small_texts());
  CHECK(model.decode(z, {.num_beams = 4}) == small_texts());
}

TEST_CASE("a denoised latent is nearer to the clean one than the noisy latent is") {
  const Ldlm<float>& model = trained_model();
  const Tensor<float> z = model.encode(small_texts());
  Generator generator(2);
  const Tensor<float> noisy = model.add_noise(z, 500, generator);
  const Tensor<float> estimate = model.denoise(noisy, 500);
  CHECK(estimate.shape() == z.shape());
  const double before = ldlm::estimate(mean_squared_errors(noisy, z)).mean;
  CHECK(ldlm::estimate(mean_squared_errors(estimate, z)).mean < 0.9 * before);
}

TEST_CASE("samples from pure noise are texts that it knows") {
  const Ldlm<float>& model = trained_model();
  Generator generator(3);
  const Tensor<float> z = model.sample(6, {.steps = 30}, generator);
  CHECK(z.shape() == Shape{6, 14, 8});
  int known = 0;
  for (const std::string& text : model.decode(z, {.num_beams = 1})) {
    known += std::count(small_texts().begin(), small_texts().end(), text) > 0 ? 1 : 0;
  }
  CHECK(known >= 4);
}

TEST_CASE("variations are sampled from a level of noise on, and keep more at lower ones") {
  const Ldlm<float>& model = trained_model();
  const Tensor<float> z = model.encode(small_texts());
  const auto distance = [&](std::int64_t t) {
    Generator generator(5);
    const Tensor<float> varied = model.vary(z, t, {.steps = 30}, generator);
    REQUIRE(varied.shape() == z.shape());
    return ldlm::estimate(mean_squared_errors(varied, z)).mean;
  };
  CHECK(distance(50) < 0.9 * distance(999));

  // Two steps by the formula of DDIM: from level 850 to the one that is left of three.
  const SamplerOptions options{.kind = SamplerKind::ddim, .steps = 3};
  Generator drawn(5);
  const Tensor<float> varied = model.vary(z, 850, options, drawn);
  const std::int64_t first = model.schedule().nearest(model.levels().alpha_bar(850));
  const std::int64_t second = options.timesteps(model.schedule()).back();
  REQUIRE(options.timesteps(model.schedule())[1] >= first);
  REQUIRE(second < first);
  const Diffusion diffusion{model.schedule(), model.config().prediction};
  const std::vector<double> from(8, model.schedule().alpha_bar(first));
  const std::vector<double> to(8, model.schedule().alpha_bar(second));
  Generator same(5);
  const Tensor<float> zt = ldlm::add_noise(z, randn_like(z, same), from);
  const Tensor<float> x0 = estimate_x0(model.denoiser(), diffusion, zt, from);
  const Tensor<float> zs = ldlm::add_noise(x0, to_epsilon(x0, zt, from), to);
  const Tensor<float> expected = estimate_x0(model.denoiser(), diffusion, zs, to, x0);
  CHECK(max(abs(sub(varied, expected))).item() < 1e-5F);

  Generator generator(5);
  CHECK_THROWS_WITH_AS((void)model.vary(z, 1000, {}, generator),
                       "[vary] t = 1000 is outside [0, 1000)", Error);
  CHECK_THROWS_AS((void)model.vary(z, -1, {}, generator), Error);
  CHECK_THROWS_AS((void)model.vary(z, 500, {}, generator, -1.0), Error);
}

TEST_CASE("a gap is filled with what the model knows there") {
  const Ldlm<float>& model = trained_model();
  const auto fill = [&](std::string_view before, std::string_view after,
                        const ldlm::InfillOptions& options) {
    Generator generator(7);
    return infill(model, before, after, options, generator);
  };
  ldlm::InfillOptions options;
  options.t = -1;
  options.masks = 1;
  CHECK(fill("The cat sat on the ", ".", options) == "The cat sat on the mat.");
  CHECK(fill("Two birds ", " in the tree.", options) == "Two birds sat in the tree.");
  CHECK(fill("", " ship came over the sea.", options) == "A ship came over the sea.");
  CHECK(fill("The tree stood on ", "", options).starts_with("The tree stood on "));
  options.t = 300;
  options.sampler.steps = 10;
  const std::string noised = fill("The dog ", " the cat.", options);
  CHECK(noised.starts_with("The dog "));
  CHECK(noised.ends_with(" the cat."));
  CHECK(noised == fill("The dog ", " the cat.", options));
  options = {.masks = 1, .t = -1, .max_tokens = 1};  // a whole word may be one token
  CHECK(fill("The cat sat on ", " mat.", options) == "The cat sat on the mat.");
  // A decoder that is told that the latent says little follows it less.
  options = {.t = -1, .candidates = 4, .max_tokens = 4};
  int different = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const auto filled = [&](std::int64_t level) {
      options.decode_level = level;
      Generator generator(seed);
      return infill(model, "The ", " the sea.", options, generator);
    };
    different += filled(-1) != filled(999) ? 1 : 0;
  }
  CHECK(different > 0);
  options = {};
  const auto refused = [&](std::string_view before, const ldlm::InfillOptions& with) {
    CHECK_THROWS_AS((void)fill(before, "", with), Error);
  };
  refused(" ", options);
  refused("The cat sat on the mat. The cat sat on the mat. The cat sat on the mat.", options);
  options.candidates = 0;
  refused("The cat", options);
  options = {};
  options.decode_level = 1000;
  refused("The cat", options);
}

TEST_CASE("fillings are of whole words where spaces are beside the gap") {
  using ldlm::detail::is_of_words;
  CHECK(is_of_words(" rises", " and", true, true));
  CHECK(is_of_words(" rises", "", true, true));
  CHECK(is_of_words(" rises", ".", true, true));
  CHECK_FALSE(is_of_words(" ris", "es", true, true));
  CHECK_FALSE(is_of_words(" ris", "\xc3\xa9", true, true));
  CHECK(is_of_words(" ris", "es", true, false));
  CHECK_FALSE(is_of_words("es", " and", true, true));
  CHECK(is_of_words("es", " and", false, true));
  CHECK_FALSE(is_of_words(" rises ", "and", true, true));
  CHECK_FALSE(is_of_words(" rises  and", "", true, true));
  CHECK_FALSE(is_of_words(" ", " and", true, false));
}

TEST_CASE("a watch sees every step of a sampler and changes nothing") {
  const Ldlm<float>& model = trained_model();
  const SamplerOptions options{.steps = 10, .stop_at = 450};
  Generator alone(6);
  const Tensor<float> expected = model.sample(2, options, alone);
  std::vector<double> levels;
  Tensor<float> last;
  Generator watched(6);
  const auto watch = [&](const Tensor<float>& estimate, double alpha_bar) {
    levels.push_back(alpha_bar);
    last = estimate;
  };
  CHECK(equal(model.sample(2, options, watched, 1.0, watch), expected));
  CHECK(equal(last, expected));
  const auto timesteps = options.timesteps(model.schedule());
  REQUIRE(levels.size() == timesteps.size());
  CHECK(timesteps.back() <= 450);
  CHECK(timesteps[timesteps.size() - 2] > 450);
  for (std::size_t i = 0; i < levels.size(); ++i) {
    CHECK(levels[i] == model.schedule().alpha_bar(timesteps[i]));
  }
  // From a level on: that one, then those below it.
  levels.clear();
  (void)model.vary(expected, 500, options, watched, 1.0, watch);
  REQUIRE_FALSE(levels.empty());
  CHECK(levels.front() ==
        model.schedule().alpha_bar(model.schedule().nearest(model.levels().alpha_bar(500))));
  CHECK(std::is_sorted(levels.begin(), levels.end()));
}

TEST_CASE("a seed gives one result") {
  const Ldlm<float>& model = trained_model();
  const auto run = [&](std::uint64_t seed) {
    Generator generator(seed);
    return model.sample(2, {.steps = 5}, generator);
  };
  CHECK(equal(run(4), run(4)));
  CHECK_FALSE(equal(run(4), run(5)));
}

TEST_CASE("a saved model loads with the same weights, in half precision with nearly the same") {
  const Ldlm<float>& model = trained_model();
  const io_support::TempFolder folder;
  const Tensor<float> z = model.encode(small_texts());

  model.save(folder / "full");
  const auto full = Ldlm<float>::load(folder / "full");
  CHECK(equal(full.encode(small_texts()), z));
  CHECK(full.decode(z) == model.decode(z));
  Generator a(1);
  Generator b(1);
  CHECK(equal(full.sample(1, {.steps = 3}, a), model.sample(1, {.steps = 3}, b)));

  model.save(folder / "half", DType::f16);
  const auto half = Ldlm<float>::load(folder / "half");
  CHECK(max(abs(sub(half.encode(small_texts()), z))).item() < 0.05F);
  const auto size = [&](const char* name) {
    return std::filesystem::file_size(folder / name / "decoder" / "model.safetensors");
  };
  CHECK(size("half") < 0.6 * static_cast<double>(size("full")));

  // Elements are stored as said, whatever the model's are.
  const auto rounded = Ldlm<bf16>::load(folder / "full");
  rounded.save(folder / "bf16");
  rounded.save(folder / "as floats", DType::f32);
  for (const auto& [name, expected] : {std::pair("full", DType::f32),
                                       {"half", DType::f16},
                                       {"bf16", DType::bf16},
                                       {"as floats", DType::f32}}) {
    const auto file = SafetensorsModel::open(folder / name / "encoder");
    CHECK(to_dtype(file.info(file.names().front()).dtype) == expected);
  }
  CHECK(equal(Ldlm<bf16>::load(folder / "bf16").encode(small_texts()),
              rounded.encode(small_texts())));
  CHECK(equal(Ldlm<bf16>::load(folder / "as floats").encode(small_texts()),
              rounded.encode(small_texts())));
  CHECK_THROWS_AS(model.save(folder / "whole", DType::i8), Error);
}

TEST_CASE("a model that was packed decodes, and is not saved as one that was not") {
  const Ldlm<float>& model = trained_model();
  Autoencoder<float> autoencoder = model.autoencoder();
  ldlm::pack(autoencoder, WeightFormat::f32);
  const io_support::TempFolder folder;
  FolderUpdate update(folder.path());
  CHECK_THROWS_WITH_AS(
      save_autoencoder(autoencoder, model.config(), update),
      "[save] encoder: encoder.layer.0.attention.self.query.weight is packed as f32; save the "
      "model before that",
      Error);
  const Ldlm<float> packed(model.config(), {model.encoder_tokenizer(), model.decoder_tokenizer()},
                           autoencoder, model.denoiser());
  CHECK(packed.decode(packed.encode(small_texts())) == small_texts());
}

TEST_CASE("texts that do not fit, and folders that are no model, are refused with the reason") {
  const Ldlm<float> model = small_model();
  CHECK_FALSE(model.fits("The cat sat on the mat and the dog ran over the hill to the old ship."));
  CHECK_THROWS_WITH_AS(
      (void)model.encode({"The cat sat on the mat and the dog ran over the hill to the old ship."}),
      doctest::Contains("at most"), Error);
  CHECK_THROWS_WITH_AS((void)model.encode({""}), doctest::Contains("empty"), Error);
  CHECK_THROWS_AS((void)model.encode({}), Error);
  CHECK_THROWS_WITH_AS((void)Ldlm<float>::load("/no/such/folder"), doctest::Contains("ldlm.json"),
                       Error);
  Generator generator(1);
  CHECK_THROWS_AS((void)model.add_noise(model.encode({"The cat."}), 1000, generator), Error);
  CHECK_THROWS_AS((void)model.sample(0, {}, generator), Error);

  LdlmConfig wrong = model.config();
  wrong.denoiser.latent_dim = 4;
  CHECK_THROWS_WITH_AS(wrong.validate(), doctest::Contains("latent_dim differ: 8 and 4"), Error);
}

TEST_CASE("the evaluation ranks perfect, linear and useless reconstructions") {
  const Ldlm<float>& model = trained_model();
  const Tensor<float> z = encode_all(model, small_texts(), 3);
  CHECK(equal(z, model.encode(small_texts())));
  LinearDenoiser linear(z.size(1) * z.size(2));
  linear.observe(z);
  const auto results =
      evaluate_reconstruction(model, z, linear, {.levels = {300}, .batch_size = 3});
  CHECK(results.size() == 5);
  for (const ReconstructionResult& r : results) {
    CHECK(r.squared_errors.size() == small_texts().size());
    CHECK(r.cosines.size() == small_texts().size());
  }
  const auto error = [&](const std::string& method) {
    for (const ReconstructionResult& r : results) {
      if (r.method == method) {
        return estimate(r.squared_errors).mean;
      }
    }
    return -1.0;
  };
  CHECK(error("linear") < error("noisy"));
  CHECK(error("linear") < error("mean"));
  CHECK(error("mean") < error("gpt2"));

  const auto decoded = evaluate_decoding(model, z, small_texts(), 1, {.levels = {100}});
  CHECK(decoded.size() == 2);
  CHECK(decoded[0].bleu4 == doctest::Approx(1.0));
  CHECK(estimate(decoded[0].token_accuracies).mean == 1.0);
  CHECK(estimate(decoded[1].token_accuracies).mean > 0.5);
}

TEST_CASE("perplexity tells a known text from its words shuffled") {
  const Ldlm<float>& model = trained_model();
  Generator generator(1);
  Gpt2Config config = model.config().decoder;
  Gpt2<float> judge(config, generator);
  const Dataset data = ldlm_test::small_dataset(model.decoder_tokenizer(), 14);
  TrainOptions options;
  options.steps = 150;
  options.batch_size = data.size();
  options.warmup = 10;
  Trainer(judge, ldlm::AdamW(ldlm::trainable_parameters(judge), {.learning_rate = 1e-2}), options)
      .run([&](std::int64_t, Generator&) {
        return causal_lm_loss(judge, data.rows(0, data.size()), model.end_id());
      });
  const auto shuffled = shuffle_words(small_texts(), generator);
  CHECK(shuffled != small_texts());
  const auto score = [&](const std::vector<std::string>& texts) {
    return perplexity(judge, model.decoder_tokenizer(), model.end_id(), texts);
  };
  CHECK(score(small_texts()) < 3.0);
  Gpt2<bf16> rounded(config, generator);
  load_state_dict(rounded, cast<bf16>(state_dict(judge)));
  CHECK(perplexity(rounded, model.decoder_tokenizer(), model.end_id(), small_texts()) ==
        doctest::Approx(score(small_texts())).epsilon(0.1));
  CHECK(score(shuffled) > 3.0 * score(small_texts()));

  // A text beyond the context counts with the tokens that were scored, each with its own target.
  std::string beyond;
  for (int i = 0; i < 20; ++i) {
    beyond += small_texts()[0] + ' ';
  }
  const auto cut = text_likelihoods(judge, model.decoder_tokenizer(), model.end_id(), {beyond});
  CHECK(cut[0].tokens == config.n_positions);
  CHECK(score({beyond}) == doctest::Approx(std::exp(-cut[0].per_token)));
  auto tokens = model.decoder_tokenizer().encode_ids(beyond);
  tokens.resize(static_cast<std::size_t>(config.n_positions));
  std::vector<std::int64_t> inputs{model.end_id()};
  inputs.insert(inputs.end(), tokens.begin(), tokens.end());
  const auto targets = std::vector<std::int64_t>(inputs.begin() + 1, inputs.end());
  inputs.pop_back();
  const NoGrad no_grad;
  const auto logits =
      judge({.ids = Tensor<std::int64_t>::from_values({1, config.n_positions}, inputs)}).value();
  const auto loss =
      cross_entropy(Variable<float>(logits.reshape({config.n_positions, logits.size(-1)})),
                    Tensor<std::int64_t>::from_values({config.n_positions}, targets));
  CHECK(-cut[0].per_token == doctest::Approx(double{loss.value().item()}));
}

TEST_CASE("the published configuration's parts fit together, in the small") {
  // BERT's mean state over real tokens is the latent and GPT-2's one-token prefix.
  LdlmConfig config = LdlmConfig::published();
  CHECK_NOTHROW(config.validate());
  const Tokenizer tokenizer = ldlm_test::small_tokenizer();
  config.encoder.vocab_size = static_cast<std::int64_t>(tokenizer.id_bound());
  config.encoder.hidden_size = 16;
  config.encoder.num_hidden_layers = 1;
  config.encoder.num_attention_heads = 2;
  config.encoder.intermediate_size = 32;
  config.decoder.vocab_size = config.encoder.vocab_size;
  config.decoder.n_embd = 16;
  config.decoder.n_layer = 1;
  config.decoder.n_head = 2;
  config.latent_channels = config.denoiser.latent_dim = config.denoiser.width = 16;
  config.denoiser.feed_forward = 32;
  config.denoiser.heads = 2;
  CHECK_NOTHROW(config.validate());
  Generator generator(1);
  const Ldlm<float> model(config, {tokenizer, tokenizer}, Autoencoder<float>(config, generator),
                          ReverseTransformer<float>(config.denoiser, generator));
  const Tensor<float> both = model.encode({"The cat sat on the mat.", "A dog."});
  CHECK(both.shape() == Shape{2, 1, 16});
  // Padding does not count: a text has the same latent alone and beside a longer one.
  CHECK(max(abs(sub(both.slice(0, 1), model.encode({"A dog."})))).item() < 1e-5F);
  CHECK(model.denoise(model.add_noise(both, 500, generator), 500).shape() == both.shape());
  CHECK(model.decode(both).size() == 2);
  CHECK(model.sample(2, {.steps = 3}, generator).shape() == both.shape());
}
