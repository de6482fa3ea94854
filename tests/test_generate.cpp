// Greedy generation, sampling and beam search: against transformers.generate on the small GPT-2,
// and on a Markov chain whose answers are known.

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <map>

#include <doctest/doctest.h>
#include <ldlm/generate/beam_search.hpp>
#include <ldlm/generate/generate.hpp>
#include <ldlm/generate/generation_config.hpp>
#include <ldlm/generate/gpt2_session.hpp>
#include <ldlm/generate/sampling.hpp>
#include <ldlm/io/json.hpp>
#include <ldlm/text/tokenizer_trainer.hpp>

#include "generate_support.hpp"
#include "io_support.hpp"
#include "model_support.hpp"

using generate_support::MarkovChain;
using generate_support::prompts_of;
using generate_support::Tokens;
using generate_support::weather;
using ldlm::BeamSearchOptions;
using ldlm::EarlyStopping;
using ldlm::GenerationConfig;
using ldlm::Generator;
using ldlm::Gpt2;
using ldlm::Gpt2Session;
using ldlm::Hypothesis;
using ldlm::JsonValue;
using ldlm::SamplingOptions;
using ldlm::StopOptions;
using ldlm::Tensor;
using ldlm::TokenSequences;
using model_support::contains;
using model_support::Golden;
using model_support::golden_folder;
using model_support::message_of;
using model_support::on_device;

static_assert(ldlm::CausalLm<Gpt2Session<float>>);

