#pragma once
// BERT (Devlin et al., 2018): the encoder with its pooler, and the masked language model.
//
//   auto bert = ldlm::Bert<float>::from_pretrained("all-MiniLM-L6-v2");
//   auto batch = ldlm::to_batch(tokenizer, texts);              // ids, mask, types: (B, T)
//   auto states = bert(batch).hidden;                           // (B, T, C)
//   auto sentences = ldlm::mean_pool(states, batch.mask);       // (B, C)
//
// Parameters carry the names of Hugging Face's checkpoints; so do the members, in the style of this
// library.

#include <algorithm>
#include <concepts>

#include <ldlm/models/bert_config.hpp>
#include <ldlm/models/initializer.hpp>
#include <ldlm/models/pooling.hpp>
#include <ldlm/models/pretrained.hpp>
#include <ldlm/nn/attention.hpp>
#include <ldlm/nn/norm.hpp>
#include <ldlm/text/token_batch.hpp>

namespace ldlm {

/// A batch of B texts of T tokens.
struct BertInputs {
  Tensor<std::int64_t> ids;               // (B, T)
  Tensor<bool> mask{};                    // (B, T), true where a token is real; all, if undefined
  Tensor<std::int64_t> token_type_ids{};  // (B, T), 0 if undefined
};

/// A batch without what says nothing: a mask where nothing is padding, types where all are 0.
[[nodiscard]] inline BertInputs bert_inputs(const TokenBatch& batch) {
  LDLM_CHECK_STATE(batch.ids.defined(), "bert", "the ids are undefined");
  const std::int64_t longest = batch.ids.size(-1);
  const bool padded = std::any_of(batch.lengths.begin(), batch.lengths.end(),
                                  [longest](std::int64_t length) { return length < longest; });
  const bool typed = batch.type_ids.numel() > 0 && max(batch.type_ids).item() > 0;
  return {.ids = batch.ids,
          .mask = padded ? batch.mask : Tensor<bool>(),
          .token_type_ids = typed ? batch.type_ids : Tensor<std::int64_t>()};
}

template <Floating T>
struct BertOutput {
  Variable<T> hidden;  // (B, T, C), the last layer's states
  Variable<T> pooled;  // (B, C), undefined without a pooler
};

/// Sum of word, position and type embeddings, normalised.
template <Floating T>
struct BertEmbeddings {
  using value_type = T;

  Embedding<T> words, positions, token_types;
  LayerNorm<T> norm;
  Dropout<T> dropout;

  BertEmbeddings(const BertConfig& c, const Initializer<T>& init)
      : words(init.embedding(c.vocab_size, c.hidden_size)),
        positions(init.embedding(c.max_position_embeddings, c.hidden_size)),
        token_types(init.embedding(c.type_vocab_size, c.hidden_size)),
        norm(c.hidden_size, c.layer_norm_eps),
        dropout(c.hidden_dropout_prob) {}

  /// -> (B, T, C)
  Variable<T> operator()(const BertInputs& inputs) const {
    const Tensor<std::int64_t>& ids = inputs.ids;
    LDLM_CHECK_STATE(ids.defined(), "bert", "the ids are undefined");
    LDLM_CHECK_SHAPE(ids.rank() == 2, "bert", "needs ids (B, T), got ", to_string(ids.shape()));
    LDLM_CHECK_SHAPE(ids.size(1) > 0, "bert", "needs at least one token, got ids ",
                     to_string(ids.shape()));
    LDLM_CHECK_INDEX(ids.size(1) <= positions.weight.size(0), "bert", "texts of ", ids.size(1),
                     " tokens are longer than max_position_embeddings ", positions.weight.size(0));
    LDLM_CHECK_SHAPE(
        !inputs.token_type_ids.defined() || inputs.token_type_ids.shape() == ids.shape(), "bert",
        "token_type_ids ", to_string(inputs.token_type_ids.shape()), " do not fit ids ",
        to_string(ids.shape()));
    Variable<T> place = positions.weight.slice(0, 0, ids.size(1));
    Variable<T> type = inputs.token_type_ids.defined() ? token_types(inputs.token_type_ids)
                                                       : token_types.weight.select(0, 0);
    return dropout(norm(words(ids) + (type + place)));
  }

  template <class V>
  void visit(V&& v) {
    v("word_embeddings", words);
    v("position_embeddings", positions);
    v("token_type_embeddings", token_types);
    v("LayerNorm", norm);
    v("dropout", dropout);
  }
};

/// Self-attention and feed-forward, each followed by residual and layer norm.
template <Floating T>
struct BertLayer {
  using value_type = T;

