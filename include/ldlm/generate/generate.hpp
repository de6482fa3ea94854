#pragma once
// generate: texts that go on with prompts, from a GPT-2 and its tokenizer.
//
//   std::vector<std::string> texts = ldlm::generate(gpt2, tokenizer, {"Once upon a time"});
//   texts = ldlm::generate(gpt2, tokenizer, prompts, {.temperature = 0.8, .top_p = 0.95},
//   generator);

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/generate/beam_search.hpp>
#include <ldlm/generate/gpt2_session.hpp>
#include <ldlm/generate/sampling.hpp>
#include <ldlm/text/batch.hpp>
#include <ldlm/text/decode_stream.hpp>

namespace ldlm {

struct GenerateOptions {
  std::int64_t max_new_tokens = 50;  // fewer where the model's positions end
  /// Any of these ends a text. Unset: those of the model's config.
  std::optional<std::vector<std::int64_t>> end_tokens = std::nullopt;
  /// Begins every prompt with the config's bos_token_id, as models have learned texts that were
  /// trained behind one. An empty prompt begins so in any case.
  bool add_bos = false;
  // How a token is drawn: with a generator only.
  double temperature = 1;
  std::int64_t top_k = 0;  // 0: all
  double top_p = 1;
  // Beam search: without a generator only.
  std::int64_t num_beams = 1;
  double length_penalty = 1;
  /// Called with the number of a prompt and the text that comes next, as it comes: all of them
  /// together are the result. Not with beams, which are chosen at the end.
  std::function<void(std::size_t prompt, std::string_view text)> on_text{};
};

namespace detail {

/// Prompts as the first ids of a GPT-2's texts, padded on the left to one length.
template <Floating T>
TokenBatch prompt_batch(const Gpt2<T>& model, const Tokenizer& tokenizer,
                        const std::vector<std::string>& prompts, bool add_bos) {
  std::vector<std::vector<TokenId>> rows;
  for (const std::string& prompt : prompts) {
    std::vector<TokenId> ids = tokenizer.encode_ids(prompt);
    if (ids.empty() || add_bos) {
      const auto start = model.config.start_token();
      LDLM_CHECK(start, "generate", "prompt ", rows.size(), ids.empty() ? " is empty, and" : ":",
                 " the model's config has no bos_token_id to begin with");
      ids.insert(ids.begin(), *start);
    }
    const TokenId largest = *std::max_element(ids.begin(), ids.end());
    LDLM_CHECK_INDEX(largest < model.config.vocab_size, "generate", "prompt ", rows.size(),
                     " has the id ", largest, ", the model's vocab_size is ",
                     model.config.vocab_size);
    LDLM_CHECK(static_cast<std::int64_t>(ids.size()) <= model.config.n_positions, "generate",
               "prompt ", rows.size(), " has ", ids.size(), " tokens, the model takes 1 to ",
               model.config.n_positions);
    rows.push_back(std::move(ids));
  }
  return to_batch(rows, {.pad_id = 0, .padding_side = TextDirection::left});
}

/// The texts of tokens as they come.
class GeneratedTexts {
 public:
  GeneratedTexts(const Tokenizer& tokenizer, std::size_t count, const StopOptions& stop,
                 const GenerateOptions& options)
      : streams_(count, DecodeStream(tokenizer)),
        texts_(count),
        bound_(static_cast<std::int64_t>(tokenizer.id_bound())),
        stop_(&stop),
        options_(&options) {}

  /// Ids of an end, and those beyond the vocabulary that some models have rows for, have no text.
  void add(std::size_t row, std::int64_t token) {
    if (token < bound_ && !stop_->is_end(token)) {
      append(row, streams_[row].push(token));
    }
  }
  std::vector<std::string> finish() {
    for (std::size_t row = 0; row < texts_.size(); ++row) {
      append(row, streams_[row].finish());
    }
    return std::move(texts_);
  }

 private:
  void append(std::size_t row, const std::string& text) {
    texts_[row] += text;
    if (options_->on_text && !text.empty()) {
      options_->on_text(row, text);
    }
  }

