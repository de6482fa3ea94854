#pragma once
// Infilling: what may have stood in a gap of a text. The text is encoded with masks in the gap, its
// latent goes through noise and back, and the decoder, which reads that latent and the text before
// the gap, proposes fillings, of which the one that goes best with the text behind it is taken.

#include <algorithm>
#include <cctype>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/latent_diffusion/latent_worth.hpp>
#include <ldlm/latent_diffusion/pipeline.hpp>

namespace ldlm {

struct InfillOptions {
  std::int64_t masks = 2;          // tokens that stand in the gap while the text is encoded
  std::int64_t t = 500;            // noise level of the seed's schedule; -1: none
  SamplerOptions sampler{};        // from there
  double guidance = 1.0;           // of it, see Ldlm::sample
  std::int64_t decode_level = -1;  // at which the decoder reads the latent, see DecodeOptions::t
  std::int64_t candidates = 32;    // fillings that are drawn
  std::int64_t max_tokens = 8;     // that are drawn
  double temperature = 1.0, top_p = 0.95;
};

namespace detail {

/// Whether what the decoder wrote first, a filling, is of words with a space before each: whole
/// ones where the gap begins or ends beside spaces. `behind` is what it wrote next.
inline bool is_of_words(std::string_view filling, std::string_view behind, bool after_space,
                        bool before_space) {
  const bool goes_on =
      !behind.empty() && (std::isalnum(static_cast<unsigned char>(behind[0])) != 0 ||
                          static_cast<unsigned char>(behind[0]) >= 0x80);
  return filling.find_first_not_of(' ') != std::string_view::npos &&
         (!after_space || filling.starts_with(' ')) &&
         (!before_space || (!goes_on && !filling.ends_with(' '))) &&
         filling.find("  ") == std::string_view::npos;
}

}  // namespace detail

/// The text `before` + filling + `after`, either of which may be empty. Where spaces are beside the
/// gap, a filling is of whole words. Throws if both are empty, if the text is too long for the
/// model, or if no filling that was drawn is one of words, or leaves the text short enough.
template <Floating T>
[[nodiscard]] std::string infill(const Ldlm<T>& model, std::string_view before,
                                 std::string_view after, const InfillOptions& options,
                                 Generator& generator) {
  LDLM_CHECK(options.decode_level >= -1 && options.decode_level < model.levels().steps(), "infill",
             "decode_level must lie in [-1, ", model.levels().steps(), "), got ",
             options.decode_level);
  LDLM_CHECK(options.masks > 0 && options.candidates > 0 && options.max_tokens > 0, "infill",
             "masks, candidates and max_tokens must be positive, got ", options.masks, ", ",
             options.candidates, " and ", options.max_tokens);
  // The space before a word is a part of its first token.
  const std::string left(before.substr(0, before.find_last_not_of(' ') + 1));
  const std::string right(after);
  LDLM_CHECK(!left.empty() || right.find_first_not_of(' ') != std::string::npos, "infill",
             "there is no text around the gap");
  const Tokenizer& reader = model.encoder_tokenizer();
  const auto mask =
      reader.special_tokens().mask ? reader.special_tokens().mask : reader.token_to_id(mask_token);
  LDLM_CHECK(mask.has_value(), "infill", "the encoder's tokenizer has no mask token");
  std::string masked = left;
  masked += ' ';
  for (std::int64_t i = 0; i < options.masks; ++i) {
    masked += reader.id_to_token(*mask);
  }
  LDLM_CHECK(model.fits(masked + right), "infill", "the text is too long for the model with ",
             options.masks, options.masks == 1 ? " mask" : " masks", " in its gap");
  Tensor<T> latent = model.encode({masked + right});
  if (options.t >= 0) {
    latent = model.vary(latent, options.t, options.sampler, generator, options.guidance);
  }

  const std::vector<TokenId> prompt =
      left.empty() ? std::vector<TokenId>() : model.decoder_tokenizer().encode_ids(left);
  auto session = model.session(latent.expand({options.candidates, latent.size(1), latent.size(2)}),
                               {.t = options.decode_level});
  const auto length = static_cast<std::int64_t>(prompt.size());
  const std::int64_t room = model.config().max_new_tokens - length;
  LDLM_CHECK(room > 0, "infill", "the text before the gap has ", length, " tokens, of at most ",
             model.config().max_new_tokens);
  const auto row = Tensor<std::int64_t>::from_values(
      {1, length}, std::vector<std::int64_t>(prompt.begin(), prompt.end()));
  // One token more than a filling may have, which tells whether a word ends before it.
  const std::int64_t longest = std::min(options.max_tokens, room - 1) + 1;
  const TokenSequences drawn =
      sample(session, row.expand({options.candidates, length}).contiguous(),
             {{.max_new_tokens = longest, .end_tokens = {model.end_id()}},
              options.temperature,
              0,
              options.top_p},
             generator);

  std::set<std::string> different;
  bool any_of_words = false;
  for (std::vector<TokenId> ids : drawn) {
    std::erase(ids, model.end_id());
    std::string behind;
    if (static_cast<std::int64_t>(ids.size()) == longest) {
      behind = model.decoder_tokenizer().decode(std::span(&ids.back(), 1));
      ids.pop_back();
    }
    for (; !ids.empty(); ids.pop_back()) {
      const std::string filling = model.decoder_tokenizer().decode(ids);
      const bool of_words = detail::is_of_words(
          filling, behind, !left.empty() && left.size() < before.size(), right.starts_with(' '));
      behind = model.decoder_tokenizer().decode(std::span(&ids.back(), 1));
      if (!of_words) {
        continue;
      }
      any_of_words = true;
      std::string text = left;
      text.append(filling).append(right);
      text.erase(0, text.find_first_not_of(' '));
      if (model.fits(text) &&
          static_cast<std::int64_t>(model.decoder_tokenizer().encode_ids(text).size()) <
              model.config().max_new_tokens) {
        different.insert(std::move(text));
      }
    }
  }
  LDLM_CHECK(
      !different.empty(), "infill",
      any_of_words
          ? "no filling leaves the text short enough"
          : "no filling of whole words was drawn: more candidates, or more tokens, may have one");
  const std::vector<std::string> texts(different.begin(), different.end());
  const std::vector<double> nats =
      text_nats(model, latent, texts, model.levels().alpha_bar(options.decode_level));
  return texts[static_cast<std::size_t>(std::min_element(nats.begin(), nats.end()) - nats.begin())];
}

}  // namespace ldlm
