// Every layer against PyTorch: forward, gradients of inputs and of all parameters, in float and
// double (tests/golden/nn/layers.safetensors).

#include <doctest/doctest.h>
#include <ldlm/autograd/autograd.hpp>
#include <ldlm/nn/nn.hpp>

#include "nn_support.hpp"

using ldlm::Activation;
using ldlm::Generator;
using ldlm::Tensor;
using ldlm::Variable;
using nn_support::check_close;
using nn_support::golden;

namespace {

constexpr std::int64_t channels = 8;
constexpr std::int64_t heads = 2;
const ldlm::TransformerOptions small_transformer{.d_model = channels,
                                                 .nhead = heads,
                                                 .num_encoder_layers = 2,
                                                 .num_decoder_layers = 2,
                                                 .dim_feedforward = 12,
                                                 .dropout = 0};

template <class T>
Tensor<T> load(const std::string& name) {
  return golden("layers").load<T>(name);
}

/// Loads the case's weights, runs forward(module, inputs), and compares the results and all
/// gradients.
template <class T, class M, class Forward>
void check_case(const std::string& name, M module, const std::vector<std::string>& input_names,
                Forward&& forward) {
  CAPTURE(name);
  ldlm::NamedTensors<T> weights;
  for (const auto& info : golden("layers").tensors()) {
    const std::string prefix = name + ".weight.";
    if (info.name.starts_with(prefix)) {
      weights.emplace_back(info.name.substr(prefix.size()), load<T>(info.name));
    }
  }
  ldlm::load_state_dict(module, weights);
  std::vector<Variable<T>> inputs;
  for (const std::string& input : input_names) {
    inputs.emplace_back(load<T>(name + ".in." + input).clone(), true);
  }
  const Variable<T> out = forward(module, inputs);
  check_close(out.value(), load<T>(name + ".out"), "out");
  out.backward({.seed = load<T>(name + ".grad_out").clone()});
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    check_close(inputs[i].grad(), load<T>(name + ".grad_in." + input_names[i]), input_names[i]);
  }
  for (const auto& [key, parameter] : ldlm::named_parameters(module)) {
    // The bias of the keys moves all scores of a row alike, so that its gradient is rounding only:
    // the limit is relative to the whole packed bias, as every limit is to its whole tensor.
    check_close(parameter.grad(), load<T>(name + ".grad." + key), key);
  }
}

/// Real positions (true) of sequences of the given lengths.
Tensor<bool> real(std::initializer_list<std::int64_t> lengths, std::int64_t total) {
  auto mask = Tensor<bool>::zeros({static_cast<std::int64_t>(lengths.size()), total});
  std::int64_t row = 0;
  for (const std::int64_t length : lengths) {
    mask.select(0, row++).slice(0, 0, length).fill_(true);
  }
  return mask;
}

const auto apply = [](const auto& module, const auto& inputs) { return module(inputs[0]); };
const auto apply_two = [](const auto& module, const auto& inputs) {
  return module(inputs[0], inputs[1]);
};

}  // namespace

TEST_CASE("modules take a Tensor as a Variable without gradient") {
  Generator g(5);
  const Tensor<float> x = ldlm::randn<float>({2, 3, channels}, g);
  const Tensor<float> y = ldlm::randn<float>({2, 4, channels}, g);
  const Variable<float> vx(x), vy(y);
  const auto same = [](const Variable<float>& a, const Variable<float>& b) {
    CHECK(ldlm::equal(a, b));
    CHECK(a.requires_grad());
  };
  const ldlm::Linear<float> linear(channels, 2, g);
  same(linear(x, Activation::relu), linear(vx, Activation::relu));
  const ldlm::LayerNorm<float> norm(channels);
  same(norm(x), norm(vx));
  same(norm(x, vx).normalized, norm(vx, x).normalized);
  const ldlm::RMSNorm<float> rms(channels);
  same(rms(x), rms(vx));
  const ldlm::MultiHeadAttention<float> attention(channels, heads, g);
  same(attention(x), attention(vx));
  same(attention(x, vy), attention(vx, y));
  const ldlm::Transformer<float> transformer(small_transformer, g);
  same(transformer(x, vy), transformer(vx, y));
  same(transformer.encoder.layers[0](x), transformer.encoder.layers[0](vx));
  same(transformer.decoder.layers[0](x, y), transformer.decoder.layers[0](vx, vy));
  const ldlm::Dropout<float> dropout(0.5);
  CHECK(ldlm::equal(dropout(x), x));
  const ldlm::TrainingMode training(g);
  CHECK_FALSE(ldlm::equal(dropout(x), x));
}

TEST_CASE_TEMPLATE("linear, embedding and norms are PyTorch's", T, float, double) {
  Generator g(1);
  check_case<T>("linear", ldlm::Linear<T>(channels, 6, g), {"x"}, apply);
  check_case<T>("linear_no_bias", ldlm::Linear<T>(channels, 6, g, false), {"x"}, apply);
  check_case<T>("layer_norm", ldlm::LayerNorm<T>(channels), {"x"}, apply);
  check_case<T>("rms_norm", ldlm::RMSNorm<T>(channels), {"x"}, apply);
  const std::pair<std::string, Activation> activations[] = {{"relu", Activation::relu},
                                                            {"silu", Activation::silu},
                                                            {"gelu", Activation::gelu},
                                                            {"gelu_tanh", Activation::gelu_tanh}};
  for (const auto& [name, activation] : activations) {
    check_case<T>(
        "linear_" + name, ldlm::Linear<T>(channels, 6, g), {"x"},
        [a = activation](const auto& module, const auto& inputs) { return module(inputs[0], a); });
  }
  check_case<T>("embedding", ldlm::Embedding<T>(7, channels, g), {},
                [](const auto& module, const auto&) {
                  return module(golden("layers").load<std::int64_t>("embedding.in.ids"));
                });
}

