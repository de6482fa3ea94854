#pragma once
// The bodies of text/decoder.hpp.

#include <ldlm/text/decoder.hpp>

#include <cstddef>
#include <utility>

#include <ldlm/core/linkage.hpp>
#include <ldlm/core/utf8.hpp>
#include <ldlm/text/byte_level.hpp>

namespace ldlm {

namespace detail {

inline void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

LDLM_BODY void clean_up_spaces(std::string& text, bool do_not) {
  using Pair = std::pair<std::string_view, std::string_view>;
  for (const auto& [from, to] :
       {Pair(" .", "."), Pair(" ?", "?"), Pair(" !", "!"), Pair(" ,", ","), Pair(" ' ", "'"),
        Pair(" n't", "n't"), Pair(" 'm", "'m"), Pair(" do not", " don't"), Pair(" 's", "'s"),
        Pair(" 've", "'ve"), Pair(" 're", "'re")}) {
    if (do_not || from != " do not") {
      replace_all(text, from, to);
    }
  }
}

}  // namespace detail

LDLM_BODY std::string decode_pieces(const TokenDecoder& decoder,
                                    const std::vector<std::string_view>& pieces) {
  std::string out;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (decoder.kind == TokenDecoder::Kind::byte_level) {
      out += from_byte_characters(pieces[i]);
      continue;
    }
    std::string piece(pieces[i]);
    if (i > 0) {
      const bool wordpiece = decoder.kind == TokenDecoder::Kind::wordpiece;
      if (wordpiece && piece.starts_with(decoder.prefix)) {
        piece.erase(0, decoder.prefix.size());
      } else {
        piece.insert(0, 1, ' ');
      }
    }
    if (decoder.kind == TokenDecoder::Kind::wordpiece && decoder.cleanup) {
      detail::clean_up_spaces(piece, true);
    }
    out += piece;
  }
  return decoder.kind == TokenDecoder::Kind::byte_level ? repair_utf8(out) : out;
}

}  // namespace ldlm
