// What generation refuses: options, prompts and models that are wrong, and more tokens than a model
// or a session has room for.

#include <cmath>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <ldlm/generate/beam_search.hpp>
#include <ldlm/generate/gpt2_session.hpp>
#include <ldlm/generate/sampling.hpp>

#include "generate_support.hpp"
#include "model_support.hpp"

using generate_support::MarkovChain;
using generate_support::prompts_of;
using generate_support::weather;
using ldlm::Generator;
using ldlm::Gpt2;
using ldlm::Gpt2Session;
using ldlm::SamplingOptions;
using ldlm::StopOptions;
using ldlm::Tensor;
using model_support::contains;
using model_support::Golden;
using model_support::golden_folder;
using model_support::message_of;
using model_support::on_device;

TEST_CASE("more tokens than a model has positions for are refused before the first") {
  const auto model = on_device(Gpt2<float>::from_pretrained(golden_folder("gpt2")));
  REQUIRE(model.config.n_positions == 64);
  const auto prefix = Golden("gpt2").get<float>("prefix");
  const auto prompts = Tensor<std::int64_t>::full({3, 4}, 98);
  std::size_t tokens = 0;
  const auto refusal = [&](const Tensor<float>& before, std::int64_t count) {
    Gpt2Session<float> session(model, {.prefix = before});
    return message_of([&] {
      (void)ldlm::greedy(session, prompts, {.max_new_tokens = count},
                         [&](std::size_t, std::int64_t) { ++tokens; });
    });
  };
  CHECK(refusal({}, 100) ==
        "[greedy] max_new_tokens is 100, but the model takes 64 tokens (n_positions, less those of "
        "a prefix): 61 new ones after prompts of 4");
  CHECK(contains(refusal({}, std::numeric_limits<std::int64_t>::max()), "61 new ones"));
  const std::int64_t room = 61 - prefix.size(1);
  CHECK(contains(refusal(prefix, room + 1), std::to_string(room) + " new ones after prompts of 4"));
  CHECK(tokens == 0);
  CHECK(refusal(prefix, room) == "no error");  // the last token needs no position
  CHECK(tokens == static_cast<std::size_t>(3 * room));
}

namespace {
/// A chain that says how many tokens it takes, as programs may write it.
struct Limited : MarkovChain {
  using MarkovChain::MarkovChain;
  std::size_t max_tokens() { return 3; }
};
}  // namespace
TEST_CASE("a limit of tokens counts however it is written") {
  Limited chain({{0.5, 0.5}, {0.5, 0.5}});
  CHECK(contains(
      message_of([&] { (void)ldlm::greedy(chain, prompts_of({{0}}), {.max_new_tokens = 4}); }),
      "max_new_tokens is 4, but the model takes 3"));
  CHECK(ldlm::greedy(chain, prompts_of({{0}}), {.max_new_tokens = 3})[0].size() == 3);
}

