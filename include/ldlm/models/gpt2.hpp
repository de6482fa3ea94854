#pragma once
// GPT-2 (Radford et al., 2019): a causal language model whose output matrix is its word embedding,
// unless its configuration or its weights have another.
//
//   auto gpt2 = ldlm::Gpt2<float>::from_pretrained("distilgpt2");
//   auto logits = gpt2({.ids = ids});                       // (B, T) -> (B, T, V)
//   auto loss = gpt2.loss({.ids = ids}, ids);               // shifted by one, as usual
//   auto tuned = gpt2.loss({.ids = ids, .prefix = latents}, ids);   // text after embeddings,
//                                                                   // a Tensor or a Variable
//
// Decoding step by step is in generate/gpt2_session.hpp. Parameters carry the names of Hugging
// Face's checkpoints and lie as there: matrices are (in, out).

#include <cmath>
#include <optional>

#include <ldlm/autograd/autograd.hpp>
#include <ldlm/models/gpt2_config.hpp>
#include <ldlm/models/initializer.hpp>
#include <ldlm/models/pretrained.hpp>
#include <ldlm/nn/attention.hpp>
#include <ldlm/nn/norm.hpp>
#include <ldlm/text/token_batch.hpp>

namespace ldlm {

/// Keys and values of all layers.
template <Floating T>
struct Gpt2Cache {
  std::vector<KvCache<T>> self;   // of the sequence so far
  std::vector<KvCache<T>> cross;  // of the memory; empty without cross-attention

  Gpt2Cache() = default;
  Gpt2Cache(const Gpt2Cache&) = delete;  // as a KvCache's
  Gpt2Cache& operator=(const Gpt2Cache&) = delete;
  Gpt2Cache(Gpt2Cache&&) noexcept = default;
  Gpt2Cache& operator=(Gpt2Cache&&) noexcept = default;
  ~Gpt2Cache() = default;

  /// Positions so far.
  [[nodiscard]] std::int64_t size() const { return self.empty() ? 0 : self.front().size(); }
  /// Room for so many.
  [[nodiscard]] std::int64_t capacity() const { return self.empty() ? 0 : self.front().capacity(); }
  /// Counts so many more positions, which were written.
  void advance(std::int64_t positions) {
    for (KvCache<T>& cache : self) {
      cache.advance(positions);
    }
  }
  /// Sequence b becomes what sequence rows[b] was; their number may change.
  void reorder(const Tensor<std::int64_t>& rows) {
    for (auto* caches : {&self, &cross}) {
      for (KvCache<T>& cache : *caches) {
        cache.reorder(rows);
      }
    }
  }
};

/// A batch of B sequences, each P positions of the cache, L of the prefix and T tokens long. Tokens
/// or prefix may be missing.
template <Floating T>
struct Gpt2Inputs {
  Tensor<std::int64_t> ids{};        // (B, T)
  AnyOperand<T> prefix{};            // (B, L, C), read as embeddings before those of the tokens
  Tensor<bool> mask{};               // (B, P + L + T), false where a position is padding
  Tensor<std::int64_t> positions{};  // (B, L + T); undefined: counted from P + position_offset
  std::int64_t position_offset = 0;
  AnyOperand<T> memory{};         // (B, S, C), for cross-attention
  Tensor<bool> memory_mask{};     // (B, S), false where the memory is padding
  Gpt2Cache<T>* cache = nullptr;  // appended to; needs a NoGrad scope
  /// (1), on the device: where in the cache the one token of each sequence goes, in place of behind
  /// what it counts; for work that is recorded. The mask is then of all reserved positions.
  Tensor<std::int64_t> cache_position{};
};

/// Attention to the memory: queries from the sequence, keys and values from the memory.
template <Floating T>
struct Gpt2CrossAttention {
  using value_type = T;

  Linear<T> c_attn, q_attn, c_proj;
  LayerNorm<T> norm;

  Gpt2CrossAttention(const Gpt2Config& c, const Initializer<T>& init, double scale)
      : c_attn(init.conv1d(c.n_embd, 2 * c.n_embd)),
        q_attn(init.conv1d(c.n_embd, c.n_embd)),
        c_proj(init.conv1d(c.n_embd, c.n_embd, scale)),
        norm(c.n_embd, c.layer_norm_epsilon) {}

