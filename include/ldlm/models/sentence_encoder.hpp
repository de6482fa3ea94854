#pragma once
// SentenceEncoder: one vector a text, as sentence-transformers makes it from the same folder.
//
//   const auto encoder = ldlm::SentenceEncoder<float>::from_pretrained("all-MiniLM-L6-v2");
//   const auto vectors = encoder.encode(texts);              // (N, D)
//   const auto query = encoder.encode({"a question"}, {.prompt_name = "query"});
//
// The folder holds a BERT with its tokenizer and, beside modules.json, what is to be done with its
// states. A BERT without modules.json gives the mean of its states; other files of
// sentence-transformers do not count there. Positions count from a text's first token, whatever its
// batch: a tokenizer's padding side changes nothing.

#include <algorithm>
#include <functional>
#include <numeric>
#include <span>

#include <ldlm/core/stable_sort.hpp>
#include <ldlm/models/bert.hpp>
#include <ldlm/models/sentence_modules.hpp>
#include <ldlm/text/batch.hpp>
#include <ldlm/text/tokenizer.hpp>

namespace ldlm {

struct SentenceEncodeOptions {
  std::int64_t batch_size = 32;
  /// Put before every text. Unset: the prompt of `prompt_name`.
  std::optional<std::string> prompt = std::nullopt;
  /// One of the folder's prompts. Unset: its default_prompt_name, if it has one.
  std::optional<std::string> prompt_name = std::nullopt;
  /// Called after every batch with the number of texts done.
  std::function<void(std::size_t)> progress{};
  /// Called for every text that is cut to max_length(), with its number and its tokens.
  std::function<void(std::size_t, std::int64_t)> on_cut{};
};

template <Floating T = float>
class SentenceEncoder {
 public:
  /// Throws an Error with the file and the key for what is not supported.
  static SentenceEncoder from_pretrained(const std::filesystem::path& folder,
                                         PretrainedReport* report = nullptr) {
    SentenceModules<T> modules = detail::read_sentence_modules<T>(folder);
    SentenceInputs inputs;
    if (modules.described) {
      inputs = SentenceInputs::from_folder(folder, modules.encoder);
    }
    Bert<T> bert = Bert<T>::from_pretrained(modules.encoder, report);
    Tokenizer tokenizer = Tokenizer::from_folder(modules.encoder);
    const std::string name = folder.native();
    LDLM_CHECK_FILE(static_cast<std::int64_t>(tokenizer.id_bound()) <= bert.config.vocab_size,
                    "from_pretrained", modules.encoder.native(), ": the tokenizer has ids up to ",
                    tokenizer.id_bound() - 1, ", vocab_size of config.json is ",
                    bert.config.vocab_size);
    const std::int64_t positions = bert.config.max_position_embeddings;
    const std::string length_place =
        inputs.max_length ? inputs.config_name + ": max_seq_length"
        : tokenizer.model_max_length()
            ? (modules.encoder / "tokenizer_config.json").native() + ": model_max_length"
            : (modules.encoder / "config.json").native() + ": max_position_embeddings";
    LDLM_CHECK_AS(file, inputs.max_length.value_or(0) <= positions, "from_pretrained", length_place,
                  ": texts of ", inputs.max_length.value_or(0),
                  " tokens are longer than max_position_embeddings ", positions);
    inputs.max_length = std::min(
        inputs.max_length.value_or(tokenizer.model_max_length().value_or(positions)), positions);
    LDLM_CHECK_AS(file, !inputs.do_lower_case || lowers_case(tokenizer), "from_pretrained",
                  inputs.config_name, ": do_lower_case is only supported with a tokenizer that ",
                  "lowers the case itself");
    const auto added = static_cast<std::int64_t>(tokenizer.post_processor().added(false));
    LDLM_CHECK_AS(file, *inputs.max_length >= added, "from_pretrained", length_place, ": texts of ",
                  *inputs.max_length, " tokens leave no room for the ", added, " special tokens");
    std::int64_t width =
        bert.config.hidden_size * static_cast<std::int64_t>(modules.pooling.size());
    for (const auto& step : modules.steps) {
      if (step.dense) {
        const Weight<T>& weight = step.dense->linear.weight;
        LDLM_CHECK_FILE(weight.in() == width, "from_pretrained", name, ": a Dense module takes ",
                        weight.in(), " values, the one before it gives ", width);
        width = weight.out();
      }
    }
    return SentenceEncoder(std::move(bert), std::move(tokenizer), std::move(modules),
                           std::move(inputs), width);
  }