TEST_CASE("wrong options are told apart") {
  CHECK(message_of([] { (void)ldlm::sampling_distribution(std::span<const float>(), {}); }) ==
        "[sample] there are no logits");
  MarkovChain chain(weather);
  Generator generator(1);
  const auto prompts = prompts_of({{0}});
  const auto sampled = [&](const SamplingOptions& options) {
    return message_of([&] { (void)ldlm::sample(chain, prompts, options, generator); });
  };
  CHECK(contains(sampled({.temperature = 0}), "temperature must be positive and finite, got 0"));
  CHECK(contains(sampled({.top_k = -1}), "top_k must not be negative, got -1"));
  CHECK(contains(sampled({.top_p = 1.5}), "top_p must lie in (0, 1], got 1.5"));
  CHECK(contains(sampled({.stop = {.max_new_tokens = -2}}), "max_new_tokens"));
  CHECK(contains(message_of([&] { (void)ldlm::beam_search(chain, prompts, {.num_beams = 0}); }),
                 "num_beams must lie in [1, 1000], got 0"));
  CHECK(contains(message_of([&] { (void)ldlm::greedy(chain, prompts.reshape({1})); }),
                 "needs prompts (B, n), got (1,)"));
  // Wrong options and prompts are refused even where there is nothing to generate.
  CHECK(contains(sampled({.stop = {.max_new_tokens = 0}, .temperature = -1}), "temperature"));
  for (const double bad : {static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    CHECK(contains(sampled({.temperature = bad}), "temperature"));
    CHECK(contains(message_of([&] {
                     (void)ldlm::beam_search(
                         chain, prompts, {.stop = {.max_new_tokens = 0}, .length_penalty = bad});
                   }),
                   "length_penalty must be a finite number"));
  }
  const auto none = [&](const Tensor<std::int64_t>& wrong, const std::string& reason) {
    for (const std::int64_t count : {0, 3}) {
      const StopOptions stop{.max_new_tokens = count};
      CHECK(message_of([&] { (void)ldlm::greedy(chain, wrong, stop); }) == "[greedy] " + reason);
      CHECK(message_of([&] { (void)ldlm::sample(chain, wrong, {.stop = stop}, generator); }) ==
            "[sample] " + reason);
      CHECK(message_of([&] { (void)ldlm::beam_search(chain, wrong, {.stop = stop}); }) ==
            "[beam_search] " + reason);
    }
  };
  none({}, "the prompts are undefined");
  none(Tensor<std::int64_t>::scalar(1), "needs prompts (B, n), got ()");
  none(Tensor<std::int64_t>::zeros({0}), "needs prompts (B, n), got (0,)");
  none(Tensor<std::int64_t>::zeros({1, 1, 1}), "needs prompts (B, n), got (1, 1, 1)");
  struct Nothing {
    using value_type = float;
    Tensor<float> step(const Tensor<std::int64_t>&) { return logits; }
    void reorder(const Tensor<std::int64_t>&) {}
    Tensor<float> logits{};
  } nothing;
  const auto all_ways = [&](const Tensor<float>& logits, const std::string& reason) {
    nothing.logits = logits;
    CHECK(message_of([&] { (void)ldlm::greedy(nothing, prompts); }) == "[greedy] " + reason);
    CHECK(message_of([&] { (void)ldlm::sample(nothing, prompts, {}, generator); }) ==
          "[sample] " + reason);
    CHECK(message_of([&] { (void)ldlm::beam_search(nothing, prompts); }) ==
          "[beam_search] " + reason);
  };
  all_ways({}, "step() gave an undefined tensor");
  all_ways(Tensor<float>::zeros({3, 2}), "step() gave (3, 2) for 1 sequences");
  all_ways(Tensor<float>::zeros({1, 0}), "step() gave (1, 0) for 1 sequences");
  all_ways(Tensor<float>::zeros({2}), "step() gave (2,) for 1 sequences");
  nothing.logits = Tensor<float>::full({prompts.size(0), 2}, -INFINITY);
  CHECK(message_of([&] { (void)ldlm::greedy(nothing, prompts, {.max_new_tokens = 1}); }) ==
        "[greedy] the largest logit is -inf");
  MarkovChain broken({{NAN, 1}, {1, 1}});
  CHECK(contains(message_of([&] { (void)ldlm::sample(broken, prompts, {}, generator); }),
                 "the logit of token 0 is NaN"));
}

namespace {
/// Logits of 4 tokens at first, then of others.
struct Growing {
  using value_type = float;
  Tensor<float> step(const Tensor<std::int64_t>& ids) {
    ++steps;
    return Tensor<float>::zeros({ids.size(0), steps == 1 ? 4 : later});
  }
  void reorder(const Tensor<std::int64_t>&) {}
  std::int64_t later = 4;
  int steps = 0;
};
}  // namespace
TEST_CASE("a vocabulary stays what it was, and holds the end tokens") {
  const auto prompts = prompts_of({{0}, {1}});
  Generator generator(1);
  struct Refused {
    std::string message;
    int steps;
  };
  const auto all_ways = [&](const StopOptions& stop, std::int64_t later) {
    std::vector<Refused> out;
    const auto run = [&](const auto& way) {
      Growing model{.later = later};
      const std::string message = message_of([&] { way(model); });
      out.push_back({message, model.steps});
    };
    run([&](Growing& model) { (void)ldlm::greedy(model, prompts, stop); });
    run([&](Growing& model) { (void)ldlm::sample(model, prompts, {.stop = stop}, generator); });
    run([&](Growing& model) {
      (void)ldlm::beam_search(model, prompts, {.stop = stop, .num_beams = 3});
    });
    return out;
  };
  const auto check = [&](const StopOptions& stop, std::int64_t later, const std::string& reason,
                         int steps) {
    const std::vector<Refused> found = all_ways(stop, later);
    const std::string ops[] = {"[greedy] ", "[sample] ", "[beam_search] "};
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(found[i].message == (reason == "no error" ? reason : ops[i] + reason));
      CHECK(found[i].steps == steps);
    }
  };
  for (const std::int64_t later : {1, 3, 5}) {
    check({.max_new_tokens = 3}, later,
          "step() gave logits of " + std::to_string(later) + " tokens, but of 4 in the step before",
          2);
  }
  check({.max_new_tokens = 3, .end_tokens = {3, 4}}, 4,
        "end token 4 is outside [0, 4), the model's vocabulary", 1);
  check({.max_new_tokens = 3, .end_tokens = {3, -1}}, 4, "end token -1 is negative", 0);
  check({.max_new_tokens = 0, .end_tokens = {-1}}, 4, "end token -1 is negative", 0);
  check({.max_new_tokens = 3}, 4, "no error", 3);
  Growing model;
  CHECK_THROWS_AS((void)ldlm::greedy(model, prompts, {.end_tokens = {4}}), ldlm::IndexError);
}

