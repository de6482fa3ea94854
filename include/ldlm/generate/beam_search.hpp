#pragma once
// Beam search with the rules of transformers.generate: scores, length penalty, early stopping.

#include <cmath>
#include <limits>
#include <utility>

#include <ldlm/core/stable_sort.hpp>
#include <ldlm/generate/causal_lm.hpp>

namespace ldlm {

/// When the search for one prompt ends, beside at max_new_tokens. In all three only once there are
/// num_beams finished hypotheses.
enum class EarlyStopping : std::uint8_t {
  /// When the best running beam, at its present length, scores no better than the worst finished
  /// one (transformers: False). With a positive length penalty that is a guess.
  heuristic,
  /// At once (transformers: True).
  when_full,
  /// When no running beam can end better than the worst finished one (transformers: "never").
  never,
};

/// More beams than this cost more than any text is worth.
inline constexpr std::int64_t max_beams = 1000;

struct BeamSearchOptions {
  StopOptions stop{};
  std::int64_t num_beams = 5;
  /// The score is the sum of log-probabilities over length^length_penalty: above 0 it favours long
  /// texts, below 0 short ones.
  double length_penalty = 1;
  EarlyStopping early_stopping = EarlyStopping::heuristic;

  /// Throws an Error that names the option which is out of range.
  void validate(std::string_view op = "beam_search") const {
    stop.validate(op);
    LDLM_CHECK(num_beams > 0 && num_beams <= max_beams, op, "num_beams must lie in [1, ", max_beams,
               "], got ", num_beams);
    LDLM_CHECK(std::isfinite(length_penalty), op, "length_penalty must be a finite number, got ",
               length_penalty);
  }
};

/// A finished text.
struct Hypothesis {
  std::vector<std::int64_t> tokens;  // without the prompt, with the end token if one came
  double score = 0;
};

namespace detail {

/// A text that goes on.
struct Beam {
  std::vector<std::int64_t> tokens{};
  double log_probability = 0;
  std::int64_t row = 0;  // of the model's batch
};

/// The search for one prompt.
class BeamSearchRow {
 public:
  BeamSearchRow(const BeamSearchOptions& options, std::int64_t model_row) : options_(&options) {
    Beam prompt;
    prompt.row = model_row;
    beams_.push_back(std::move(prompt));
  }

