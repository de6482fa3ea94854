// Work that is recorded once and repeated, and generation whose steps are.

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <ldlm/core/device_graph.hpp>
#include <ldlm/core/ops.hpp>
#include <ldlm/core/random.hpp>
#include <ldlm/generate/beam_search.hpp>
#include <ldlm/generate/gpt2_session.hpp>
#include <ldlm/generate/sampling.hpp>
#include <ldlm/nn/module.hpp>

using namespace ldlm;
using Floats = Tensor<float>;
using Ids = Tensor<std::int64_t>;

TEST_CASE("recorded work is done when it runs, each time on what its inputs are then") {
  CHECK(!DeviceGraph::is_supported(cpu));
  CHECK_THROWS_WITH_AS((void)DeviceGraph::record(cpu, [] {}), "[record] cpu:0 cannot record work",
                       DeviceError);
  REQUIRE(DeviceGraph::is_supported(cuda));
  const Floats x = Floats::full({3, 4}, 1, cuda);
  const Floats a = Floats::full({4, 2}, 2, cuda);
  Floats y;
  const DeviceGraph graph = DeviceGraph::record(cuda, [&] { y = exp(matmul(x, a) - 8) + 1; });
  // What is allocated now is not what the graph works in.
  std::vector<Floats> others;
  for (int i = 0; i < 8; ++i) {
    others.push_back(Floats::full({3, 2}, 7, cuda));
  }
  graph.run();
  CHECK(y.to_vector() == std::vector<float>(6, 2.0F));
  x.copy_(Floats::full({3, 4}, 0));
  graph.run();
  CHECK(y.to_vector() == std::vector<float>(6, std::exp(-8.0F) + 1));
  for (const Floats& other : others) {
    CHECK(other.to_vector() == std::vector<float>(6, 7.0F));
  }
  CHECK_THROWS_WITH_AS(DeviceGraph().run(), "[run] nothing was recorded", StateError);
}

TEST_CASE("what is made while work is recorded outlives the graph") {
  const Floats x = Floats::full({64}, 1, cuda);
  Floats y;
  {
    const DeviceGraph graph = DeviceGraph::record(cuda, [&] { y = x + 1; });
    graph.run();
  }
  const Floats other = Floats::full({64}, 9, cuda);
  CHECK(y.to_vector() == std::vector<float>(64, 2.0F));
  CHECK(other.to_vector() == std::vector<float>(64, 9.0F));
  // ... and its memory is used again after both.
  const float* const place = y.data();
  y = {};
  bool comes_again = false;
  std::vector<Floats> more;
  for (int i = 0; i < 4 && !comes_again; ++i) {
    more.push_back(Floats::empty({64}, cuda));
    comes_again = more.back().data() == place;
  }
  CHECK(comes_again);
}

TEST_CASE("what cannot be recorded is refused, and ends the recording") {
  const Floats x = Floats::full({4}, 1, cuda);
  const Floats host = Floats::ones({4});
  const auto refused = [](const auto& work) {
    CHECK_THROWS_AS((void)DeviceGraph::record(cuda, work), StateError);
  };
  refused([&] { (void)sum(x).item(); });
  refused([&] { x.copy_(host); });
  refused([&] { (void)x.to(cpu); });
  refused([&] { synchronize(cuda); });
  refused([&] { (void)DeviceGraph::record(cuda, [&] { (void)(x + 1); }); });
  const DeviceGraph graph = DeviceGraph::record(cuda, [&] { x.copy_(x + 1); });
  refused([&] { graph.run(); });
  CHECK_THROWS_WITH_AS(
      (void)DeviceGraph::record(cuda, [&] { (void)(x + Floats::ones({3}, cuda)); }),
      doctest::Contains("[add]"), ShapeError);
  CHECK(sum(x).item() == 4);
  graph.run();
  CHECK(sum(x).item() == 8);
}

