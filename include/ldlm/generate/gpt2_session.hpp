#pragma once
// Gpt2Session: GPT-2 decoding step by step, as generation wants it (see CausalLm).
//
//   ldlm::Gpt2Session<float> session(gpt2, {.prefix = latents});
//   auto texts = ldlm::beam_search(session, prompts, {.num_beams = 5});

#include <algorithm>
#include <utility>
#include <vector>

#include <ldlm/core/device_graph.hpp>
#include <ldlm/generate/causal_lm.hpp>
#include <ldlm/models/gpt2.hpp>

namespace ldlm {

/// What the sequences of a session have beside their tokens.
template <Floating T>
struct Gpt2SessionOptions {
  Tensor<T> prefix{};  // (B, L, C): embeddings before the prompts
  /// B: so many ids at the left of a row are padding; of the first step's n ids fewer than n.
  std::vector<std::int64_t> left_padding{};
  Tensor<T> memory{};          // (B, S, C), for cross-attention
  Tensor<bool> memory_mask{};  // (B, S), with a memory only
};

/// The state of a GPT-2 over a batch of sequences: a CausalLm. It keeps the model's parameters
/// alive, and computes without gradients and without dropout. Every generation begins anew. On a
/// device that can record work, steps of one token are recorded and repeated.
template <Floating T>
class Gpt2Session {
 public:
  using value_type = T;

  explicit Gpt2Session(Gpt2<T> model, Gpt2SessionOptions<T> options = {})
      : model_(std::move(model)), given_(std::move(options)), options_(given_) {
    LDLM_CHECK(options_.memory.defined() || !options_.memory_mask.defined(), "Gpt2Session",
               "memory_mask has no effect without a memory");
    LDLM_CHECK_SHAPE(!options_.prefix.defined() || options_.prefix.rank() == 3, "Gpt2Session",
                     "needs a prefix (B, L, C), got ", to_string(options_.prefix.shape()));
    LDLM_CHECK_INDEX(max_tokens() >= 0, "Gpt2Session", "a prefix of ", prefix_length(),
                     " is longer than n_positions = ", model_.config.n_positions);
  }

  /// How many tokens a sequence can be fed: the model's positions, less those of the prefix.
  [[nodiscard]] std::int64_t max_tokens() const {
    return model_.config.n_positions - prefix_length();
  }

  /// Forgets all tokens; at most so many will come, prompt included, and more are refused. Without
  /// this, as many as the model takes. Generation does it: to go on by hand afterwards, begin
  /// again.
  void begin(std::int64_t tokens) {
    LDLM_CHECK(tokens > 0, "Gpt2Session", "begin needs room for at least one token, got ", tokens);
    options_ = given_;
    reserved_ = tokens;
    started_ = false;
    forget_step();
  }

  /// Appends ids (B, n) and returns the logits (B, V) of the token after them. In the first step n
  /// may be 0 if there is a prefix.
  Tensor<T> step(const Tensor<std::int64_t>& ids) {
    const NoGrad scope;
    const EvaluationMode mode;
    LDLM_CHECK_STATE(ids.defined(), "Gpt2Session", "the ids are undefined");
    LDLM_CHECK_SHAPE(ids.rank() == 2, "Gpt2Session", "needs ids (B, n), got ",
                     to_string(ids.shape()));
    Gpt2Inputs<T> inputs;
    if (!started_) {
      start(ids.size(0), ids.size(1));
      inputs.prefix = options_.prefix;
    }
    LDLM_CHECK_SHAPE(ids.size(0) == batch_, "Gpt2Session", "has ", batch_, " sequences, got ids ",
                     to_string(ids.shape()), "; begin(n) starts anew");
    LDLM_CHECK_SHAPE(ids.size(1) > 0 || inputs.prefix.defined(), "Gpt2Session",
                     "needs at least one token, got ids ", to_string(ids.shape()));
    const std::int64_t added = ids.size(1) + (inputs.prefix.defined() ? prefix_length() : 0);
    const std::int64_t total = cache_.size() + added;
    LDLM_CHECK_INDEX(total <= model_.config.n_positions, "Gpt2Session", total,
                     " positions are more than n_positions = ", model_.config.n_positions);
    LDLM_CHECK_INDEX(total <= cache_.capacity(), "Gpt2Session", "begin(", reserved_, ") reserved ",
                     reserved_, " tokens, of which ",
                     started_ ? cache_.size() - prefix_length() : 0, " are taken: ", ids.size(1),
                     " more do not fit; begin(n) starts anew");
    const bool can_be_recorded =
        added == 1 && total > 1 && DeviceGraph::is_supported(model_.wte.device());
    if (can_be_recorded && is_warm_) {
      return recorded_step(ids);
    }
    if (ids.size(1) > 0) {
      inputs.ids = ids;
    }
    inputs.cache = &cache_;
    if (!options_.left_padding.empty()) {
      describe_padding(inputs, total, total - added, added);
    }
    set_memory(inputs);
    Tensor<T> logits = logits_of(inputs);
    started_ = true;             // what was refused until here can be tried again, with the prefix
    is_warm_ = can_be_recorded;  // what the device sets up when it is first asked is not recorded
    return logits;
  }