  Linear<T> query, key, value, attention_output, intermediate, output;
  LayerNorm<T> attention_norm, output_norm;
  Dropout<T> attention_dropout, dropout;
  std::int64_t heads;
  Activation activation;

  BertLayer(const BertConfig& c, const Initializer<T>& init)
      : query(init.linear(c.hidden_size, c.hidden_size)),
        key(init.linear(c.hidden_size, c.hidden_size)),
        value(init.linear(c.hidden_size, c.hidden_size)),
        attention_output(init.linear(c.hidden_size, c.hidden_size)),
        intermediate(init.linear(c.hidden_size, c.intermediate_size)),
        output(init.linear(c.intermediate_size, c.hidden_size)),
        attention_norm(c.hidden_size, c.layer_norm_eps),
        output_norm(c.hidden_size, c.layer_norm_eps),
        attention_dropout(c.attention_probs_dropout_prob),
        dropout(c.hidden_dropout_prob),
        heads(c.num_attention_heads),
        activation(c.hidden_act) {}

  /// x (B, T, C) -> (B, T, C)
  Variable<T> operator()(const Operand<T> auto& input, const AttentionContext<T>& context) const {
    const Variable<T>& x = as_variable(input);
    const Variable<T> attended =
        attend(query(x), key(x), value(x), heads, attention_dropout, context);
    const Variable<T> y = attention_norm(dropout(attention_output(attended)), x).normalized;
    return output_norm(dropout(output(intermediate(y, activation))), y).normalized;
  }

  template <class V>
  void visit(V&& v) {
    v("attention.self.query", query);
    v("attention.self.key", key);
    v("attention.self.value", value);
    v("attention.self.dropout", attention_dropout);
    v("attention.output.dense", attention_output);
    v("attention.output.LayerNorm", attention_norm);
    v("intermediate.dense", intermediate);
    v("output.dense", output);
    v("output.LayerNorm", output_norm);
    v("output.dropout", dropout);
  }
};

namespace detail {

inline void check_bert_sizes(const SafetensorsModel& file, const JsonReader& json,
                             const BertConfig& config) {
  const std::int64_t layers = config.num_hidden_layers;
  check_sizes(file, json, layers,
              {{"vocab_size", config.vocab_size},
               {"hidden_size", config.hidden_size},
               {"intermediate_size", layers > 0 ? config.intermediate_size : 0},
               {"max_position_embeddings", config.max_position_embeddings},
               {"type_vocab_size", config.type_vocab_size}});
}

}  // namespace detail

/// The encoder. `pooler`, if there is one, maps the first token's state to a vector of the text.
template <Floating T = float>
struct Bert {
  using value_type = T;

  BertConfig config;
  BertEmbeddings<T> embeddings;
  std::vector<BertLayer<T>> layers;
  Linear<T> pooler;  // undefined weights: none

  /// New weights: normal with deviation initializer_range.
  Bert(const BertConfig& c, Generator& generator, bool with_pooler = true)
      : Bert(c, Initializer<T>(&generator, c.initializer_range), with_pooler) {}
  /// As `init` makes the weights.
  Bert(const BertConfig& c, const Initializer<T>& init, bool with_pooler)
      : config(detail::validated(c)), embeddings(c, init) {
    for (std::int64_t i = 0; i < c.num_hidden_layers; ++i) {
      layers.emplace_back(c, init);
    }
    if (with_pooler) {
      pooler = init.linear(c.hidden_size, c.hidden_size);
    }
  }

  /// Loads a folder of Hugging Face's: a BertModel, or the encoder of a model with heads on top,
  /// whose tensors `report` then names. Without a pooler in the file there is none.
  static Bert from_pretrained(const std::filesystem::path& folder,
                              PretrainedReport* report = nullptr) {
    const JsonReader json = open_config(folder, "bert");
    const auto config = BertConfig::from_json(json);
    const SafetensorsModel file = SafetensorsModel::open(folder);
    detail::check_bert_sizes(file, json, config);
    const bool with_pooler =
        file.contains("pooler.dense.weight") || file.contains("bert.pooler.dense.weight");
    Bert bert(config, Initializer<T>(nullptr, 0), with_pooler);
    auto unused = detail::load_pretrained(
        bert, file, json,
        detail::CheckpointNames("bert.", {"embeddings.", "encoder.", "pooler."}, false),
        &modern_name);
    if (report != nullptr) {
      *report = {.unused = std::move(unused), .warnings = {}};
    }
    return bert;
  }
  /// Writes a folder that from_pretrained and transformers' BertModel load.
  void save_pretrained(const std::filesystem::path& folder) const {
    ldlm::save_pretrained(*this, config.to_json("BertModel"), folder);
  }
  /// The same as a part of an update.
  void save_pretrained(FolderUpdate& update, const std::filesystem::path& part = {}) const {
    ldlm::save_pretrained(*this, config.to_json("BertModel"), update, part);
  }

