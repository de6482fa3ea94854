// The Reverse Transformer against torch's nn.Transformer with a time projection: output, loss,
// every gradient, ten AdamW steps; and the forms that the published configuration doesn't use.

#include <doctest/doctest.h>
#include <ldlm/models/reverse_transformer.hpp>
#include <ldlm/nn/pack.hpp>

#include "io_support.hpp"
#include "model_support.hpp"

using ldlm::Activation;
using ldlm::Generator;
using ldlm::ReverseTransformer;
using ldlm::ReverseTransformerConfig;
using ldlm::Tensor;
using ldlm::TimeConditioning;
using ldlm::Variable;
using model_support::contains;
using model_support::Golden;
using model_support::golden_folder;
using model_support::message_of;
using model_support::on_device;

namespace {

/// The golden model: the published configuration in small.
ReverseTransformerConfig small_denoiser() {
  ReverseTransformerConfig config;
  config.latent_dim = 32;
  config.width = 32;
  config.heads = 4;
  config.feed_forward = 64;
  config.encoder_layers = 2;
  config.decoder_layers = 3;
  config.dropout = 0;
  return config;
}

/// Loads torch's state dict, by its own names.
template <class T>
ReverseTransformer<T> load(const ReverseTransformerConfig& config, bool strict = true) {
  Generator generator;
  ReverseTransformer<T> model(config, generator);
  ldlm::load_state_dict(
      model, ldlm::load_safetensors<T>(golden_folder("reverse_transformer") / "model.safetensors"),
      strict);
  return on_device(std::move(model));
}

ReverseTransformerConfig working() {
  ReverseTransformerConfig config;
  config.latent_dim = 6;
  config.width = 16;
  config.heads = 2;
  config.feed_forward = 24;
  config.encoder_layers = 2;
  config.decoder_layers = 0;
  config.length = 7;
  config.norm_first = true;
  config.activation = Activation::gelu;
  config.self_conditioning = true;
  config.time_conditioning = TimeConditioning::log_snr;
  return config;
}

}  // namespace

TEST_CASE_TEMPLATE("the published configuration agrees with torch", T, float, double, ldlm::bf16) {
  Golden golden("reverse_transformer");
  golden.expect<T>(0.15);
  auto model = load<T>(small_denoiser());
  const Variable<T> z(golden.get<T>("z"));
  const Variable<T> target(golden.get<T>("target"));
  const auto times = golden.get<ldlm::ComputeType<T>>("timesteps");
  const auto mask = golden.mask("mask");
  golden.check(ldlm::timestep_embedding(times, 32), "timestep_embedding");
  golden.check(model({.z = z, .times = times}).value(), "output");
  golden.check(model({.z = z, .times = times, .mask = mask}).value(), "padded.output");
  golden.check(model({.z = z.slice(1, 0, 1), .times = times}).value(), "single.output");
  golden.compare(model({.z = z.select(1, 0), .times = times}).value(),
                 golden.get<T>("single.output").squeeze(1), "a latent without a length axis");

  const auto loss_of = [&](const auto& m) { return mse_loss(m({.z = z, .times = times}), target); };
  const auto loss = loss_of(model);
  golden.check(loss.value(), "loss");
  loss.backward();
  golden.check_gradients(model);
  golden.check_training(model, loss_of);
  golden.report<T>("Reverse Transformer");
}

TEST_CASE_TEMPLATE("pre-norm, GELU and the encoder alone agree with torch", T, float, double) {
  Golden golden("reverse_transformer");
  const Variable<T> z(golden.get<T>("z"));
  const auto times = golden.get<ldlm::ComputeType<T>>("timesteps");
  const auto mask = golden.mask("mask");
  ReverseTransformerConfig config = small_denoiser();
  config.norm_first = true;
  golden.check(load<T>(config)({.z = z, .times = times, .mask = mask}).value(), "pre_norm.output");
  config.activation = Activation::gelu;
  golden.check(load<T>(config)({.z = z, .times = times, .mask = mask}).value(),
               "pre_norm_gelu.output");
  config = small_denoiser();
  config.decoder_layers = 0;
  golden.check(load<T>(config, false)({.z = z, .times = times, .mask = mask}).value(),
               "encoder_only.output");
  golden.report<T>("Reverse Transformer, other forms");
}

TEST_CASE("the state dict has torch's names and no others") {
  Golden golden("reverse_transformer");
  Generator generator;
  const ReverseTransformer<float> model(small_denoiser(), generator);
  std::vector<std::string> expected = golden.names_after("final.");
  std::vector<std::string> actual;
  for (const auto& [name, tensor] : ldlm::state_dict(model)) {
    actual.push_back(name);
  }
  std::sort(expected.begin(), expected.end());
  std::sort(actual.begin(), actual.end());
  CHECK(actual == expected);
}

TEST_CASE("the defaults are the published configuration") {
  Generator generator;
  ReverseTransformerConfig config;
  config.encoder_layers = 1;  // of 4 and 6, to save time
  config.decoder_layers = 1;
  const ReverseTransformer<float> model(config, generator);
  const auto state = ldlm::state_dict(model);
  CHECK(ldlm::find(state, "time_projection.weight")->shape() == ldlm::Shape{768, 1536});
  CHECK(ldlm::find(state, "transformer.encoder.layers.0.linear1.weight")->shape() ==
        ldlm::Shape{2048, 768});
  CHECK(ldlm::find(state, "output_projection.weight") == nullptr);
  CHECK(ReverseTransformerConfig{}.encoder_layers == 4);
  CHECK(ReverseTransformerConfig{}.decoder_layers == 6);
}