  /// Sequence i becomes what sequence rows[i] was; their number may change.
  void reorder(const Tensor<std::int64_t>& rows) {
    LDLM_CHECK(started_, "Gpt2Session", "there is nothing to reorder before the first step");
    cache_.reorder(rows);
    if (rows.numel() != batch_ || !options_.left_padding.empty() ||
        options_.memory_mask.defined()) {
      forget_step();
    }
    batch_ = rows.numel();
    if (!options_.left_padding.empty()) {
      std::vector<std::int64_t> padding;
      for (const std::int64_t row : rows.to_vector()) {
        padding.push_back(options_.left_padding[static_cast<std::size_t>(row)]);
      }
      options_.left_padding = std::move(padding);
    }
    if (options_.memory_mask.defined()) {
      options_.memory_mask = index_select(options_.memory_mask, 0, rows);
    }
  }

 private:
  [[nodiscard]] std::int64_t prefix_length() const {
    return options_.prefix.defined() ? options_.prefix.size(1) : 0;
  }

  void start(std::int64_t batch, std::int64_t prompt) {
    const auto check_batch = [&](std::int64_t given, std::string_view what) {
      LDLM_CHECK_SHAPE(given == batch, "Gpt2Session", what, " of ", given,
                       " sequences with ids of ", batch);
    };
    if (options_.prefix.defined()) {
      check_batch(options_.prefix.size(0), "a prefix");
    }
    if (options_.memory.defined()) {
      check_batch(options_.memory.size(0), "a memory");
    }
    if (options_.memory_mask.defined()) {
      options_.memory_mask = options_.memory_mask.to(model_.wte.device());
    }
    if (!options_.left_padding.empty()) {
      check_batch(static_cast<std::int64_t>(options_.left_padding.size()), "left padding");
      // The last id is a real one: the next token is predicted from it.
      const std::int64_t most = std::max<std::int64_t>(0, prompt - 1);
      for (std::size_t row = 0; row < options_.left_padding.size(); ++row) {
        const std::int64_t padding = options_.left_padding[row];
        LDLM_CHECK(padding >= 0 && padding <= most, "Gpt2Session", "left_padding of row ", row,
                   " is ", padding, "; of ", prompt, " ids 0 to ", most, " can be padding");
      }
    }
    const std::int64_t most = model_.config.n_positions;
    cache_ = model_.make_cache(
        batch, reserved_ > 0 ? std::min(most, prefix_length() + std::min(most, reserved_)) : most,
        options_.memory.defined() ? options_.memory.size(1) : 0);
    batch_ = batch;
  }

