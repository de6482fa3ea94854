// KvCache alone, and decoding with it against whole sequences at once.

#include <type_traits>

#include <doctest/doctest.h>
#include <ldlm/autograd/autograd.hpp>
#include <ldlm/nn/nn.hpp>

#include "nn_support.hpp"

using ldlm::Generator;
using ldlm::NoGrad;
using ldlm::Tensor;
using ldlm::Variable;
using nn_support::check_close;
using nn_support::message_of;

namespace {

using IdTensor = Tensor<std::int64_t>;

/// A cache of B = `batch` whose row b holds the value b everywhere.
ldlm::KvCache<float> numbered_cache(std::int64_t batch) {
  ldlm::KvCache<float> cache(batch, 2, 5, 3);
  const auto rows = Tensor<float>::arange(0, static_cast<float>(batch));
  const auto k = rows.reshape({batch, 1, 1, 1}).expand({batch, 2, 4, 3});
  cache.append(k, ldlm::add(k, 100.0F));
  return cache;
}

/// What row b of a cache holds, given that all of it is the same number; -1 if not.
float row_value(const ldlm::KvCache<float>& cache, std::int64_t b) {
  const auto keys = cache.keys().select(0, b).to_vector();
  const auto values = cache.values().select(0, b).to_vector();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i] != keys[0] || values[i] != keys[0] + 100) {
      return -1;
    }
  }
  return keys[0];
}

}  // namespace

TEST_CASE("append writes behind the past, in place") {
  Generator g(1);
  ldlm::KvCache<float> cache(2, 3, 6, 4);
  CHECK(cache.size() == 0);
  CHECK(cache.capacity() == 6);
  CHECK(cache.keys().shape() == ldlm::Shape{2, 3, 0, 4});
  const auto k = ldlm::randn<float>({2, 5, 3, 4}, g).transpose(1, 2);  // strided
  const auto v = ldlm::randn<float>({2, 3, 5, 4}, g);
  cache.append(k.slice(2, 0, 3), v.slice(2, 0, 3));
  const float* const data = cache.keys().data();
  cache.append(k.slice(2, 3), v.slice(2, 3));
  CHECK(cache.size() == 5);
  CHECK(cache.keys().data() == data);
  CHECK(equal(cache.keys(), k));
  CHECK(equal(cache.values(), v));
  cache.truncate(2);
  CHECK(equal(cache.keys(), k.slice(2, 0, 2)));
  cache.reset();
  CHECK(cache.size() == 0);
  cache.append(v, k);
  CHECK(equal(cache.keys(), v));
}

TEST_CASE("a cache says what does not fit") {
  static_assert(!std::is_copy_constructible_v<ldlm::KvCache<float>>);
  ldlm::KvCache<float> cache(2, 3, 6, 4);
  const auto four = Tensor<float>::zeros({2, 3, 4, 4});
  cache.append(four, four);
  CHECK(message_of([&] { cache.append(four, four); }) ==
        "[KvCache] is full: 4 of 6 positions are taken, 4 more do not fit");
  CHECK(cache.size() == 4);
  const auto other = Tensor<float>::zeros({2, 2, 1, 4});
  CHECK(message_of([&] { cache.append(other, other); }) ==
        "[KvCache] keys (2, 2, 1, 4) and values (2, 2, 1, 4) do not fit a cache of (2, 3, 6, 4)");
  CHECK(message_of([&] { cache.append(Tensor<float>::zeros({3}), other); }) ==
        "[KvCache] keys (3,) and values (2, 2, 1, 4) do not fit a cache of (2, 3, 6, 4)");
  const auto at = IdTensor::full({1}, 2);
  CHECK(message_of([&] { cache.write(other, other, at); }) ==
        "[KvCache] keys (2, 2, 1, 4) and values (2, 2, 1, 4) do not fit a cache of (2, 3, 6, 4)");
  CHECK(message_of([&] { cache.write(four, four, at); }) ==
        "[KvCache] keys (2, 3, 4, 4) and values (2, 3, 4, 4) do not fit a cache of (2, 3, 6, 4)");
  CHECK(message_of([&] { cache.write({}, four, at); }) == "[KvCache] keys or values are undefined");
  CHECK(message_of([&] { cache.append({}, {}); }) == "[KvCache] keys or values are undefined");
  CHECK(message_of([&] { cache.reorder({}); }) == "[KvCache] the indices are undefined");
  CHECK(message_of([&] { cache.advance(-1); }) == "[KvCache] cannot count -1 positions");
  const auto one = Tensor<float>::zeros({2, 3, 1, 4});
  CHECK(message_of([&] { cache.write(one, one, IdTensor::ones({2})); }) ==
        "[KvCache] writes to one position (1), got (2,)");
  CHECK(message_of([&] { cache.truncate(5); }) == "[KvCache] cannot keep 5 of 4 positions");
  CHECK(message_of([&] {
          cache.reorder(IdTensor::from_values({2}, {0, 2}));
        }) == "[KvCache] index 2 at position 1 is outside [0, 2)");
  CHECK(message_of([&] { ldlm::KvCache<float>().append(four, four); }) ==
        "[KvCache] has no capacity: it was default-constructed");
}