  std::vector<DecodeStream> streams_;
  std::vector<std::string> texts_;
  std::int64_t bound_;
  const StopOptions* stop_;
  const GenerateOptions* options_;
};

template <Floating T>
std::vector<std::string> generate(const Gpt2<T>& model, const Tokenizer& tokenizer,
                                  const std::vector<std::string>& prompts,
                                  const GenerateOptions& options, Generator* generator) {
  // Wrong options are refused even where there is nothing to do.
  StopOptions stop{.max_new_tokens = options.max_new_tokens,
                   .end_tokens = options.end_tokens.value_or(model.config.end_tokens())};
  stop.check_end_tokens("generate", model.config.vocab_size);
  stop.validate("generate");
  SamplingOptions{stop, options.temperature, options.top_k, options.top_p}.validate("generate");
  BeamSearchOptions{
      .stop = stop, .num_beams = options.num_beams, .length_penalty = options.length_penalty}
      .validate("generate");
  if (prompts.empty()) {
    return {};
  }
  const TokenBatch batch = prompt_batch(model, tokenizer, prompts, options.add_bos);
  const std::int64_t longest = batch.ids.size(1);
  // The last token needs no position: nothing is predicted from it.
  stop.max_new_tokens = std::min(options.max_new_tokens, model.config.n_positions - longest + 1);
  Gpt2SessionOptions<T> padding;
  if (std::any_of(batch.lengths.begin(), batch.lengths.end(),
                  [&](std::int64_t length) { return length < longest; })) {
    for (const std::int64_t length : batch.lengths) {
      padding.left_padding.push_back(longest - length);
    }
  }
  Gpt2Session<T> session(model, std::move(padding));
  GeneratedTexts texts(tokenizer, prompts.size(), stop, options);
  const TokenCallback add = [&texts](std::size_t row, std::int64_t token) {
    texts.add(row, token);
  };
  if (generator != nullptr) {
    const SamplingOptions sampling{stop, options.temperature, options.top_k, options.top_p};
    (void)sample(session, batch.ids, sampling, *generator, add);
  } else if (options.num_beams == 1) {
    (void)greedy(session, batch.ids, stop, add);
  } else {
    const auto found = beam_search(
        session, batch.ids,
        {.stop = stop, .num_beams = options.num_beams, .length_penalty = options.length_penalty});
    for (std::size_t row = 0; row < found.size(); ++row) {
      for (const std::int64_t token :
           found[row].empty() ? std::vector<std::int64_t>() : found[row].front().tokens) {
        texts.add(row, token);
      }
    }
  }
  return texts.finish();
}

}  // namespace detail

/// What the model goes on with after each prompt, without the prompt: the likeliest tokens, or,
/// with num_beams > 1, the best text of a beam search.
/// Throws for options that only a generator makes use of, for prompts that are longer
/// than the model's positions or have ids that it lacks.
template <Floating T>
std::vector<std::string> generate(const Gpt2<T>& model, const Tokenizer& tokenizer,
                                  const std::vector<std::string>& prompts,
                                  const GenerateOptions& options = {}) {
  LDLM_CHECK(options.temperature == 1 && options.top_k == 0 && options.top_p == 1, "generate",
             "temperature, top_k and top_p need a generator to draw from");
  LDLM_CHECK(options.num_beams == 1 || !options.on_text, "generate",
             "beams are chosen at the end: on_text needs num_beams = 1");
  LDLM_CHECK(options.num_beams > 1 || options.length_penalty == 1, "generate",
             "length_penalty needs num_beams > 1");
  return detail::generate(model, tokenizer, prompts, options, nullptr);
}
/// The same, each token drawn as `sample` draws it. The generator moves on.
template <Floating T>
std::vector<std::string> generate(const Gpt2<T>& model, const Tokenizer& tokenizer,
                                  const std::vector<std::string>& prompts,
                                  const GenerateOptions& options, Generator& generator) {
  LDLM_CHECK(options.num_beams == 1 && options.length_penalty == 1, "generate",
             "num_beams and length_penalty do not go with a generator");
  return detail::generate(model, tokenizer, prompts, options, &generator);
}

}  // namespace ldlm