  // A step of one token a sequence, which a device does again and again in the same memory.
  struct RecordedStep {
    Tensor<std::int64_t> changing;  // (1 + B): the place in the cache, the ids; with padding also
                                    // (B) their positions
    Gpt2Inputs<T> inputs;           // views of it, and what stays
    Tensor<T> logits;
    DeviceGraph graph;
  };
  void forget_step() {
    recorded_ = {};
    is_warm_ = false;
  }
  Tensor<T> recorded_step(const Tensor<std::int64_t>& ids) {
    const Tensor<std::int64_t> next = ids.to(cpu);
    detail::check_indices(next, model_.config.vocab_size, "embedding");
    const std::int64_t place = cache_.size();
    Gpt2Inputs<T> padded;
    std::vector<std::int64_t> changing{place};
    for (const std::int64_t id : next.to_vector()) {
      changing.push_back(id);
    }
    if (!options_.left_padding.empty()) {
      describe_padding(padded, recorded_.graph ? place + 1 : cache_.capacity(), place, 1);
      const std::vector<std::int64_t> positions = padded.positions.to_vector();
      changing.insert(changing.end(), positions.begin(), positions.end());
    }
    if (!recorded_.graph) {
      record_step(padded, static_cast<std::int64_t>(changing.size()));
    }
    cache_.advance(1);
    recorded_.changing.copy_(detail::as_row(changing));
    recorded_.graph.run();
    return recorded_.logits.clone();
  }
  void record_step(const Gpt2Inputs<T>& padded, std::int64_t changing) {
    const Device device = model_.wte.device();
    recorded_.changing = Tensor<std::int64_t>::empty({changing}, device);
    Gpt2Inputs<T>& inputs = recorded_.inputs;
    const auto column = [&](std::int64_t first) {
      return recorded_.changing.slice(0, first, first + batch_).unsqueeze(1);
    };
    inputs.cache = &cache_;
    inputs.cache_position = recorded_.changing.slice(0, 0, 1);
    inputs.ids = column(1);
    if (padded.mask.defined()) {
      inputs.mask = padded.mask.to(device);
      inputs.positions = column(1 + batch_);
    }
    set_memory(inputs);
    recorded_.graph = DeviceGraph::record(device, [&] { recorded_.logits = logits_of(inputs); });
    inputs.cache = nullptr;  // a session that moves has it elsewhere
  }
  Tensor<T> logits_of(const Gpt2Inputs<T>& inputs) const {
    return model_.head(model_.hidden(inputs).select(1, -1)).value();
  }
  void set_memory(Gpt2Inputs<T>& inputs) const {
    if (options_.memory.defined()) {
      inputs.memory = options_.memory;
      inputs.memory_mask = options_.memory_mask;
    }
  }

  // Padding lies between prefix and prompt. It is masked, and takes no position numbers. `total`
  // positions have a mask, of which `added` from `first` on get numbers.
  void describe_padding(Gpt2Inputs<T>& inputs, std::int64_t total, std::int64_t first,
                        std::int64_t added) const {
    const std::int64_t prefix = prefix_length();
    inputs.mask = Tensor<bool>::empty({batch_, total});
    inputs.positions = Tensor<std::int64_t>::empty({batch_, added});
    for (std::int64_t b = 0; b < batch_; ++b) {
      const std::int64_t padding = options_.left_padding[static_cast<std::size_t>(b)];
      for (std::int64_t i = 0; i < total; ++i) {
        const bool real = i < prefix || i >= prefix + padding;
        inputs.mask.data()[b * total + i] = real;
        if (i >= first && i < first + added) {
          inputs.positions.data()[b * added + i - first] =
              i < prefix ? i : std::max(prefix, i - padding);
        }
      }
    }
  }

  Gpt2<T> model_;
  Gpt2SessionOptions<T> given_;
  Gpt2SessionOptions<T> options_;  // of the sequences as they are ordered now
  Gpt2Cache<T> cache_;
  std::int64_t batch_ = 0;
  std::int64_t reserved_ = 0;
  bool started_ = false;
  bool is_warm_ = false;  // a step of one token was made as it is
  RecordedStep recorded_;
};

}  // namespace ldlm