  /// Vectors (N, D) of the texts, in their order. Texts are read in batches of about one length.
  /// Throws for a text without any token and for a prompt's name that the folder lacks.
  [[nodiscard]] Tensor<T> encode(std::span<const std::string> texts,
                                 const SentenceEncodeOptions& options = {}) const {
    const NoGrad no_grad;
    const EvaluationMode evaluation;
    LDLM_CHECK(options.batch_size > 0, "encode", "batch_size must be positive, got ",
               options.batch_size);
    const std::string prompt = prompt_of(options);
    const std::int64_t skipped =
        modules_.include_prompt || prompt.empty() ? 0 : prompt_tokens(prompt);
    LDLM_CHECK(skipped < max_length(), "encode", "the prompt ", detail::quote(prompt), " takes ",
               skipped, " tokens, texts are cut to ", max_length(),
               ", and the folder's include_prompt is false: nothing is left");
    std::vector<std::vector<TokenId>> tokens;
    for (const std::string& text : texts) {
      tokens.push_back(tokenizer_.encode_ids(prompt + text, {.add_special_tokens = false}));
    }
    std::vector<std::size_t> order(texts.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    detail::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return tokens[a].size() > tokens[b].size();
    });
    Tensor<T> out = Tensor<T>::empty({static_cast<std::int64_t>(texts.size()), dimension_});
    for (std::size_t first = 0; first < order.size();) {
      const std::size_t last =
          std::min(order.size(), first + static_cast<std::size_t>(options.batch_size));
      std::vector<std::string> batch;
      for (std::size_t i = first; i < last; ++i) {
        const std::size_t text = order[i];
        const std::int64_t length = in_template(tokens[text].size());
        LDLM_CHECK(length > 0, "encode", "text ", text + 1, " is empty: it has no token");
        if (length > max_length() && options.on_cut) {
          options.on_cut(text, length);
        }
        batch.push_back(prompt + texts[text]);
      }
      const Tensor<T> vectors = encode_batch(batch, skipped).to(cpu);
      for (std::size_t i = first; i < last; ++i) {
        out.select(0, static_cast<std::int64_t>(order[i]))
            .copy_(vectors.select(0, static_cast<std::int64_t>(i - first)));
      }
      first = last;
      if (options.progress) {
        options.progress(first);
      }
    }
    return out;
  }
  [[nodiscard]] Tensor<T> encode(std::initializer_list<std::string> texts,
                                 const SentenceEncodeOptions& options = {}) const {
    return encode(std::span<const std::string>(texts.begin(), texts.size()), options);
  }

  /// Moves it: texts are read there, their vectors are on the CPU.
  void to(Device device) {
    ldlm::to(bert_, device);
    for (auto& step : modules_.steps) {
      if (step.dense) {
        ldlm::to(step.dense->linear, device);
      }
    }
  }

  /// D.
  [[nodiscard]] std::int64_t dimension() const noexcept { return dimension_; }
  /// Tokens of the longest text that is not cut, special tokens included.
  [[nodiscard]] std::int64_t max_length() const { return *inputs_.max_length; }
  /// Whether the folder says how texts become vectors (modules.json).
  [[nodiscard]] bool described() const noexcept { return modules_.described; }
  [[nodiscard]] const std::map<std::string, std::string>& prompts() const {
    return inputs_.prompts;
  }
  [[nodiscard]] const Bert<T>& bert() const noexcept { return bert_; }
  [[nodiscard]] const Tokenizer& tokenizer() const noexcept { return tokenizer_; }

 private:
  SentenceEncoder(Bert<T> bert, Tokenizer tokenizer, SentenceModules<T> modules,
                  SentenceInputs inputs, std::int64_t dimension)
      : bert_(std::move(bert)),
        tokenizer_(std::move(tokenizer)),
        modules_(std::move(modules)),
        inputs_(std::move(inputs)),
        dimension_(dimension) {}

  static bool lowers_case(const Tokenizer& tokenizer) {
    const auto& steps = tokenizer.normalizer().steps();
    return std::any_of(steps.begin(), steps.end(), [](const NormalizerStep& step) {
      const auto* const bert = std::get_if<BertNormalizer>(&step);
      const auto* const unicode = std::get_if<UnicodeNormalizer>(&step);
      return (bert != nullptr && bert->lowercase) ||
             (unicode != nullptr && *unicode == UnicodeNormalizer::lowercase);
    });
  }

  [[nodiscard]] std::string prompt_of(const SentenceEncodeOptions& options) const {
    LDLM_CHECK(!options.prompt || !options.prompt_name, "encode",
               "prompt and prompt_name are two ways to say what comes before every text: set one");
    if (options.prompt) {
      return *options.prompt;
    }
    const auto& name = options.prompt_name ? options.prompt_name : inputs_.default_prompt_name;
    if (!name) {
      return {};
    }
    const auto found = inputs_.prompts.find(*name);
    std::string known;
    for (const auto& [other, text] : inputs_.prompts) {
      known += (known.empty() ? "" : ", ") + other;
    }
    LDLM_CHECK(found != inputs_.prompts.end(), "encode", "there is no prompt named ",
               detail::quote(*name), "; the folder has ", known);
    return found->second;
  }
  // Tokens of the prompt with those that the template puts before it.
  [[nodiscard]] std::int64_t prompt_tokens(const std::string& prompt) const {
    const auto ids = tokenizer_.encode_ids(prompt);
    const bool ends_special = !ids.empty() && tokenizer_.added_tokens().is_special(ids.back());
    return static_cast<std::int64_t>(ids.size()) - (ends_special ? 1 : 0);
  }
  [[nodiscard]] std::int64_t in_template(std::size_t tokens) const {
    return static_cast<std::int64_t>(tokens + tokenizer_.post_processor().added(false));
  }

  [[nodiscard]] Tensor<T> encode_batch(const std::vector<std::string>& texts,
                                       std::int64_t skipped) const {
    const TokenBatch batch = to_batch(tokenizer_, texts,
                                      {.max_length = max_length(),
                                       .pad_id = bert_.config.pad_token_id,
                                       .padding_side = TextDirection::right});
    const Variable<T> states = bert_(batch).hidden;
    Tensor<bool> counted = batch.mask;
    if (skipped > 0) {
      counted = batch.mask.clone();
      counted.slice(1, 0, std::min(skipped, batch.ids.size(1))).fill_(false);
    }
    std::vector<Variable<T>> pooled;
    for (const PoolingMode mode : modules_.pooling) {
      pooled.push_back(pool(states, mode, batch.mask, counted));
    }
    Variable<T> out = pooled.size() == 1 ? pooled.front() : concat(pooled, 1);
    for (const auto& step : modules_.steps) {
      out = step.dense ? (*step.dense)(out) : normalize_rows(out);
    }
    return out.value();
  }

  Bert<T> bert_;
  Tokenizer tokenizer_;
  SentenceModules<T> modules_;
  SentenceInputs inputs_;
  std::int64_t dimension_;
};

}  // namespace ldlm