  template <class V>
  void visit(V&& v) {
    v("crossattention.c_attn", c_attn);
    v("crossattention.q_attn", q_attn);
    v("crossattention.c_proj", c_proj);
    v("ln_cross_attn", norm);
  }
};

/// One layer. Its first norm is applied by the model, together with the sum before it.
template <Floating T>
struct Gpt2Block {
  using value_type = T;

  LayerNorm<T> ln_1, ln_2;
  Linear<T> attention, attention_proj, fc, fc_proj;
  std::optional<Gpt2CrossAttention<T>> cross;
  Dropout<T> attention_dropout, dropout;
  std::int64_t heads;
  Activation activation;

  Gpt2Block(const Gpt2Config& c, const Initializer<T>& init, double scale)
      : ln_1(c.n_embd, c.layer_norm_epsilon),
        ln_2(c.n_embd, c.layer_norm_epsilon),
        attention(init.conv1d(c.n_embd, 3 * c.n_embd)),
        attention_proj(init.conv1d(c.n_embd, c.n_embd, scale)),
        fc(init.conv1d(c.n_embd, c.inner())),
        fc_proj(init.conv1d(c.inner(), c.n_embd, scale)),
        attention_dropout(c.attn_pdrop),
        dropout(c.resid_pdrop),
        heads(c.n_head),
        activation(c.activation_function) {
    if (c.add_cross_attention) {
      cross.emplace(c, init, scale);
    }
  }

  /// x (B, T, C), normalised -> (B, T, C)
  Variable<T> attend(const Variable<T>& x, const AttentionContext<T>& context) const {
    return dropout(attention_proj(attend_packed(attention(x), heads, attention_dropout, context)));
  }
  /// x (B, T, C), normalised, memory (B, S, C) -> (B, T, C)
  Variable<T> attend_memory(const Variable<T>& x, const Variable<T>& memory,
                            const AttentionContext<T>& context) const {
    return dropout(cross->c_proj(ldlm::attend_memory(
        cross->q_attn(x), [&] { return cross->c_attn(memory); }, heads, attention_dropout,
        context)));
  }
  /// x (B, T, C), normalised -> (B, T, C)
  Variable<T> feed_forward(const Variable<T>& x) const {
    return dropout(fc_proj(fc(x, activation)));
  }

  template <class V>
  void visit(V&& v) {
    v("ln_1", ln_1);
    v("attn.c_attn", attention);
    v("attn.c_proj", attention_proj);
    v("attn.attn_dropout", attention_dropout);
    v("ln_2", ln_2);
    v("", cross);
    v("mlp.c_fc", fc);
    v("mlp.c_proj", fc_proj);
    v("mlp.dropout", dropout);
  }
};

/// The language model.
template <Floating T = float>
struct Gpt2 {
  using value_type = T;

  Gpt2Config config;
  Weight<T> wte;  // (V, C): the embedding, and the output matrix that is tied to it
  Embedding<T> wpe;
  Dropout<T> dropout;
  std::vector<Gpt2Block<T>> h;
  LayerNorm<T> ln_f;
  Weight<T> lm_head;  // (V, C); undefined: tied to wte, or none if tie_word_embeddings is false

  /// New weights: normal with deviation initializer_range, less for the maps onto the residual sum.
  Gpt2(const Gpt2Config& c, Generator& generator)
      : Gpt2(c, Initializer<T>(&generator, c.initializer_range)) {}
  /// As `init` makes the weights.
  Gpt2(const Gpt2Config& c, const Initializer<T>& init)
      : config(detail::validated(c)),
        wte(init.normal({c.vocab_size, c.n_embd})),
        wpe(init.embedding(c.n_positions, c.n_embd)),
        dropout(c.embd_pdrop),
        ln_f(c.n_embd, c.layer_norm_epsilon) {
    const double scale = 1 / std::sqrt(2 * static_cast<double>(c.n_layer));
    for (std::int64_t i = 0; i < c.n_layer; ++i) {
      h.emplace_back(c, init, scale);
    }
    if (!c.tie_word_embeddings) {
      lm_head = Weight<T>(init.normal({c.vocab_size, c.n_embd}));
    }
  }