TEST_CASE("reorder is any map of rows") {
  // All 4^4 maps of four rows onto four: permutations, cycles, copies, chains.
  for (std::int64_t code = 0; code < 256; ++code) {
    auto cache = numbered_cache(4);
    const float* const data = cache.keys().data();
    const auto map =
        IdTensor::from_values({4}, {code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6 & 3});
    cache.reorder(map);
    CAPTURE(code);
    CHECK(cache.keys().data() == data);
    for (std::int64_t b = 0; b < 4; ++b) {
      CHECK(row_value(cache, b) == static_cast<float>(map.at({b})));
    }
  }
}

TEST_CASE("reorder to another number of rows") {
  auto cache = numbered_cache(2);
  cache.reorder(IdTensor::from_values({5}, {1, 0, 0, 1, 1}));
  CHECK(cache.batch() == 5);
  CHECK(cache.size() == 4);
  CHECK(cache.capacity() == 5);
  for (const auto& [row, value] : {std::pair{0, 1}, {1, 0}, {2, 0}, {3, 1}, {4, 1}}) {
    CHECK(row_value(cache, row) == static_cast<float>(value));
  }
  cache.reorder(IdTensor::from_values({1}, {1}));
  CHECK(cache.batch() == 1);
  CHECK(row_value(cache, 0) == 0.0F);
}

TEST_CASE_TEMPLATE("self-attention step by step is attention over all", T, float, double) {
  Generator g(2);
  const ldlm::MultiHeadAttention<T> attention(8, 2, g);
  const Variable<T> x(ldlm::randn<T>({3, 7, 8}, g));
  auto mask = Tensor<std::int64_t>::ones({3, 7});
  mask.select(0, 1).slice(0, 0, 2).fill_(0);  // left padding, as a batch of prompts has
  const Tensor<T> padding = ldlm::padding_mask<T>(mask);
  const NoGrad scope;
  const Tensor<T> whole = attention(x, {.mask = padding, .causal = true}).value();
  ldlm::KvCache<T> cache(3, 2, 7, 4);
  std::int64_t at = 0;
  for (const std::int64_t count : {3, 1, 2, 1}) {  // a prompt, then steps
    const std::int64_t end = at + count;
    const auto part = attention(
        x.slice(1, at, end), {.mask = padding.slice(3, 0, end), .causal = true, .cache = &cache});
    // Padded queries see no key in the causal prefix and yield zeros either way.
    check_close(part.value(), whole.slice(1, at, end), "positions from " + std::to_string(at));
    at = end;
  }
  CHECK(message_of([&] { attention(x.slice(1, 0, 1), {.cache = &cache}); }) ==
        "[KvCache] is full: 7 of 7 positions are taken, 1 more do not fit");
}