namespace {

/// (1, 2, capacity, channels), NaN from `keys` on.
template <class T>
Tensor<T> keys_of_cache(std::int64_t capacity, std::int64_t keys, std::int64_t channels,
                        Generator& generator) {
  const Floats all = randn({1, 2, capacity, channels}, generator);
  all.slice(2, keys, capacity)
      .copy_(Floats::full({1, 2, capacity - keys, channels}, std::nanf("")));
  return cast<T>(all);
}

template <class T>
void check_last_key(std::int64_t queries, std::int64_t channels, std::int64_t capacity,
                    std::int64_t keys) {
  CAPTURE(queries);
  CAPTURE(channels);
  CAPTURE(keys);
  Generator generator(3);
  const auto q = cast<T>(randn({1, 2, queries, channels}, generator));
  const auto k = keys_of_cache<T>(capacity, keys, channels, generator);
  const auto v = keys_of_cache<T>(capacity, keys, channels, generator);
  const auto mask = cast<T>(randn({1, 1, 1, capacity}, generator));
  for (const bool causal : {false, true}) {
    if (causal && keys < queries) {
      continue;
    }
    const auto expected =
        scaled_dot_product_attention(q, k.slice(2, 0, keys), v.slice(2, 0, keys),
                                     {.mask = mask.slice(3, 0, keys), .causal = causal});
    const AttentionOptions<T> options{
        .mask = mask, .causal = causal, .last_key = Ids::full({1}, keys - 1)};
    CHECK(equal(scaled_dot_product_attention(q, k, v, options), expected));
    AttentionOptions<T> there = options;
    there.mask = mask.to(cuda);
    there.last_key = there.last_key.to(cuda);
    const auto got = scaled_dot_product_attention(q.to(cuda), k.to(cuda), v.to(cuda), there);
    const float difference = max(abs(cast<float>(got.to(cpu)) - cast<float>(expected))).item();
    CHECK(difference < (std::is_same_v<T, float> ? 1e-5F : 0.03F));
  }
}

}  // namespace

TEST_CASE("keys behind the last one are not there") {
  const std::int64_t cases[][4] = {{1, 8, 20, 14},   {3, 8, 20, 14},     {12, 8, 20, 14},
                                   {1, 64, 1100, 1}, {1, 64, 1100, 65},  {2, 128, 300, 129},
                                   {7, 64, 300, 64}, {1, 80, 1100, 700}, {2, 24, 1100, 1099},
                                   {1, 3, 300, 80},  {1, 136, 300, 80}};
  for (const auto& c : cases) {
    check_last_key<float>(c[0], c[1], c[2], c[3]);
    check_last_key<bf16>(c[0], c[1], c[2], c[3]);
  }
}

TEST_CASE("recorded attention takes the keys that are there when it runs") {
  Generator generator(4);
  const Floats q = randn({1, 2, 1, 64}, generator);
  const Ids last = Ids::full({1}, 0, cuda);
  const Floats k = Floats::full({1, 2, 1100, 64}, std::nanf(""), cuda);
  const Floats v = Floats::full({1, 2, 1100, 64}, std::nanf(""), cuda);
  const Floats q_there = q.to(cuda);
  Floats y;
  const DeviceGraph graph = DeviceGraph::record(
      cuda, [&] { y = scaled_dot_product_attention(q_there, k, v, {.last_key = last}); });
  for (const std::int64_t keys : {1, 64, 65, 700, 1100, 2}) {
    CAPTURE(keys);
    const Floats all_k = keys_of_cache<float>(1100, keys, 64, generator);
    const Floats all_v = keys_of_cache<float>(1100, keys, 64, generator);
    k.copy_(all_k);
    v.copy_(all_v);
    last.copy_(Ids::full({1}, keys - 1));
    graph.run();
    const Floats expected =
        scaled_dot_product_attention(q, all_k.slice(2, 0, keys), all_v.slice(2, 0, keys));
    CHECK(max(abs(y.to(cpu) - expected)).item() < 1e-5F);
  }
}