  /// Loads a folder of Hugging Face's: a GPT2LMHeadModel, a GPT2Model, or one with another head,
  /// whose tensors `report` then names. As in transformers a lm_head that differs from the
  /// embedding that it is tied to is used, and `report` warns. Without any output matrix, tied or
  /// not, only hidden() can be called.
  static Gpt2 from_pretrained(const std::filesystem::path& folder,
                              PretrainedReport* report = nullptr) {
    const JsonReader json = open_config(folder, "gpt2");
    auto config = Gpt2Config::from_json(json);
    const SafetensorsModel file = SafetensorsModel::open(folder);
    detail::check_sizes(file, json, config.n_layer,
                        {{"vocab_size", config.vocab_size},
                         {"n_positions", config.n_positions},
                         {"n_embd", config.n_embd},
                         {"n_inner", config.inner()}});
    PretrainedReport found;
    const auto head = packed_format(json)
                          ? (config.tie_word_embeddings ? OutputMatrix::tied : OutputMatrix::own)
                          : detail::find_output_matrix<T>(
                                file, "lm_head.weight", {"transformer.wte.weight", "wte.weight"},
                                config.tie_word_embeddings, found.warnings);
    config.tie_word_embeddings = head == OutputMatrix::tied || head == OutputMatrix::as_embedding;
    Gpt2 model(config, Initializer<T>(nullptr, 0));
    if (head == OutputMatrix::absent) {
      model.lm_head = {};
    }
    found.unused = detail::load_pretrained(
        model, file, json,
        detail::CheckpointNames("transformer.", {"wte.", "wpe.", "h.", "ln_f."}, true, "lm_head."),
        [head](std::string_view name) -> std::optional<std::string> {
          if (name == "lm_head.weight" && head != OutputMatrix::own) {
            return head == OutputMatrix::as_embedding
                       ? std::optional<std::string>("transformer.wte.weight")
                       : std::nullopt;
          }
          return is_buffer(name) ? std::nullopt : std::optional<std::string>(name);
        });
    if (report != nullptr) {
      *report = std::move(found);
    }
    return model;
  }
  /// Writes a folder that from_pretrained and transformers' GPT2LMHeadModel load; GPT2Model, if
  /// there is no output matrix.
  void save_pretrained(const std::filesystem::path& folder) const {
    FolderUpdate update(folder);
    save_pretrained(update);
    update.commit();
  }
  /// The same as a part of an update.
  void save_pretrained(FolderUpdate& update, const std::filesystem::path& part = {}) const {
    ldlm::save_pretrained(*this, config.to_json(has_head() ? "GPT2LMHeadModel" : "GPT2Model"),
                          update, part);
  }

  /// Whether there is an output matrix, its own or the embedding.
  [[nodiscard]] bool has_head() const { return config.tie_word_embeddings || lm_head.defined(); }