TEST_CASE_TEMPLATE("steps that say their position are those that count it", T, float, double) {
  Generator g(4);
  const ldlm::MultiHeadAttention<T> attention(8, 2, g);
  const Variable<T> x(ldlm::randn<T>({3, 6, 8}, g));
  const Tensor<T> mask = ldlm::randn<T>({3, 1, 1, 9}, g);
  const NoGrad scope;
  ldlm::KvCache<T> counted(3, 2, 9, 4), written(3, 2, 9, 4);
  for (ldlm::KvCache<T>* const cache : {&counted, &written}) {
    (void)attention(x.slice(1, 0, 2),
                    {.mask = mask.slice(3, 0, 2), .causal = true, .cache = cache});
  }
  for (std::int64_t at = 2; at < 6; ++at) {
    const Variable<T> step = x.slice(1, at, at + 1);
    const auto expected =
        attention(step, {.mask = mask.slice(3, 0, at + 1), .causal = true, .cache = &counted});
    const auto got = attention(step, {.mask = mask,
                                      .causal = true,
                                      .cache = &written,
                                      .cache_position = IdTensor::full({1}, at)});
    CHECK(equal(got.value(), expected.value()));
    CHECK(written.size() == at);
    written.advance(1);
  }
  CHECK(equal(written.keys(), counted.keys()));
  CHECK(message_of([&] { written.advance(4); }) ==
        "[KvCache] is full: 6 of 9 positions are taken, 4 more do not fit");
  CHECK(message_of([&] {
          attention(x.slice(1, 0, 1), {.cache_position = IdTensor::full({1}, 1)});
        }) == "[attention] cache_position needs a cache");
}

TEST_CASE_TEMPLATE("a decoder step by step is the decoder over all", T, float, double) {
  Generator g(3);
  for (const bool norm_first : {false, true}) {
    const ldlm::TransformerDecoder<T> decoder({.d_model = 8,
                                               .nhead = 2,
                                               .num_decoder_layers = 2,
                                               .dim_feedforward = 12,
                                               .norm_first = norm_first},
                                              g);
    const Variable<T> x(ldlm::randn<T>({2, 6, 8}, g));
    const Variable<T> memory(ldlm::randn<T>({2, 3, 8}, g));
    const NoGrad scope;
    const Tensor<T> whole = decoder(x, memory, {.self = {.causal = true}}).value();
    auto caches = decoder.make_caches(2, 6, 3);
    for (std::int64_t t = 0; t < 6; ++t) {
      const auto step = decoder(x.slice(1, t, t + 1), memory, {.self = {.causal = true}}, &caches);
      check_close(step.value(), whole.slice(1, t, t + 1), "position " + std::to_string(t));
    }
    CHECK(caches[1].self.size() == 6);
    CHECK(caches[1].cross.size() == 3);
    caches.pop_back();
    CHECK(message_of([&] { decoder(x, memory, {}, &caches); }) ==
          "[TransformerDecoder] needs one cache for each of 2 layers, got 1");
  }
}

TEST_CASE("a reordered cache continues the beams that were chosen") {
  Generator g(4);
  const ldlm::MultiHeadAttention<float> attention(8, 2, g);
  const auto x = ldlm::randn<float>({3, 4, 8}, g);
  const auto next = Variable<float>(ldlm::randn<float>({3, 1, 8}, g));
  const auto beams = IdTensor::from_values({3}, {2, 0, 0});
  const NoGrad scope;
  ldlm::KvCache<float> cache(3, 2, 5, 4);
  attention(Variable<float>(x), {.causal = true, .cache = &cache});
  cache.reorder(beams);
  const auto continued = attention(next, {.causal = true, .cache = &cache}).value();
  const auto chosen = ldlm::concat({ldlm::index_select(x, 0, beams), next.value()}, 1);
  const auto whole = attention(Variable<float>(chosen), {.causal = true}).value();
  check_close(continued, whole.slice(1, 4), "last position");
}

TEST_CASE("attention until a last key has no gradient") {
  const auto q = Tensor<float>::ones({1, 2, 3, 4});
  CHECK(message_of([&] {
          (void)ldlm::scaled_dot_product_attention(Variable<float>(q, true), q, q,
                                                   {.last_key = IdTensor::full({1}, 1)});
        }) == "[scaled_dot_product_attention] last_key has no gradient");
}

TEST_CASE("a cache refuses gradients") {
  Generator g(5);
  const ldlm::MultiHeadAttention<float> attention(8, 2, g);
  const Variable<float> x(ldlm::randn<float>({1, 2, 8}, g));
  ldlm::KvCache<float> cache(1, 2, 4, 4);
  CHECK(message_of([&] { attention(x, {.cache = &cache}); }) ==
        "[KvCache] keeps no gradients; decode inside a NoGrad scope");
  CHECK(cache.size() == 0);
}