namespace {

Gpt2<float> small_model(bool cross) {
  Gpt2Config config;
  config.vocab_size = 31;
  config.n_positions = 24;
  config.n_embd = 16;
  config.n_layer = 2;
  config.n_head = 2;
  config.add_cross_attention = cross;
  Generator generator(11);
  return Gpt2<float>(config, generator);
}

/// The largest difference between what sessions of the same model on both devices say, over steps
/// of one token, and one reordering of rows.
float largest_difference(bool cross, const Gpt2SessionOptions<float>& options,
                         const std::vector<std::int64_t>& rows) {
  const Gpt2<float> model = small_model(cross);
  Gpt2<float> moved = small_model(cross);
  to(moved, cuda);
  Gpt2SessionOptions<float> there = options;
  for (Floats* const part : {&there.prefix, &there.memory}) {
    *part = part->defined() ? part->to(cuda) : *part;
  }
  Gpt2Session<float> here(model, options);
  Gpt2Session<float> session(moved, there);
  float largest = 0;
  std::vector<Floats> kept;
  std::vector<std::vector<float>> as_they_were;
  const auto step = [&](const Ids& ids) {
    const Floats expected = here.step(ids);
    kept.push_back(session.step(ids));
    as_they_were.push_back(kept.back().to_vector());
    largest = std::max(largest, max(abs(kept.back().to(cpu) - expected)).item());
  };
  std::int64_t next = 3;
  const auto token = [&](std::int64_t batch) {
    const Ids ids = Ids::empty({batch, 1});
    for (std::int64_t b = 0; b < batch; ++b) {
      ids.data()[b] = next++ % 31;
    }
    return ids;
  };
  Ids prompt = Ids::full({3, 4}, 7);
  prompt.data()[5] = 1;
  step(prompt);
  for (int i = 0; i < 5; ++i) {
    step(token(3));
  }
  const auto order = Ids::from_values({static_cast<std::int64_t>(rows.size())}, rows);
  here.reorder(order);
  session.reorder(order);
  for (int i = 0; i < 5; ++i) {
    step(token(order.numel()));
  }
  for (std::size_t i = 0; i < kept.size(); ++i) {  // no step changes what one before it gave
    CHECK(kept[i].to_vector() == as_they_were[i]);
  }
  return largest;
}

}  // namespace

TEST_CASE("steps of a session that are recorded say what the CPU's say") {
  constexpr float bound = 1e-5F;
  Generator generator(5);
  const Floats memory = randn({3, 5, 16}, generator);
  Tensor<bool> real = Tensor<bool>::full({3, 5}, true);
  real.data()[3] = real.data()[4] = real.data()[9] = false;
  for (const std::vector<std::int64_t>& rows :
       {std::vector<std::int64_t>{2, 0, 0}, std::vector<std::int64_t>{1},
        std::vector<std::int64_t>{0, 1, 2, 1}}) {
    CAPTURE(rows.size());
    CHECK(largest_difference(false, {}, rows) < bound);
    CHECK(largest_difference(false, {.prefix = randn({3, 2, 16}, generator)}, rows) < bound);
    CHECK(largest_difference(false, {.left_padding = {0, 2, 3}}, rows) < bound);
    CHECK(largest_difference(false,
                             {.prefix = randn({3, 2, 16}, generator), .left_padding = {1, 0, 3}},
                             rows) < bound);
    CHECK(largest_difference(true, {.memory = memory}, rows) < bound);
    CHECK(largest_difference(true,
                             {.left_padding = {1, 0, 2}, .memory = memory, .memory_mask = real},
                             rows) < bound);
  }
}