  /// States (B, L + T, C) of the last layer, normalised.
  Variable<T> hidden(const Gpt2Inputs<T>& inputs) const {
    Variable<T> x = embed(inputs);
    AttentionContext<T> self;
    self.causal = true;
    self.cache_position = inputs.cache_position;
    if (inputs.mask.defined()) {
      const Shape expected{x.size(0), inputs.cache_position.defined() ? inputs.cache->capacity()
                                                                      : past(inputs) + x.size(1)};
      LDLM_CHECK_SHAPE(inputs.mask.shape() == expected, "gpt2", "mask ",
                       to_string(inputs.mask.shape()), " does not fit the sequences, ",
                       to_string(expected));
      self.mask = padding_mask<T>(inputs.mask, x.device());
    }
    AttentionContext<T> cross;
    LDLM_CHECK(inputs.memory.defined() || !inputs.memory_mask.defined(), "gpt2",
               "memory_mask has no effect without a memory");
    if (inputs.memory_mask.defined()) {
      cross.mask = padding_mask<T>(inputs.memory_mask, x.device());
    }
    LDLM_CHECK(inputs.memory.defined() == config.add_cross_attention, "gpt2",
               config.add_cross_attention ? "needs a memory for its cross-attention"
                                          : "got a memory, but has no cross-attention");
    LDLM_CHECK(inputs.cache == nullptr || inputs.cache->self.size() == h.size(), "gpt2",
               "the cache has ", inputs.cache->self.size(), " layers, the model ", h.size());
    // Each sum and the norm behind it are one pass over memory, across the border of two blocks.
    Variable<T> normalized = h.front().ln_1(x);
    const auto add = [&](const Variable<T>& update, const LayerNorm<T>& norm) {
      const auto out = norm(update, x);
      x = out.sum;
      normalized = out.normalized;
    };
    for (std::size_t i = 0; i < h.size(); ++i) {
      const Gpt2Block<T>& block = h[i];
      if (inputs.cache != nullptr) {
        self.cache = &inputs.cache->self[i];
        cross.cache = block.cross ? &inputs.cache->cross[i] : nullptr;
      }
      Variable<T> update = block.attend(normalized, self);
      if (block.cross) {
        add(update, block.cross->norm);
        update = block.attend_memory(normalized, inputs.memory, cross);
      }
      add(update, block.ln_2);
      add(block.feed_forward(normalized), i + 1 < h.size() ? h[i + 1].ln_1 : ln_f);
    }
    return normalized;
  }

  /// Logits (..., V) for states (..., C).
  Variable<T> head(const Variable<T>& states) const { return linear(states, head_weight()); }

  /// Logits (B, L + T, V): those at a position are for the token after it.
  Variable<T> operator()(const Gpt2Inputs<T>& inputs) const { return head(hidden(inputs)); }
  Variable<T> operator()(const std::same_as<Tensor<std::int64_t>> auto& ids) const {
    return (*this)({.ids = ids});
  }
  /// The same of a batch of texts. Positions count from the left of the batch, as in transformers.
  Variable<T> operator()(const std::same_as<TokenBatch> auto& batch) const {
    return (*this)({.ids = batch.ids, .mask = batch.mask});
  }

  /// Mean cross-entropy of `labels` (B, T), which are the ids but for those that shall not count
  /// (ignore_index). Each is predicted from the position before it: the first one from the prefix,
  /// and not at all without one. The logits are never held all at once.
  Variable<ComputeType<T>> loss(const Gpt2Inputs<T>& inputs, const Tensor<std::int64_t>& labels,
                                const CrossEntropyOptions<T>& options = {}) const {
    LDLM_CHECK_STATE(inputs.ids.defined(), "gpt2", "the ids are undefined");
    LDLM_CHECK_SHAPE(labels.shape() == inputs.ids.shape(), "gpt2", "labels ",
                     to_string(labels.shape()), " do not fit ids ", to_string(inputs.ids.shape()));
    const std::int64_t prefix = inputs.prefix.defined() ? inputs.prefix.size(1) : 0;
    const std::int64_t skipped = prefix > 0 ? 0 : 1;
    LDLM_CHECK_SHAPE(labels.size(1) > skipped, "gpt2", "no token has one before it in ids ",
                     to_string(labels.shape()));
    const Variable<T> states =
        hidden(inputs).slice(1, prefix + skipped - 1, prefix + labels.size(1) - 1);
    const Tensor<std::int64_t> targets = labels.slice(1, skipped);
    return linear_cross_entropy(states.reshape({targets.numel(), config.n_embd}), head_weight(),
                                targets.reshape({targets.numel()}), options);
  }

  /// An empty cache for B sequences of at most `positions`, over memories of `memory_positions`.
  [[nodiscard]] Gpt2Cache<T> make_cache(std::int64_t batch, std::int64_t positions,
                                        std::int64_t memory_positions = 0) const {
    const std::int64_t head_dim = config.n_embd / config.n_head;
    const Device device = wte.device();
    Gpt2Cache<T> cache;
    for (const Gpt2Block<T>& block : h) {
      cache.self.emplace_back(batch, config.n_head, positions, head_dim, device);
      if (block.cross) {
        cache.cross.emplace_back(batch, config.n_head, memory_positions, head_dim, device);
      }
    }
    return cache;
  }

