// What models, modules, samplers and tokenizers throw for wrong shapes, for ids and positions out
// of range, and for what is undefined.

#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <ldlm/core/device_graph.hpp>
#include <ldlm/diffusion/process.hpp>
#include <ldlm/diffusion/schedule.hpp>
#include <ldlm/models/bert.hpp>
#include <ldlm/models/gpt2.hpp>
#include <ldlm/models/pooling.hpp>
#include <ldlm/models/reverse_transformer.hpp>
#include <ldlm/nn/nn.hpp>
#include <ldlm/text/tokenizer.hpp>

#include "error_message.hpp"
#include "paths.hpp"

using namespace ldlm;

namespace {

using ErrorIds = Tensor<std::int64_t>;

/// The message of what `action` throws, if its class is `Kind`.
template <class Kind, class Action>
std::string thrown(Action&& action) {
  try {
    static_cast<void>(action());
  } catch (const Kind& error) {
    return error.what();
  } catch (const Error& error) {
    return std::string("another class: ") + error.what();
  }
  return "no error";
}

BertConfig least_bert() {
  BertConfig config;
  config.vocab_size = 10;
  config.hidden_size = 4;
  config.num_hidden_layers = 1;
  config.num_attention_heads = 2;
  config.intermediate_size = 8;
  config.max_position_embeddings = 6;
  return config;
}

Gpt2Config least_gpt2() {
  Gpt2Config config;
  config.vocab_size = 10;
  config.n_positions = 6;
  config.n_embd = 4;
  config.n_layer = 1;
  config.n_head = 2;
  return config;
}

}  // namespace

TEST_CASE("models throw the kind that an input is wrong by") {
  Generator generator(1);
  const Bert<float> bert(least_bert(), generator);
  const BertForMaskedLM<float> masked(least_bert(), generator);
  const auto ids = ErrorIds::zeros({2, 3});
  const auto mask = Tensor<bool>::full({2, 4}, true);
  CHECK(thrown<ShapeError>([&] { return bert({.ids = ErrorIds::zeros({3})}); }) ==
        "[bert] needs ids (B, T), got (3,)");
  CHECK(thrown<ShapeError>([&] {
          return bert({.ids = ErrorIds::zeros({2, 0})});
        }) == "[bert] needs at least one token, got ids (2, 0)");
  CHECK(thrown<ShapeError>([&] { return bert({.ids = ids, .mask = mask}); }) ==
        "[bert] mask (2, 4) does not fit ids (2, 3)");
  CHECK(thrown<ShapeError>([&] {
          return masked.loss({.ids = ids}, ErrorIds::zeros({2, 4}));
        }) == "[bert] labels (2, 4) do not fit ids (2, 3)");
  CHECK(thrown<IndexError>([&] {
          return bert({.ids = ErrorIds::zeros({2, 7})});
        }) == "[bert] texts of 7 tokens are longer than max_position_embeddings 6");
  CHECK(thrown<IndexError>([&] {
          return bert({.ids = ErrorIds::full({2, 3}, 10)});
        }) == "[embedding] index 10 at position 0 is outside [0, 10)");
  CHECK(thrown<StateError>([&] { return bert(BertInputs{}); }) == "[bert] the ids are undefined");
  CHECK(thrown<StateError>([&] { return bert(TokenBatch{}); }) == "[bert] the ids are undefined");
  CHECK(thrown<StateError>([&] { return masked.loss({}, ids); }) == "[bert] the ids are undefined");
  CHECK(thrown<StateError>([&] { return masked(TokenBatch{}); }) == "[bert] the ids are undefined");

  const Gpt2<float> gpt2(least_gpt2(), generator);
  CHECK(thrown<ShapeError>([&] { return gpt2({.ids = ErrorIds::zeros({3})}); }) ==
        "[gpt2] needs ids (B, T), got (3,)");
  CHECK(thrown<ShapeError>([&] { return gpt2({.ids = ids, .mask = mask}); }) ==
        "[gpt2] mask (2, 4) does not fit the sequences, (2, 3)");
  CHECK(thrown<ShapeError>([&] {
          return gpt2.loss({.ids = ids}, ErrorIds::zeros({2, 4}));
        }) == "[gpt2] labels (2, 4) do not fit ids (2, 3)");
  CHECK(thrown<IndexError>([&] {
          return gpt2({.ids = ErrorIds::zeros({2, 7})});
        }) == "[gpt2] positions 0 to 6 are not all below n_positions = 6");
  CHECK(thrown<StateError>([&] { return gpt2(TokenBatch{}); }) == "[gpt2] needs ids or a prefix");
  CHECK(thrown<StateError>([&] { return gpt2.loss({}, ids); }) == "[gpt2] the ids are undefined");

  const ReverseTransformer<float> denoiser({.latent_dim = 4,
                                            .width = 4,
                                            .heads = 2,
                                            .feed_forward = 8,
                                            .encoder_layers = 1,
                                            .decoder_layers = 0,
                                            .length = 5},
                                           generator);
  const auto latents = [](const Shape& shape) { return Tensor<float>::zeros(shape); };
  const auto times = Tensor<float>::zeros({2});
  CHECK(thrown<ShapeError>([&] {
          return denoiser({.z = latents({2, 3, 5}), .times = times});
        }) == "[reverse_transformer] needs latents (B, L, 4), got (2, 3, 5)");
  CHECK(thrown<IndexError>([&] {
          return denoiser({.z = latents({2, 6, 4}), .times = times});
        }) == "[reverse_transformer] 6 latents are more than the 5 positions");
  CHECK(thrown<StateError>([&] {
          return denoiser({.z = latents({2, 3, 4}), .times = {}});
        }) == "[reverse_transformer] the times are undefined");
}