TEST_CASE("the working form reads time, estimate and positions") {
  Generator generator(2);
  const ReverseTransformer<double> model(working(), generator);
  const Variable<double> z(ldlm::randn<double>({2, 5, 6}, generator), true);
  const Variable<double> estimate(ldlm::randn<double>({2, 5, 6}, generator));
  const auto times = Tensor<double>::from_values({2}, {-3, 2});
  const auto out = model({.z = z, .times = times, .estimate = estimate});
  CHECK(out.shape() == ldlm::Shape{2, 5, 6});
  mean(square(out)).backward();
  for (const auto& named : ldlm::named_parameters(model)) {
    CAPTURE(named.first);
    REQUIRE(named.second.grad().defined());
    CHECK(norm(named.second.grad()).item() > 0);
  }
  const auto differs = [&](const ldlm::ReverseTransformerInputs<double>& inputs) {
    return norm(model(inputs).value() - out.value()).item() > 1e-3;
  };
  const auto later = Tensor<double>::from_values({2}, {-3, 2.5});
  CHECK(differs({.z = z, .times = later, .estimate = estimate}));
  CHECK(differs({.z = z, .times = times}));
  // No estimate is one of zeros.
  const Variable<double> zeros(Tensor<double>::zeros({2, 5, 6}));
  CHECK(equal(model({.z = z, .times = times}).value(),
              model({.z = z, .times = times, .estimate = zeros}).value()));
  // Positions: the same latent twice does not give the same result twice.
  const auto one = z.slice(1, 0, 1).expand({2, 5, 6}).contiguous();
  const auto same = model({.z = one, .times = times}).value();
  CHECK(norm(same.select(1, 0) - same.select(1, 1)).item() > 1e-3);
}

TEST_CASE("padding changes nothing but itself") {
  Generator generator(3);
  const ReverseTransformer<double> model(working(), generator);
  const Variable<double> z(ldlm::randn<double>({1, 7, 6}, generator));
  const auto times = Tensor<double>::from_values({1}, {0.5});
  const auto mask =
      Tensor<bool>::from_values({1, 7}, {true, true, true, false, false, false, false});
  const auto padded = model({.z = z, .times = times, .mask = mask}).value();
  const auto alone = model({.z = z.slice(1, 0, 3), .times = times}).value();
  for (const double d : (padded.slice(1, 0, 3) - alone).to_vector()) {
    CHECK(std::abs(d) < 1e-12);
  }
}

TEST_CASE("laid out for products, the model predicts the same") {
  for (const auto& config : {small_denoiser(), working()}) {
    Generator generator(5);
    ReverseTransformer<float> model(config, generator);
    const Variable<float> z(ldlm::randn<float>({2, 5, config.latent_dim}, generator));
    const auto times = Tensor<float>::from_values({2}, {0.5F, 3});
    const ldlm::NoGrad scope;
    const auto expected = model({.z = z, .times = times}).value();
    ldlm::pack(model, ldlm::WeightFormat::f32);
    const auto actual = model({.z = z, .times = times}).value();
    REQUIRE(actual.shape() == expected.shape());
    CHECK(norm(actual - expected).item() <= 1e-5F * norm(expected).item());
  }
}

TEST_CASE("what is saved loads") {
  const io_support::TempFolder folder;
  Generator generator(4);
  const ReverseTransformer<float> model(working(), generator);
  model.save_pretrained(folder / "denoiser");
  const auto loaded = ReverseTransformer<float>::from_pretrained(folder / "denoiser");
  const auto expected = ldlm::state_dict(model);
  const auto actual = ldlm::state_dict(loaded);
  REQUIRE(actual.size() == expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    CHECK(actual[i].first == expected[i].first);
    CHECK(equal(actual[i].second, expected[i].second));
  }
  CHECK(loaded.config.to_json() == model.config.to_json());
}

TEST_CASE("wrong inputs and configurations are told apart") {
  Generator generator;
  const ReverseTransformer<float> model(small_denoiser(), generator);
  const Variable<float> z(Tensor<float>::zeros({2, 3, 32}));
  const auto times = Tensor<float>::zeros({2});
  CHECK(contains(message_of([&] {
                   model({.z = Variable<float>(Tensor<float>::zeros({2, 3, 5})), .times = times});
                 }),
                 "needs latents (B, L, 32), got (2, 3, 5)"));
  CHECK(contains(message_of([&] { model({.z = z, .times = Tensor<float>::zeros({3})}); }),
                 "times (3,) do not fit latents (2, 3, 32)"));
  CHECK(contains(message_of([&] {
                   model({.z = z, .times = times, .mask = Tensor<bool>::full({2, 4}, true)});
                 }),
                 "mask (2, 4) does not fit"));
  CHECK(contains(message_of([&] { model({.z = z, .times = times, .estimate = z}); }),
                 "takes no estimate"));
  const ReverseTransformer<float> other(working(), generator);
  CHECK(contains(message_of([&] {
                   other({.z = Variable<float>(Tensor<float>::zeros({2, 8, 6})), .times = times});
                 }),
                 "8 latents are more than the 7 positions"));

  const auto parse = [](const std::string& text) {
    return message_of([&] {
      (void)ReverseTransformerConfig::from_json(ldlm::JsonReader::parse(text, "config.json"));
    });
  };
  CHECK(parse(R"({"heads": 7})") ==
        R"([config] config.json: key "heads" is 7, which does not divide width 768 (at byte 10))");
  CHECK(contains(parse(R"({"time_conditioning": "none"})"), "must be \"concat\" or \"log_snr\""));
  CHECK(contains(parse(R"({"activation": "tanh"})"), "got \"tanh\""));
  CHECK(contains(parse(R"({"encoder_layers": 0})"), "must be at least 1, got 0"));
  CHECK(contains(parse(R"({"dropout": 1.5})"), "must lie in [0, 1), got 1.5"));
}