  template <class V>
  void visit(V&& v) {
    v("transformer.wte.weight", wte);
    v("transformer.wpe", wpe);
    v("transformer.drop", dropout);
    v("transformer.h", h);
    v("transformer.ln_f", ln_f);
    v("lm_head.weight", lm_head);
  }

 private:
  using OutputMatrix = detail::OutputMatrix;

  // The masks of attention, which old files hold.
  static bool is_buffer(std::string_view name) {
    const auto ends = {".attn.bias", ".attn.masked_bias", ".crossattention.bias",
                       ".crossattention.masked_bias"};
    return std::any_of(ends.begin(), ends.end(),
                       [name](std::string_view end) { return name.ends_with(end); });
  }
  [[nodiscard]] const Weight<T>& head_weight() const {
    LDLM_CHECK(has_head(), "gpt2",
               "has no output matrix: tie_word_embeddings is false, and its "
               "folder has no lm_head.weight");
    return lm_head.defined() ? lm_head : wte;
  }
  static std::int64_t past(const Gpt2Inputs<T>& inputs) {
    return inputs.cache != nullptr ? inputs.cache->size() : 0;
  }

  // Prefix and tokens with their positions, (B, L + T, C).
  Variable<T> embed(const Gpt2Inputs<T>& inputs) const {
    LDLM_CHECK_STATE(inputs.ids.defined() || inputs.prefix.defined(), "gpt2",
                     "needs ids or a prefix");
    LDLM_CHECK(!inputs.cache_position.defined() || inputs.cache != nullptr, "gpt2",
               "cache_position needs a cache");
    LDLM_CHECK_SHAPE(!inputs.ids.defined() || inputs.ids.rank() == 2, "gpt2",
                     "needs ids (B, T), got ", to_string(inputs.ids.shape()));
    LDLM_CHECK_SHAPE(!inputs.prefix.defined() ||
                         (inputs.prefix.rank() == 3 && inputs.prefix.size(2) == config.n_embd),
                     "gpt2", "needs a prefix (B, L, ", config.n_embd, "), got ",
                     to_string(inputs.prefix.shape()));
    LDLM_CHECK_SHAPE(!inputs.prefix.defined() || !inputs.ids.defined() ||
                         inputs.prefix.size(0) == inputs.ids.size(0),
                     "gpt2", "a prefix ", to_string(inputs.prefix.shape()), " does not fit ids ",
                     to_string(inputs.ids.shape()));
    LDLM_CHECK(inputs.position_offset == 0 || !inputs.positions.defined(), "gpt2",
               "position_offset has no effect beside positions");
    Variable<T> x = inputs.prefix;
    if (inputs.ids.defined()) {
      const Variable<T> tokens = embedding(wte, inputs.ids);
      x = x.defined() ? concat(std::vector<Variable<T>>{x, tokens}, 1) : tokens;
    }
    if (inputs.positions.defined()) {
      LDLM_CHECK_SHAPE(inputs.positions.rank() == 2 && inputs.positions.size(1) == x.size(1),
                       "gpt2", "positions ", to_string(inputs.positions.shape()), " do not fit ",
                       x.size(1), " prefix positions and tokens");
      return dropout(x + wpe(inputs.positions));
    }
    if (inputs.cache_position.defined()) {
      LDLM_CHECK(inputs.position_offset == 0, "gpt2",
                 "position_offset does not go with cache_position: give positions");
      return dropout(x + wpe(inputs.cache_position.unsqueeze(0)));
    }
    const std::int64_t first = past(inputs) + inputs.position_offset;
    LDLM_CHECK_INDEX(first >= 0 && first + x.size(1) <= config.n_positions, "gpt2", "positions ",
                     first, " to ", first + x.size(1) - 1,
                     " are not all below n_positions = ", config.n_positions);
    return dropout(x + wpe.weight.slice(0, first, first + x.size(1)));
  }
};

}  // namespace ldlm