TEST_CASE("modules, pooling and diffusion throw the kind that an input is wrong by") {
  const Variable<float> states(Tensor<float>::zeros({2, 3, 4}));
  CHECK(thrown<ShapeError>([&] { return split_heads(states, 3); }) ==
        "[attention] input (2, 3, 4) does not split into 3 heads; needs (B, T, C)");
  CHECK(thrown<ShapeError>([&] { return padding_mask<float>(Tensor<bool>::zeros({3})); }) ==
        "[padding_mask] needs (B, Tk), got (3,)");
  CHECK(thrown<StateError>([&] { return padding_mask<float>(Tensor<bool>()); }) ==
        "[padding_mask] the tensor is undefined");
  CHECK(thrown<StateError>([&] { return padding_mask<float>(ErrorIds()); }) ==
        "[padding_mask] the tensor is undefined");
  CHECK(thrown<ShapeError>([&] {
          return mean_pool(states, Tensor<bool>::full({2, 4}, true));
        }) == "[mean_pool] mask (2, 4) does not fit states (2, 3, 4)");

  const auto run = [](const DeviceGraph& graph) {
    graph.run();
    return true;
  };
  CHECK(thrown<StateError>([&] { return run(DeviceGraph()); }) == "[run] nothing was recorded");
  CHECK(thrown<DeviceError>([] { return DeviceGraph::record(cpu, [] {}); }) ==
        "[record] cpu:0 cannot record work");

  KvCache<float> cache(1, 2, 3, 4);
  const auto keys = [](std::int64_t t, std::int64_t d) {
    return Tensor<float>::zeros({1, 2, t, d});
  };
  CHECK(thrown<ShapeError>([&] { return cache.append(keys(1, 5), keys(1, 5)), 0; }) ==
        "[KvCache] keys (1, 2, 1, 5) and values (1, 2, 1, 5) do not fit a cache of (1, 2, 3, 4)");
  CHECK(thrown<IndexError>([&] { return cache.append(keys(4, 4), keys(4, 4)), 0; }) ==
        "[KvCache] is full: 0 of 3 positions are taken, 4 more do not fit");
  CHECK(thrown<StateError>([&] { return KvCache<float>().append(keys(1, 4), keys(1, 4)), 0; }) ==
        "[KvCache] has no capacity: it was default-constructed");

  const std::vector<double> levels{0.5, 0.5};
  const auto z = Tensor<float>::zeros({3, 4});
  CHECK(thrown<ShapeError>([&] { return add_noise(z, z, levels); }) ==
        "[diffusion] 2 noise levels for latents (3, 4)");
  const auto schedule = NoiseSchedule::cosine(10);
  CHECK(thrown<IndexError>([&] { return schedule.alpha_bar(10); }) ==
        "[schedule] t = 10 is outside [-1, 10)");
}

TEST_CASE("an id that no piece has is an index out of range") {
  const auto tokenizer =
      Tokenizer::from_file(ldlm_test::data_dir() + "/golden/tokenizers/bpe.json");
  const std::vector<TokenId> ids{static_cast<TokenId>(tokenizer.id_bound())};
  CHECK(ldlm_test::contains(thrown<IndexError>([&] { return tokenizer.decode(ids); }),
                            "no piece has id"));
}