  BertOutput<T> operator()(const BertInputs& inputs) const {
    Variable<T> x = embeddings(inputs);
    AttentionContext<T> context;
    if (inputs.mask.defined()) {
      LDLM_CHECK_SHAPE(inputs.mask.shape() == inputs.ids.shape(), "bert", "mask ",
                       to_string(inputs.mask.shape()), " does not fit ids ",
                       to_string(inputs.ids.shape()));
      context.mask = padding_mask<T>(inputs.mask, x.device());
    }
    for (const BertLayer<T>& layer : layers) {
      x = layer(x, context);
    }
    return {x, pooler.defined() ? tanh(pooler(x.select(1, 0))) : Variable<T>()};
  }
  // (Templates, so that {.ids = ...} means the other.)
  BertOutput<T> operator()(const std::same_as<Tensor<std::int64_t>> auto& ids) const {
    return (*this)({.ids = ids});
  }
  BertOutput<T> operator()(const std::same_as<TokenBatch> auto& batch) const {
    return (*this)(bert_inputs(batch));
  }

  template <class V>
  void visit(V&& v) {
    v("embeddings", embeddings);
    v("encoder.layer", layers);
    v("pooler.dense", pooler);
  }

  /// A name in a file under today's spelling: the first checkpoints have "LayerNorm.gamma" and
  /// "LayerNorm.beta". Nothing for buffers that hold no weights.
  static std::optional<std::string> modern_name(std::string_view name) {
    if (name.ends_with("embeddings.position_ids") || name.ends_with("embeddings.token_type_ids")) {
      return std::nullopt;
    }
    for (const auto& [old_end, new_end] :
         {std::pair("LayerNorm.gamma", "LayerNorm.weight"), {"LayerNorm.beta", "LayerNorm.bias"}}) {
      if (name.ends_with(old_end)) {
        return std::string(name.substr(0, name.size() - std::string_view(old_end).size())) +
               new_end;
      }
    }
    return std::string(name);
  }
};

/// BERT with the head that predicts masked tokens, whose output matrix is the word embedding unless
/// tie_word_embeddings is false.
template <Floating T = float>
struct BertForMaskedLM {
  using value_type = T;

  Bert<T> bert;  // without a pooler
  Linear<T> transform;
  LayerNorm<T> transform_norm;
  Variable<T> bias;     // (V)
  Variable<T> decoder;  // (V, C), dense in every format; undefined: tied to the word embedding

  /// New weights: normal with deviation initializer_range.
  BertForMaskedLM(const BertConfig& c, Generator& generator)
      : BertForMaskedLM(c, Initializer<T>(&generator, c.initializer_range)) {}
  /// As `init` makes the weights.
  BertForMaskedLM(const BertConfig& c, const Initializer<T>& init)
      : bert(c, init, false),
        transform(init.linear(c.hidden_size, c.hidden_size)),
        transform_norm(c.hidden_size, c.layer_norm_eps),
        bias(init.zeros({c.vocab_size})) {
    if (!c.tie_word_embeddings) {
      decoder = init.normal({c.vocab_size, c.hidden_size});
    }
  }