TEST_CASE("recorded steps refuse what steps refuse") {
  Gpt2<float> model = small_model(false);
  to(model, cuda);
  Gpt2Session<float> session(model);
  session.begin(8);
  const Ids one = Ids::full({2, 1}, 4);
  (void)session.step(Ids::full({2, 3}, 1));
  for (int i = 0; i < 3; ++i) {
    (void)session.step(one);
  }
  CHECK_THROWS_WITH_AS((void)session.step(Ids::full({2, 1}, 31)),
                       "[embedding] index 31 at position 0 is outside [0, 31)", IndexError);
  (void)session.step(one);
  (void)session.step(one);
  CHECK_THROWS_WITH_AS((void)session.step(one),
                       "[Gpt2Session] begin(8) reserved 8 tokens, of which 8 are taken: 1 more do "
                       "not fit; begin(n) starts anew",
                       IndexError);
  // A session that begins anew records anew.
  session.begin(20);
  const auto texts = greedy(session, Ids::full({2, 3}, 1), {.max_new_tokens = 17});
  CHECK(texts[0].size() == 17);
}

namespace {

/// Each step's logits are others, and the same on every device.
template <class T>
struct RandomLogits {
  using value_type = T;

  Device device;
  std::int64_t tokens;
  double spread;
  std::uint64_t steps = 0;

  Tensor<T> step(const Ids& ids) {
    Generator generator(++steps);
    Tensor<float> logits = randn({ids.size(0), tokens}, generator, 0, static_cast<float>(spread));
    logits.slice(1, 3, 6).fill_(static_cast<float>(2 * spread));  // as probable as each other
    logits.slice(1, 6, 8).fill_(-std::numeric_limits<float>::infinity());
    return cast<T>(logits).to(device);
  }
  void reorder(const Ids& /*rows*/) {}
};

template <class T>
void check_draws(std::int64_t tokens, double spread, const SamplingOptions& options) {
  CAPTURE(tokens);
  CAPTURE(options.temperature);
  CAPTURE(options.top_k);
  CAPTURE(options.top_p);
  const auto drawn = [&](Device device) {
    RandomLogits<T> model{device, tokens, spread};
    Generator generator(11);
    return sample(model, Ids::zeros({5, 1}), options, generator);
  };
  CHECK(drawn(cuda) == drawn(cpu));
}

}  // namespace

TEST_CASE("what is drawn of the likeliest tokens is what is drawn of all") {
  const StopOptions stop{.max_new_tokens = 20};
  for (const std::int64_t tokens : {9, 256, 3000}) {
    for (const double spread : {0.2, 3.0}) {
      check_draws<float>(tokens, spread, {.stop = stop});
      check_draws<float>(tokens, spread, {.stop = stop, .temperature = 0.5});
      check_draws<float>(tokens, spread, {.stop = stop, .top_k = 2});  // of three as probable
      check_draws<float>(tokens, spread, {.stop = stop, .top_k = 7});
      check_draws<float>(tokens, spread, {.stop = stop, .top_k = 400, .top_p = 0.7});
      check_draws<float>(tokens, spread, {.stop = stop, .top_k = 2000});  // the whole row
      check_draws<float>(tokens, spread, {.stop = stop, .top_p = 0.3});
      check_draws<float>(tokens, spread, {.stop = stop, .temperature = 2, .top_p = 0.99});
      check_draws<bf16>(tokens, spread, {.stop = stop, .top_p = 0.9});
    }
  }
  // Where nothing can be drawn the error is the CPU's.
  const auto message = [](Device device, double value) {
    struct Broken {
      using value_type = float;
      Device device;
      float value;
      Floats step(const Ids& ids) const {
        Floats logits = Floats::full({ids.size(0), 300}, -1);
        logits.slice(1, 7, 9).fill_(value);
        return logits.to(device);
      }
      void reorder(const Ids& /*rows*/) {}
    } model{device, static_cast<float>(value)};
    Generator generator(1);
    try {
      (void)sample(model, Ids::zeros({1, 1}), {}, generator);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(message(cuda, NAN) == "[sample] the logit of token 7 is NaN");
  CHECK(message(cuda, NAN) == message(cpu, NAN));
  CHECK(message(cuda, INFINITY) == "[sample] the largest logit is inf");
  CHECK(message(cuda, INFINITY) == message(cpu, INFINITY));
}