TEST_CASE_TEMPLATE("multi-head attention is PyTorch's", T, float, double) {
  Generator g(1);
  const ldlm::MultiHeadAttention<T> attention(channels, heads, g);
  check_case<T>("mha", ldlm::clone(attention), {"x"}, apply);
  check_case<T>("mha_causal", ldlm::clone(attention), {"x"},
                [](const auto& m, const auto& inputs) { return m(inputs[0], {.causal = true}); });
  check_case<T>("mha_padding", ldlm::clone(attention), {"x"},
                [](const auto& m, const auto& inputs) {
                  return m(inputs[0], {.mask = ldlm::padding_mask<T>(real({5, 3}, 5))});
                });
  check_case<T>("mha_cross", ldlm::clone(attention), {"x", "memory"}, apply_two);
  check_case<T>("mha_cross_padding", ldlm::clone(attention), {"x", "memory"},
                [](const auto& m, const auto& inputs) {
                  return m(inputs[0], inputs[1], {.mask = ldlm::padding_mask<T>(real({2, 4}, 4))});
                });
}

TEST_CASE_TEMPLATE("Transformer layers are PyTorch's", T, float, double) {
  Generator g(1);
  for (const bool norm_first : {false, true}) {
    for (const bool use_gelu : {false, true}) {
      ldlm::TransformerOptions options = small_transformer;
      options.norm_first = norm_first;
      options.activation = use_gelu ? Activation::gelu : Activation::relu;
      const std::string suffix =
          std::string(norm_first ? "pre" : "post") + (use_gelu ? "_gelu" : "_relu");
      check_case<T>("encoder_layer_" + suffix, ldlm::TransformerEncoderLayer<T>(options, g), {"x"},
                    [](const auto& layer, const auto& inputs) {
                      return layer(inputs[0], {.mask = ldlm::padding_mask<T>(real({5, 3}, 5))});
                    });
      check_case<T>("decoder_layer_" + suffix, ldlm::TransformerDecoderLayer<T>(options, g),
                    {"x", "memory"}, [](const auto& layer, const auto& inputs) {
                      const auto mask = ldlm::padding_mask<T>(real({2, 4}, 4));
                      return layer(inputs[0], inputs[1],
                                   {.self = {.causal = true}, .cross = {.mask = mask}});
                    });
    }
  }
}

TEST_CASE_TEMPLATE("the whole Transformer is PyTorch's", T, float, double) {
  Generator g(1);
  for (const bool norm_first : {false, true}) {
    ldlm::TransformerOptions options = small_transformer;
    options.norm_first = norm_first;
    const std::string suffix = norm_first ? "pre" : "post";
    check_case<T>("transformer_" + suffix, ldlm::Transformer<T>(options, g), {"source", "target"},
                  apply_two);
    check_case<T>("transformer_masked_" + suffix, ldlm::Transformer<T>(options, g),
                  {"source", "target"}, [](const auto& model, const auto& inputs) {
                    const auto mask = ldlm::padding_mask<T>(real({2, 4}, 4));
                    return model(inputs[0], inputs[1],
                                 {.source = {.mask = mask},
                                  .target = {.self = {.causal = true}, .cross = {.mask = mask}}});
                  });
  }
}

TEST_CASE("a stack is its layers one after the other, with and without a final norm") {
  Generator g(1);
  const Variable<double> x(ldlm::randn<double>({2, 3, channels}, g));
  for (const bool norm_first : {false, true}) {
    ldlm::TransformerOptions options = small_transformer;
    options.norm_first = norm_first;
    const ldlm::TransformerEncoder<double> plain(options, g, false);
    const Variable<double> expected = plain.layers[1](plain.layers[0](x));
    check_close(plain(x).value(), expected.value(), "encoder");
    ldlm::TransformerEncoder<double> with_norm = plain;
    with_norm.norm.emplace(channels);
    check_close(with_norm(x).value(), (*with_norm.norm)(expected).value(), "encoder and norm");
    with_norm.layers.clear();
    check_close(with_norm(x).value(), (*with_norm.norm)(x).value(), "norm alone");

    const ldlm::TransformerDecoder<double> decoder(options, g, false);
    check_close(decoder(x, expected).value(),
                decoder.layers[1](decoder.layers[0](x, expected), expected).value(), "decoder");
  }
  // Layers of both kinds in one stack are nobody's default, but mean what they say.
  ldlm::TransformerOptions options = small_transformer;
  ldlm::TransformerEncoder<double> mixed(options, g, false);
  options.norm_first = true;
  mixed.layers[0] = ldlm::TransformerEncoderLayer<double>(options, g);
  check_close(mixed(x).value(), mixed.layers[1](mixed.layers[0](x)).value(), "mixed");
}

TEST_CASE("layers are of float where nothing else is said") {
  Generator generator(1);
  const ldlm::Linear linear(2, 3, generator);
  const ldlm::LayerNorm norm(3);
  const ldlm::Embedding embedding(5, 2, generator);
  static_assert(std::is_same_v<decltype(linear)::value_type, float>);
  static_assert(std::is_same_v<decltype(norm)::value_type, float>);
  static_assert(std::is_same_v<decltype(embedding)::value_type, float>);
  static_assert(
      std::is_same_v<decltype(ldlm::Linear(ldlm::Linear<double>())), ldlm::Linear<double>>);
  const auto ids = Tensor<std::int64_t>::from_values({2}, {4, 0});
  CHECK(norm(linear(embedding(ids))).shape() == ldlm::Shape{2, 3});
}
