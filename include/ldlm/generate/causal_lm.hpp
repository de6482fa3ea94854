#pragma once
// What generation asks of a language model: one step, and a choice of which sequences go on.

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include <ldlm/core/ops.hpp>

namespace ldlm {

/// The state of a causal language model over some sequences.
///   step(ids (B, n))   appends n tokens to each of the B sequences and returns the logits (B, V)
///                      of the token after them. The first call brings the prompts. V stays.
///   reorder(rows (M))  sequence i becomes what sequence rows[i] was; from then on there are M.
///   begin(n)           optional: forgets what there was; at most n tokens a sequence will come.
///   max_tokens()       optional: how many tokens a sequence can be fed.
template <class M>
concept CausalLm = Floating<typename M::value_type> &&
    requires(M& model, const Tensor<std::int64_t>& ids) {
  { model.step(ids) } -> std::same_as<Tensor<typename M::value_type>>;
  model.reorder(ids);
};

/// When a text ends.
struct StopOptions {
  std::int64_t max_new_tokens = 50;
  std::vector<std::int64_t> end_tokens{};  // of the vocabulary: any ends it, and is its last

  [[nodiscard]] bool is_end(std::int64_t token) const {
    return std::find(end_tokens.begin(), end_tokens.end(), token) != end_tokens.end();
  }
  /// Throws an Error that names the option which is out of range.
  void validate(std::string_view op) const {
    LDLM_CHECK(max_new_tokens >= 0, op, "max_new_tokens must not be negative, got ",
               max_new_tokens);
    for (const std::int64_t id : end_tokens) {
      LDLM_CHECK_INDEX(id >= 0, op, "end token ", id, " is negative");
    }
  }
  /// Throws an IndexError for an end token that is not of a vocabulary of so many.
  void check_end_tokens(std::string_view op, std::int64_t vocabulary) const {
    for (const std::int64_t id : end_tokens) {
      LDLM_CHECK_INDEX(id >= 0 && id < vocabulary, op, "end token ", id, " is outside [0, ",
                       vocabulary, "), the model's vocabulary");
    }
  }
};

/// Generated tokens of each sequence of a batch, without the prompt, with the end token if one
/// came.
using TokenSequences = std::vector<std::vector<std::int64_t>>;

/// Called with each token as it comes, and the number of its sequence in the batch.
using TokenCallback = std::function<void(std::size_t row, std::int64_t token)>;

namespace detail {

inline Tensor<std::int64_t> as_row(std::span<const std::int64_t> ids) {
  return Tensor<std::int64_t>::from_values({static_cast<std::int64_t>(ids.size())}, ids);
}

/// The elements of row i of a matrix in row-major order.
template <class T>
std::span<const T> row_of(const Tensor<T>& matrix, std::size_t i) {
  const auto columns = static_cast<std::size_t>(matrix.size(1));
  return {matrix.data() + i * columns, columns};
}

/// The logits (B, V) of a step, where the model computes.
template <CausalLm M>
Tensor<typename M::value_type> checked_step(std::string_view op, M& model,
                                            const Tensor<std::int64_t>& ids) {
  auto logits = model.step(ids);
  LDLM_CHECK_STATE(logits.defined(), op, "step() gave an undefined tensor");
  LDLM_CHECK_SHAPE(logits.rank() == 2 && logits.size(0) == ids.size(0) && logits.size(1) > 0, op,
                   "step() gave ", to_string(logits.shape()), " for ", ids.size(0), " sequences");
  return logits;
}

/// Throws, before anything is computed, unless prompts and options can be generated from.
template <CausalLm M>
void check_request(std::string_view op, M& model, const Tensor<std::int64_t>& prompts,
                   const StopOptions& stop) {
  LDLM_CHECK_STATE(prompts.defined(), op, "the prompts are undefined");
  LDLM_CHECK_SHAPE(prompts.rank() == 2, op, "needs prompts (B, n), got ",
                   to_string(prompts.shape()));
  stop.validate(op);
  if constexpr (requires { model.max_tokens(); }) {
    // The last token is not fed: nothing is predicted from it.
    const auto most = static_cast<std::int64_t>(model.max_tokens());
    const std::int64_t room = std::max<std::int64_t>(0, most - prompts.size(1) + 1);
    LDLM_CHECK(stop.max_new_tokens <= room, op, "max_new_tokens is ", stop.max_new_tokens,
               ", but the model takes ", most,
               " tokens (n_positions, less those of a prefix): ", room,
               " new ones after prompts of ", prompts.size(1));
  }
}

/// Feeds the prompts (B, n).
template <CausalLm M>
Tensor<typename M::value_type> first_step(std::string_view op, M& model,
                                          const Tensor<std::int64_t>& prompts,
                                          const StopOptions& stop) {
  if constexpr (requires { model.begin(std::int64_t{}); }) {
    const std::int64_t room = std::numeric_limits<std::int64_t>::max() - prompts.size(1);
    model.begin(prompts.size(1) + std::min(stop.max_new_tokens, room));
  }
  auto logits = checked_step(op, model, prompts);
  stop.check_end_tokens(op, logits.size(1));
  return logits;
}

/// Feeds one more token of each sequence. `before` are the logits of the step before.
template <CausalLm M>
Tensor<typename M::value_type> next_step(std::string_view op, M& model,
                                         std::span<const std::int64_t> tokens,
                                         const Tensor<typename M::value_type>& before) {
  auto logits = checked_step(op, model, as_row(tokens).unsqueeze(1));
  LDLM_CHECK_SHAPE(logits.size(1) == before.size(1), op, "step() gave logits of ", logits.size(1),
                   " tokens, but of ", before.size(1), " in the step before");
  return logits;
}

/// Generates each sequence on its own: choose(logits (R, V), numbers of the R sequences) are their
/// next tokens. Sequences that have ended leave the batch.
template <CausalLm M, class Choose>
TokenSequences generate_rows(std::string_view op, M& model, const Tensor<std::int64_t>& prompts,
                             const StopOptions& stop, const TokenCallback& on_token,
                             Choose&& choose) {
  TokenSequences out(static_cast<std::size_t>(prompts.size(0)));
  if (stop.max_new_tokens == 0 || out.empty()) {
    return out;
  }
  auto logits = first_step(op, model, prompts, stop);
  std::vector<std::size_t> running(out.size());  // row of the model -> row of the batch
  for (std::size_t i = 0; i < running.size(); ++i) {
    running[i] = i;
  }
  for (;;) {
    std::vector<std::int64_t> rows;
    std::vector<std::int64_t> next;
    std::vector<std::size_t> still_running;
    const std::vector<std::int64_t> chosen = choose(logits, running);
    for (std::size_t i = 0; i < running.size(); ++i) {
      std::vector<std::int64_t>& tokens = out[running[i]];
      tokens.push_back(chosen[i]);
      if (on_token) {
        on_token(running[i], tokens.back());
      }
      if (!stop.is_end(tokens.back()) &&
          static_cast<std::int64_t>(tokens.size()) < stop.max_new_tokens) {
        rows.push_back(static_cast<std::int64_t>(i));
        next.push_back(tokens.back());
        still_running.push_back(running[i]);
      }
    }
    if (rows.empty()) {
      return out;
    }
    if (rows.size() < running.size()) {
      model.reorder(as_row(rows));
    }
    running = std::move(still_running);
    logits = next_step(op, model, next, logits);
  }
}

}  // namespace detail
}  // namespace ldlm