namespace {

/// Every text of the chain with its score, best first: the search without beams.
std::vector<Hypothesis> all_texts(const MarkovChain& chain, std::int64_t last,
                                  const BeamSearchOptions& options) {
  std::vector<Hypothesis> out;
  const std::function<void(Tokens, double)> extend = [&](const Tokens& tokens,
                                                         double log_probability) {
    const std::int64_t from = tokens.empty() ? last : tokens.back();
    for (std::int64_t v = 0; v < 4; ++v) {
      Tokens longer = tokens;
      longer.push_back(v);
      const double total = log_probability + std::log(chain.probability(from, v));
      const auto length = static_cast<std::int64_t>(longer.size());
      if (options.stop.is_end(v) || length == options.stop.max_new_tokens) {
        out.push_back(
            {longer, total / std::pow(static_cast<double>(length), options.length_penalty)});
      } else {
        extend(longer, total);
      }
    }
  };
  extend({}, 0);
  std::stable_sort(out.begin(), out.end(),
                   [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
  return out;
}

EarlyStopping early_stopping_of(const JsonValue& value) {
  if (value.is_string()) {
    CHECK(value.as<std::string>() == "never");
    return EarlyStopping::never;
  }
  return value.as<bool>() ? EarlyStopping::when_full : EarlyStopping::heuristic;
}

}  // namespace

TEST_CASE_TEMPLATE("generation gives the texts and scores of transformers", T, float, double) {
  const auto golden = ldlm::open_json(golden_folder("gpt2") / "generation.json");
  const auto model = on_device(Gpt2<T>::from_pretrained(golden_folder("gpt2")));
  const auto prompts = prompts_of(golden.get<std::vector<Tokens>>("prompts"));
  int texts = 0;
  double worst = 0;
  for (const JsonValue& value : golden.get<std::vector<JsonValue>>("cases")) {
    const ldlm::JsonReader test_case{value};
    const auto name = test_case.get<std::string>("name");
    CAPTURE(name);
    StopOptions stop{.max_new_tokens = golden.get<std::int64_t>("max_new_tokens"),
                     .end_tokens = test_case.get<Tokens>("eos")};
    auto padding = test_case.get<Tokens>("pad");
    if (std::count(padding.begin(), padding.end(), 0) == 3) {
      padding.clear();
    }
    Gpt2Session<T> session(model, {.left_padding = padding});
    std::vector<std::vector<Hypothesis>> found;
    if (!test_case.has("num_beams")) {
      for (const Tokens& tokens : ldlm::greedy(session, prompts, stop)) {
        found.push_back({{tokens, 0}});
      }
    } else {
      found = ldlm::beam_search(
          session, prompts,
          {.stop = stop,
           .num_beams = test_case.get<std::int64_t>("num_beams"),
           .length_penalty = test_case.get<double>("length_penalty"),
           .early_stopping = early_stopping_of(test_case.get<JsonValue>("early_stopping"))});
      for (const auto& hypotheses : found) {
        CHECK(static_cast<std::int64_t>(hypotheses.size()) ==
              test_case.get<std::int64_t>("num_beams"));
      }
    }
    const auto rows = test_case.get<std::vector<std::vector<JsonValue>>>("rows");
    REQUIRE(rows.size() == found.size());
    for (std::size_t row = 0; row < rows.size(); ++row) {
      REQUIRE(rows[row].size() <= found[row].size());
      for (std::size_t i = 0; i < rows[row].size(); ++i) {
        CAPTURE(row);
        CAPTURE(i);
        const ldlm::JsonReader expected{rows[row][i]};
        const Hypothesis& actual = found[row][i];
        CHECK(actual.tokens == expected.get<Tokens>("tokens"));
        if (expected.has("score")) {
          const auto score = expected.get<double>("score");
          const double error = std::abs(actual.score - score) / std::abs(score);
          CHECK(error <= 1e-5);
          worst = std::max(worst, error);
        }
        ++texts;
      }
    }
  }
  CHECK(texts == 363);
  const std::string type = sizeof(T) == 4 ? "float" : "double";
  MESSAGE(type, ": ", texts, " texts are the same, largest relative error of a score ", worst);
}

TEST_CASE("filters keep what transformers keeps") {
  Golden golden("gpt2", "sampling.safetensors");
  const auto logits = golden.get<double>("logits").to(ldlm::cpu);
  const std::map<std::string, SamplingOptions> cases{
      {"temperature", {.temperature = 0.7}},
      {"top_k", {.top_k = 7}},
      {"top_p", {.top_p = 0.8}},
      {"all", {.temperature = 0.7, .top_k = 7, .top_p = 0.8}}};
  for (const auto& [name, options] : cases) {
    auto probabilities = Tensor<double>::zeros(logits.shape());
    for (std::int64_t row = 0; row < logits.size(0); ++row) {
      const auto kept = ldlm::sampling_distribution(
          ldlm::detail::row_of(logits, static_cast<std::size_t>(row)), options);
      for (std::size_t i = 0; i < kept.size(); ++i) {
        probabilities.at({row, kept[i].token}) = kept[i].probability;
        CHECK((i == 0 || kept[i].probability <= kept[i - 1].probability));
      }
    }
    golden.check(probabilities, name);
  }
}

TEST_CASE("top_p sorts as far as it must, over a large vocabulary") {
  Generator generator(1);
  const auto logits = ldlm::randn<double>({5000}, generator);
  const std::span<const double> row(logits.data(), 5000);
  const auto all = ldlm::sampling_distribution(row, {});
  CHECK(all.size() == 5000);
  const auto most = ldlm::sampling_distribution(row, {.top_p = 0.9});
  double covered = 0;
  std::size_t needed = 0;
  while (covered < 0.9) {
    covered += all[needed++].probability;
  }
  CHECK(most.size() == needed);
  for (std::size_t i = 0; i < needed; ++i) {
    REQUIRE(most[i].token == all[i].token);
    REQUIRE(most[i].probability == doctest::Approx(all[i].probability / covered));
  }
  CHECK(ldlm::sampling_distribution(row, {.top_p = 1e-9}).size() == 1);
}

TEST_CASE("greedy takes the most probable token until an end token or the limit") {
  MarkovChain chain(weather);
  const auto prompts = prompts_of({{2, 0}, {3, 2}, {0, 3}});
  CHECK(ldlm::greedy(chain, prompts, {.max_new_tokens = 4}) ==
        TokenSequences{{1, 2, 2, 2}, {2, 2, 2, 2}, {0, 1, 2, 2}});
  // Rows that have ended are not computed any more: 3 + 2 + 1 rows.
  MarkovChain other(weather);
  CHECK(ldlm::greedy(other, prompts, {.max_new_tokens = 9, .end_tokens = {2}}) ==
        TokenSequences{{1, 2}, {2}, {0, 1, 2}});
  CHECK(other.steps == 6);
  MarkovChain idle(weather);
  CHECK(ldlm::greedy(idle, prompts, {.max_new_tokens = 0}) == TokenSequences(3));
  CHECK(idle.steps == 0);
}

TEST_CASE("samples follow the chain's probabilities") {
  constexpr std::int64_t texts = 4000;
  std::map<Tokens, int> counts;
  Generator generator(11);
  MarkovChain chain(weather);
  const auto prompts = Tensor<std::int64_t>::zeros({texts, 1});
  for (const Tokens& tokens :
       ldlm::sample(chain, prompts, {.stop = {.max_new_tokens = 2}}, generator)) {
    ++counts[tokens];
  }
  double chi_squared = 0;  // 15 degrees of freedom: 99.9% lie below 37.7
  for (std::int64_t a = 0; a < 4; ++a) {
    for (std::int64_t b = 0; b < 4; ++b) {
      const double expected =
          static_cast<double>(texts) * chain.probability(0, a) * chain.probability(a, b);
      chi_squared += std::pow(counts[{a, b}] - expected, 2) / expected;
    }
  }
  CHECK(chi_squared < 37.7);
}

TEST_CASE("a seed repeats texts, whatever else is in the batch") {
  const SamplingOptions options{.stop = {.max_new_tokens = 30}, .temperature = 1.3};
  const auto texts_of = [&](std::int64_t rows, Generator& generator) {
    MarkovChain chain(weather);
    return ldlm::sample(chain, Tensor<std::int64_t>::zeros({rows, 1}), options, generator);
  };
  Generator a(7);
  Generator b(7);
  const auto first = texts_of(3, a);
  const auto second = texts_of(2, b);
  CHECK(first[0] == second[0]);
  CHECK(first[1] == second[1]);
  CHECK(first[0] != first[1]);
  CHECK(texts_of(3, a) != first);  // the generator has moved on

  const auto model = on_device(Gpt2<float>::from_pretrained(golden_folder("gpt2")));
  const auto prompts = prompts_of({{5, 6}, {5, 6}});
  const SamplingOptions filtered{
      .stop = {.max_new_tokens = 20}, .temperature = 0.9, .top_k = 40, .top_p = 0.95};
  const auto write = [&] {
    Generator generator(42);
    Gpt2Session<float> session(model);
    return ldlm::sample(session, prompts, filtered, generator);
  };
  CHECK(write() == write());
}

TEST_CASE("a search with enough beams finds the best texts") {
  for (const double penalty : {1.0, 0.0, 2.5, -1.0}) {
    for (const Tokens& ends : {Tokens{}, Tokens{3}, Tokens{0, 3}}) {
      CAPTURE(penalty);
      CAPTURE(ends.size());
      const BeamSearchOptions options{.stop = {.max_new_tokens = 4, .end_tokens = ends},
                                      .num_beams = 256,
                                      .length_penalty = penalty,
                                      .early_stopping = EarlyStopping::never};
      MarkovChain chain(weather);
      const auto found = ldlm::beam_search(chain, prompts_of({{1}, {2}}), options);
      for (std::int64_t row = 0; row < 2; ++row) {
        const auto expected = all_texts(chain, row + 1, options);
        const auto& actual = found[static_cast<std::size_t>(row)];
        REQUIRE(actual.size() == expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i) {
          REQUIRE(actual[i].score == doctest::Approx(expected[i].score));
        }
        CHECK(actual[0].tokens == expected[0].tokens);
      }
    }
  }
}

TEST_CASE("one beam is greedy") {
  MarkovChain chain(weather);
  const auto prompts = prompts_of({{0}, {3}});
  const auto found =
      ldlm::beam_search(chain, prompts, {.stop = {.max_new_tokens = 6}, .num_beams = 1});
  MarkovChain other(weather);
  const auto expected = ldlm::greedy(other, prompts, {.max_new_tokens = 6});
  CHECK(found[0][0].tokens == expected[0]);
  CHECK(found[1][0].tokens == expected[1]);
}

TEST_CASE("beams read a prefix of their row") {
  const auto model = on_device(Gpt2<double>::from_pretrained(golden_folder("gpt2")));
  const auto prefix = Golden("gpt2").get<double>("prefix");
  const auto prompts = Tensor<std::int64_t>::full({3, 1}, 98);
  const BeamSearchOptions options{.stop = {.max_new_tokens = 12, .end_tokens = {26, 87, 6}}};
  Gpt2Session<double> session(model, {.prefix = prefix});
  const auto together = ldlm::beam_search(session, prompts, options);
  for (std::int64_t row = 0; row < 3; ++row) {
    Gpt2Session<double> alone(model, {.prefix = prefix.slice(0, row, row + 1).contiguous()});
    const auto found = ldlm::beam_search(alone, prompts.slice(0, 0, 1).contiguous(), options);
    REQUIRE(found[0].size() == 5);
    for (std::size_t i = 0; i < 5; ++i) {
      const Hypothesis& other = together[static_cast<std::size_t>(row)][i];
      CHECK(found[0][i].tokens == other.tokens);
      CHECK(found[0][i].score == doctest::Approx(other.score));
    }
  }
  CHECK(together[0][0].tokens != together[1][0].tokens);

  // A session can be used again: nothing of its first generation is left.
  const auto again = ldlm::beam_search(session, prompts, options);
  for (std::size_t row = 0; row < 3; ++row) {
    CHECK(again[row][0].tokens == together[row][0].tokens);
  }

  // The prefix may be all there is.
  Gpt2Session<double> unprompted(model, {.prefix = prefix});
  const auto texts =
      ldlm::greedy(unprompted, Tensor<std::int64_t>::empty({3, 0}), {.max_new_tokens = 5});
  Gpt2Session<double> stepped(model, {.prefix = prefix});
  const auto first = argmax(stepped.step(Tensor<std::int64_t>::empty({3, 0}))).to(ldlm::cpu);
  CHECK(texts[1][0] == first.at({1}));
  const auto second = argmax(stepped.step(first.unsqueeze(1))).to(ldlm::cpu);
  CHECK(texts[1][1] == second.at({1}));
}

TEST_CASE("a text without a probability is no hypothesis") {
  // After 0 come 1 and 2, after 1 comes 3, after 2 come 2 and 3, and 3 ends.
  const std::vector<std::vector<double>> few{
      {0, 0.75, 0.25, 0}, {0, 0, 0, 1}, {0, 0, 0.5, 0.5}, {1, 0, 0, 0}};
  for (const auto stopping :
       {EarlyStopping::heuristic, EarlyStopping::when_full, EarlyStopping::never}) {
    MarkovChain chain(few);
    const auto found = ldlm::beam_search(chain, prompts_of({{0}, {1}}),
                                         {.stop = {.max_new_tokens = 3, .end_tokens = {3}},
                                          .num_beams = 8,
                                          .length_penalty = 0,
                                          .early_stopping = stopping});
    REQUIRE(found[0].size() == 4);
    CHECK(found[0][0].tokens == Tokens{1, 3});
    CHECK(found[0][0].score == doctest::Approx(std::log(0.75)));
    CHECK(found[0][1].tokens == Tokens{2, 3});
    CHECK(found[0][2].score == doctest::Approx(std::log(0.0625)));
    CHECK(found[0][3].score == doctest::Approx(std::log(0.0625)));
    REQUIRE(found[1].size() == 1);
    CHECK(found[1][0].tokens == Tokens{3});
    CHECK(chain.steps == 2 + 2 + 1);  // no beam without a probability is fed
  }
  // Where nothing can come, there is no text to give.
  MarkovChain stuck({{0, 1}, {0, 0}});
  CHECK(message_of([&] { (void)ldlm::beam_search(stuck, prompts_of({{0}})); }) ==
        "[beam_search] logits are NaN or infinite");
}

TEST_CASE("what a folder says about decoding counts as in transformers, or is refused by name") {
  const io_support::TempFolder folder;
  const ldlm::Gpt2Config model{
      .vocab_size = 270, .n_positions = 32, .bos_token_id = 0, .eos_token_id = {0}};
  const auto read = [&](const std::string& file, const std::string& contents) {
    std::filesystem::remove(folder / "generation_config.json");
    std::filesystem::remove(folder / "config.json");
    std::ofstream(folder / file) << contents;
    return GenerationConfig::from_folder(folder.path(), model);
  };
  const auto own = [&](const std::string& json) { return read("generation_config.json", json); };
  // Of config.json nothing counts where generation_config.json is, no end token either.
  CHECK(own("{}").eos_token_id.empty());
  CHECK(own(R"({"do_sample": false})").eos_token_id.empty());
  CHECK(own(R"({"eos_token_id": null})").eos_token_id.empty());
  CHECK(own(R"({"eos_token_id": [0, 71]})").eos_token_id == Tokens{0, 71});
  CHECK(own(R"({"bos_token_id": 5})").bos_token_id == 5);
  CHECK(GenerationConfig::tokens_of_folder(folder.path(), model).eos_token_id.empty());
  // Where it is not, config.json says how to decode.
  const GenerationConfig old = read("config.json", R"({"do_sample": true, "max_length": 7})");
  CHECK(old.eos_token_id == Tokens{0});
  CHECK(old.do_sample);
  CHECK(old.new_tokens(5) == 2);
  CHECK(contains(message_of([&] { (void)old.new_tokens(7); }),
                 "the prompt has 7 tokens, but the folder's max_length is 7"));
  CHECK_FALSE(read("config.json", "{}").says_how);

  const auto refused = [&](const std::string& key, const std::string& value,
                           const std::string& said) {
    CAPTURE(key);
    CAPTURE(value);
    const std::string json = "{\"" + key + "\": " + value + "}";
    const std::string error = message_of([&] { (void)own(json); });
    CAPTURE(error);
    CHECK(contains(error, "generation_config.json: key \"" + key + "\" " + said));
  };
  refused("bos_token_id", "[1]", "must be one id or null, got ");
  refused("bos_token_id", "270", "must be an id below vocab_size 270, got 270");
  refused("bos_token_id", "-1", "must be an id");
  refused("eos_token_id", "[]", "must be an id, a list of ids or null, got an empty list");
  refused("eos_token_id", "[0, 270]", "must be an id below vocab_size 270");
  refused("eos_token_id", "-1", "must be an id below vocab_size 270");
  refused("pad_token_id", "-5", "must be an id below vocab_size 270, got -5");
  refused("pad_token_id", "270", "must be an id below vocab_size 270");
  refused("pad_token_id", "[1]", "must be one id or null, got ");
  refused("max_length", "1000000", "is 1000000, more than the n_positions 32 of the model");
  refused("max_length", "0", "must be at least 1");
  refused("max_new_tokens", "33", "is 33, more than the n_positions 32");
  refused("max_new_tokens", "0", "must be at least 1");
  refused("length_penalty", "-1e30", "must lie in [-100, 100], got -1e+30");
  CHECK(own(R"({"max_length": 32, "pad_token_id": 269, "length_penalty": -2})").max_length == 32);
}

TEST_CASE("texts go on with prompts of different lengths as each does alone") {
  const std::vector<std::string> lines{"the river rises in the mountains", "the town has a mill",
                                       "a mill by the river"};
  const ldlm::Tokenizer tokenizer =
      ldlm::train_bpe(lines, {.vocab_size = 280, .special_tokens = {"<|endoftext|>"}});
  ldlm::Gpt2Config config;
  config.vocab_size = 290;  // more rows than the vocabulary has
  config.n_positions = 24;
  config.n_embd = 16;
  config.n_layer = 2;
  config.n_head = 2;
  config.initializer_range = 0.5;
  config.bos_token_id = 0;
  config.eos_token_id = {0};
  Generator generator(3);
  const ldlm::Gpt2<float> model(config, generator);
  const std::vector<std::string> prompts{"the river", "", "a mill by the"};

  ldlm::GenerateOptions options{.max_new_tokens = 12};
  const auto together = ldlm::generate(model, tokenizer, prompts, options);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    CHECK(ldlm::generate(model, tokenizer, {prompts[i]}, options).front() == together[i]);
  }
  // By hand: an id at a time, from a forward pass over all of them.
  std::vector<std::int64_t> ids{0};
  std::vector<ldlm::TokenId> text;
  const ldlm::NoGrad scope;
  for (int i = 0; i < 12; ++i) {
    const auto all =
        Tensor<std::int64_t>::from_values({1, static_cast<std::int64_t>(ids.size())}, ids);
    const std::int64_t next =
        argmax(model({.ids = all}).value().select(0, 0).select(0, -1), 0).item();
    if (next == 0) {
      break;
    }
    ids.push_back(next);
    if (next < static_cast<std::int64_t>(tokenizer.id_bound())) {
      text.push_back(next);
    }
  }
  CHECK(tokenizer.decode(text) == together[1]);

  std::vector<std::string> streamed(3);
  options.on_text = [&](std::size_t prompt, std::string_view more) { streamed[prompt] += more; };
  CHECK(ldlm::generate(model, tokenizer, prompts, options) == together);
  CHECK(streamed == together);
  Generator first(5);
  Generator second(5);
  const auto drawn = ldlm::generate(model, tokenizer, prompts, {.temperature = 2}, first);
  CHECK(drawn == ldlm::generate(model, tokenizer, prompts, {.temperature = 2}, second));
  CHECK(drawn != ldlm::generate(model, tokenizer, prompts, {.temperature = 2}, second));
  CHECK(ldlm::generate(model, tokenizer, prompts, {.num_beams = 3}).size() == 3);
  CHECK(ldlm::generate(model, tokenizer, {}, options).empty());
  CHECK(ldlm::generate(model, tokenizer, {""}, {.max_new_tokens = 12, .add_bos = true}).front() ==
        together[1]);

  const auto error = [&](const std::vector<std::string>& texts, const ldlm::GenerateOptions& with) {
    return message_of([&] { (void)ldlm::generate(model, tokenizer, texts, with); });
  };
  CHECK(error({"a"}, {.top_p = 0.5}) ==
        "[generate] temperature, top_k and top_p need a generator to draw from");
  CHECK(error({"a"}, {.end_tokens = {{3, -1}}})
            .starts_with("[generate] end token -1 is outside [0, "));
  CHECK(error({}, {.end_tokens = {{3, -1}}}).starts_with("[generate] end token -1 is outside "));
  CHECK(error({}, {.max_new_tokens = -1}) ==
        "[generate] max_new_tokens must not be negative, got -1");
  CHECK(contains(error({}, {.num_beams = 0}), "num_beams must lie in [1, 1000], got 0"));
  CHECK(contains(error({}, {.num_beams = 100'000}), "num_beams must lie in [1, 1000]"));
  CHECK(contains(error({}, {.num_beams = 2, .length_penalty = NAN}), "length_penalty"));
  CHECK(contains(
      message_of([&] { (void)ldlm::generate(model, tokenizer, {}, {.temperature = -1}, first); }),
      "temperature"));
  CHECK(error({"a"}, {.length_penalty = 2}) == "[generate] length_penalty needs num_beams > 1");
  CHECK(error({"a"}, {.num_beams = 2, .on_text = options.on_text}) ==
        "[generate] beams are chosen at the end: on_text needs num_beams = 1");
  CHECK(error({"a", std::string(200, 'z')}, {}) ==
        "[generate] prompt 1 has 200 tokens, the model takes 1 to 24");
  CHECK(message_of([&] {
          (void)ldlm::generate(model, tokenizer, {"a"}, {.num_beams = 2}, first);
        }) == "[generate] num_beams and length_penalty do not go with a generator");
}