  /// One more token for every beam. `best` holds the top candidates of each row of the model.
  template <class T>
  void advance(const TopK<T>& best) {
    struct Candidate {
      double log_probability;
      std::size_t beam;
      std::int64_t token;
    };
    std::vector<Candidate> candidates;
    for (std::size_t b = 0; b < beams_.size(); ++b) {
      const auto row = static_cast<std::size_t>(beams_[b].row);
      const auto values = row_of(best.values, row);
      const auto tokens = row_of(best.indices, row);
      for (std::size_t i = 0; i < values.size(); ++i) {
        candidates.push_back(
            {beams_[b].log_probability + static_cast<double>(values[i]), b, tokens[i]});
      }
    }
    // The order of the rows breaks ties, as they come from beams in falling order.
    detail::stable_sort(candidates.begin(), candidates.end(),
                        [](const Candidate& a, const Candidate& b) {
                          return a.log_probability > b.log_probability;
                        });
    // Of the num_beams best those that end are finished; an ending one behind them is dropped.
    const std::size_t width = static_cast<std::size_t>(options_->num_beams);
    const std::int64_t length = static_cast<std::int64_t>(beams_.front().tokens.size()) + 1;
    const bool last = length >= options_->stop.max_new_tokens;
    std::vector<Beam> next;
    for (std::size_t rank = 0; rank < candidates.size() && next.size() < width; ++rank) {
      const Candidate& c = candidates[rank];
      if (c.log_probability == -std::numeric_limits<double>::infinity()) {
        break;  // it and those behind it are no texts of the model
      }
      const bool ends = last || options_->stop.is_end(c.token);
      if (ends && rank >= width) {
        if (last) {
          break;
        }
        continue;
      }
      Beam beam = beams_[c.beam];
      beam.tokens.push_back(c.token);
      beam.log_probability = c.log_probability;
      if (ends) {
        finished_.push_back({std::move(beam.tokens), score(c.log_probability, length)});
      } else {
        next.push_back(std::move(beam));
      }
    }
    detail::stable_sort(finished_.begin(), finished_.end(),
                        [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
    if (finished_.size() > width) {
      finished_.resize(width);
    }
    beams_ = std::move(next);
    if (beams_.empty() || is_over(length)) {
      beams_.clear();
    }
  }

  /// The texts that go on; none once the search is over.
  [[nodiscard]] std::vector<Beam>& beams() noexcept { return beams_; }
  /// The finished texts, best first.
  [[nodiscard]] std::vector<Hypothesis>& finished() noexcept { return finished_; }

 private:
  [[nodiscard]] double score(double log_probability, std::int64_t length) const {
    return log_probability / std::pow(static_cast<double>(length), options_->length_penalty);
  }

  [[nodiscard]] bool is_over(std::int64_t length) const {
    if (finished_.size() < static_cast<std::size_t>(options_->num_beams)) {
      return false;
    }
    if (options_->early_stopping == EarlyStopping::when_full) {
      return true;
    }
    const bool can_grow =
        options_->early_stopping == EarlyStopping::never && options_->length_penalty > 0;
    const double hoped_for =
        score(beams_.front().log_probability, can_grow ? options_->stop.max_new_tokens : length);
    return hoped_for <= finished_.back().score;
  }

  const BeamSearchOptions* options_;
  std::vector<Beam> beams_;  // best first
  std::vector<Hypothesis> finished_;
};

}  // namespace detail

/// The num_beams best texts for each prompt (B, n), best first, all prompts side by side. The
/// prompts are read once, before there are beams; prompts whose search is over leave the batch.
/// Fewer than num_beams come back only if the beams found no more that have a probability: tokens
/// with a logit of -infinity have none. Throws for logits that are NaN, and for a row of them that
/// are all -infinity.
template <CausalLm M>
[[nodiscard]] std::vector<std::vector<Hypothesis>> beam_search(
    M& model, const Tensor<std::int64_t>& prompts, const BeamSearchOptions& options = {}) {
  using T = ComputeType<typename M::value_type>;
  options.validate();
  detail::check_request("beam_search", model, prompts, options.stop);
  std::vector<std::vector<Hypothesis>> out(static_cast<std::size_t>(prompts.size(0)));
  if (options.stop.max_new_tokens == 0 || out.empty()) {
    return out;
  }
  auto logits = detail::first_step("beam_search", model, prompts, options.stop);
  std::vector<detail::BeamSearchRow> searches;
  for (std::size_t i = 0; i < out.size(); ++i) {
    searches.emplace_back(options, static_cast<std::int64_t>(i));
  }
  // So many candidates that num_beams are left, whichever of the others end.
  const auto ends = static_cast<std::int64_t>(options.stop.end_tokens.size());
  const std::int64_t candidates =
      std::min(logits.size(1),
               std::max<std::int64_t>(2, 1 + ends) * std::min(logits.size(1), options.num_beams));
  for (;;) {
    // Of all that the model computed only the candidates leave its device.
    const auto there = top_k(log_softmax(cast<T>(logits)), candidates);
    const TopK<T> best{there.values.to(cpu), there.indices.to(cpu)};
    for (std::int64_t row = 0; row < logits.size(0); ++row) {  // one NaN makes all of its row NaN
      LDLM_CHECK(!std::isnan(best.values.at({row, 0})), "beam_search",
                 "logits are NaN or infinite");
    }
    std::vector<std::int64_t> rows;
    std::vector<std::int64_t> next;
    for (std::size_t i = 0; i < searches.size(); ++i) {
      detail::BeamSearchRow& search = searches[i];
      if (search.beams().empty()) {
        continue;
      }
      search.advance(best);
      for (detail::Beam& beam : search.beams()) {
        rows.push_back(std::exchange(beam.row, static_cast<std::int64_t>(rows.size())));
        next.push_back(beam.tokens.back());
      }
    }
    if (rows.empty()) {
      break;
    }
    model.reorder(detail::as_row(rows));
    logits = detail::next_step("beam_search", model, next, logits);
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = std::move(searches[i].finished());
  }
  return out;
}

}  // namespace ldlm