TEST_CASE("a session says where its tokens went, and begins anew") {
  const auto model = on_device(Gpt2<float>::from_pretrained(golden_folder("gpt2")));
  const auto prefix = Golden("gpt2").get<float>("prefix");
  const auto prompts = prompts_of({{5, 6}, {7, 8}, {9, 10}});
  const auto token = prompts.slice(1, 0, 1).contiguous();
  for (const Tensor<float>& before : {Tensor<float>(), prefix}) {
    Gpt2Session<float> session(model, {.prefix = before});
    const auto texts = ldlm::greedy(session, prompts, {.max_new_tokens = 4});
    // The last token was not fed, and has its place.
    CHECK(session.step(token).size(0) == 3);
    CHECK(message_of([&] { session.step(token); }) ==
          "[Gpt2Session] begin(6) reserved 6 tokens, of which 6 are taken: 1 more do not fit; "
          "begin(n) starts anew");
    session.begin(2);
    CHECK(message_of([&] {
            session.step(prompts_of({{1, 2, 3}, {1, 2, 3}, {1, 2, 3}}));
          }) ==
          "[Gpt2Session] begin(2) reserved 2 tokens, of which 0 are taken: 3 more do not fit; "
          "begin(n) starts anew");
    const auto logits = session.step(prompts);
    CHECK(argmax(logits).to(ldlm::cpu).at({1}) == texts[1][0]);
    session.begin(std::numeric_limits<std::int64_t>::max());
    CHECK(equal(session.step(prompts), logits));
  }
  for (const std::int64_t none : {0, -5}) {
    Gpt2Session<float> session(model);
    CHECK(message_of([&] { session.begin(none); }) ==
          "[Gpt2Session] begin needs room for at least one token, got " + std::to_string(none));
  }
  // A first step that was refused can be made again, with the prefix.
  Gpt2Session<float> tried(model, {.prefix = prefix});
  Gpt2Session<float> other(model, {.prefix = prefix});
  CHECK(contains(message_of([&] {
                   tried.step(prompts_of({{5, 99999}, {5, 6}, {5, 6}}));
                 }),
                 "index 99999 at position 1 is outside"));
  CHECK(equal(tried.step(prompts), other.step(prompts)));
  // Two sessions never share what they remember.
  static_assert(!std::is_copy_constructible_v<Gpt2Session<float>>);
  Gpt2Session<float> moved(std::move(tried));
  CHECK(equal(moved.step(token), other.step(token)));
  // Of texts that end, those that do not are left.
  Gpt2Session<float> session(model);
  const auto free = ldlm::greedy(session, prompts, {.max_new_tokens = 3});
  (void)ldlm::greedy(session, prompts, {.max_new_tokens = 3, .end_tokens = {free[0][0]}});
  CHECK(contains(message_of([&] {
                   session.step(prompts_of({{1}, {1}, {1}, {1}}));
                 }),
                 " sequences, got ids (4, 1); begin(n) starts anew"));
}