  /// Loads a folder with a BertForMaskedLM or BertForPreTraining. As in transformers an output
  /// matrix or bias in the file that differs from what it is tied to is used, and `report` warns.
  static BertForMaskedLM from_pretrained(const std::filesystem::path& folder,
                                         PretrainedReport* report = nullptr) {
    const JsonReader json = open_config(folder, "bert");
    auto config = BertConfig::from_json(json);
    const SafetensorsModel file = SafetensorsModel::open(folder);
    detail::check_bert_sizes(file, json, config);
    const std::string head = "cls.predictions.";
    const std::vector<std::string> names = file.names();
    LDLM_CHECK_FILE(std::any_of(names.begin(), names.end(),
                                [&](const std::string& name) { return name.starts_with(head); }),
                    "from_pretrained", file.origin(), ": holds no head for masked tokens (", head,
                    "*)");
    PretrainedReport found;
    const detail::OutputMatrix matrix = detail::find_output_matrix<T>(
        file, head + "decoder.weight", {"bert.embeddings.word_embeddings.weight"},
        config.tie_word_embeddings, found.warnings);
    // An untied decoder has a bias of its own.
    const detail::OutputMatrix own_bias = detail::find_output_matrix<T>(
        file, head + "decoder.bias", {head + "bias"},
        config.tie_word_embeddings || !file.contains(head + "decoder.bias"), found.warnings);
    config.tie_word_embeddings =
        matrix == detail::OutputMatrix::tied || matrix == detail::OutputMatrix::as_embedding;
    BertForMaskedLM model(config, Initializer<T>(nullptr, 0));
    model.decoder = {};
    found.unused = detail::load_pretrained(
        model, file, json,
        detail::CheckpointNames("bert.", {"embeddings.", "encoder."}, true, head),
        [&](std::string_view name) -> std::optional<std::string> {
          if (name == head + "decoder.weight") {
            return matrix == detail::OutputMatrix::as_embedding
                       ? std::optional<std::string>("bert.embeddings.word_embeddings.weight")
                       : std::nullopt;
          }
          const bool tied_bias = own_bias == detail::OutputMatrix::tied;
          if (name == head + (tied_bias ? "decoder.bias" : "bias")) {
            return std::nullopt;
          }
          return name == head + "decoder.bias" ? head + "bias" : Bert<T>::modern_name(name);
        });
    if (!config.tie_word_embeddings) {
      model.decoder = detail::load_parameter<T>(file, head + "decoder.weight",
                                                {config.vocab_size, config.hidden_size});
    }
    if (report != nullptr) {
      *report = std::move(found);
    }
    return model;
  }
  /// Writes a folder that from_pretrained and transformers' BertForMaskedLM load.
  void save_pretrained(const std::filesystem::path& folder) const {
    ldlm::save_pretrained(*this, bert.config.to_json("BertForMaskedLM"), folder);
  }
  /// The same as a part of an update.
  void save_pretrained(FolderUpdate& update, const std::filesystem::path& part = {}) const {
    ldlm::save_pretrained(*this, bert.config.to_json("BertForMaskedLM"), update, part);
  }

  /// Logits (B, T, V) of the token at each position.
  Variable<T> operator()(const BertInputs& inputs) const { return head(bert(inputs).hidden); }
  Variable<T> operator()(const std::same_as<Tensor<std::int64_t>> auto& ids) const {
    return (*this)({.ids = ids});
  }
  Variable<T> operator()(const std::same_as<TokenBatch> auto& batch) const {
    return (*this)(bert_inputs(batch));
  }

  /// Mean cross-entropy of `labels` (B, T) at the positions where they are not `ignore_index`. The
  /// head runs for those alone. Throws if there is none.
  Variable<ComputeType<T>> loss(const BertInputs& inputs, const Tensor<std::int64_t>& labels,
                                std::int64_t ignore_index = -100) const {
    LDLM_CHECK_STATE(inputs.ids.defined(), "bert", "the ids are undefined");
    LDLM_CHECK_SHAPE(labels.shape() == inputs.ids.shape(), "bert", "labels ",
                     to_string(labels.shape()), " do not fit ids ", to_string(inputs.ids.shape()));
    std::vector<std::int64_t> rows;
    std::vector<std::int64_t> targets;
    const std::vector<std::int64_t> all = labels.to_vector();
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i] != ignore_index) {
        rows.push_back(static_cast<std::int64_t>(i));
        targets.push_back(all[i]);
      }
    }
    LDLM_CHECK(!rows.empty(), "bert", "no label counts: all are ", ignore_index);
    const Shape count{static_cast<std::int64_t>(rows.size())};
    const Variable<T> states =
        index_select(bert(inputs).hidden.reshape({labels.numel(), bert.config.hidden_size}), 0,
                     Tensor<std::int64_t>::from_values(count, rows));
    return cross_entropy(head(states), Tensor<std::int64_t>::from_values(count, targets));
  }

  template <class V>
  void visit(V&& v) {
    v("bert", bert);
    v("cls.predictions.bias", bias);
    v("cls.predictions.transform.dense", transform);
    v("cls.predictions.transform.LayerNorm", transform_norm);
    if (decoder.defined()) {
      v("cls.predictions.decoder.weight", decoder);
      v("cls.predictions.decoder.bias", bias);  // under the name that transformers reads it by
    }
  }

 private:
  // (..., C) -> (..., V)
  Variable<T> head(const Variable<T>& states) const {
    return linear(transform_norm(transform(states, bert.config.hidden_act)),
                  decoder.defined() ? decoder : bert.embeddings.words.weight, bias);
  }
};

}  // namespace ldlm
