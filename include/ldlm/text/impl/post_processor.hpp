#pragma once
// The bodies of text/post_processor.hpp.

#include <ldlm/text/post_processor.hpp>

#include <algorithm>
#include <utility>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>
#include <ldlm/core/utf8.hpp>
#include <ldlm/text/unicode.hpp>

namespace ldlm {

LDLM_BODY std::size_t TokenTemplate::added(bool is_pair) const {
  std::size_t count = 0;
  for (const TokenTemplatePiece& piece : is_pair ? pair : single) {
    if (piece.kind == TokenTemplatePiece::Kind::special) {
      count += specials.at(piece.token).ids.size();
    }
  }
  return count;
}

LDLM_BODY void TokenTemplate::check() const {
  for (const bool is_pair : {false, true}) {
    bool first = false, second = false;
    std::size_t count = 0, bytes = 0;
    for (const TokenTemplatePiece& piece : is_pair ? pair : single) {
      bool* const text = piece.kind == TokenTemplatePiece::Kind::first    ? &first
                         : piece.kind == TokenTemplatePiece::Kind::second ? &second
                                                                          : nullptr;
      if (text != nullptr) {
        LDLM_CHECK(!*text, "template", "the template for ", is_pair ? "a pair" : "one text",
                   " uses ", text == &first ? "$A" : "$B", " twice");
        *text = true;
      }
      if (piece.kind == TokenTemplatePiece::Kind::special) {
        const auto known = specials.find(piece.token);
        LDLM_CHECK(known != specials.end(), "template", "special token \"", piece.token,
                   "\" is not among its special_tokens");
        LDLM_CHECK(known->second.ids.size() == known->second.tokens.size(), "template",
                   "special token \"", piece.token, "\" has ", known->second.ids.size(),
                   " ids but ", known->second.tokens.size(), " tokens");
        count += known->second.ids.size();
        for (const std::string& token : known->second.tokens) {
          bytes += token.size();
        }
      }
    }
    LDLM_CHECK(count <= max_added && bytes <= max_name_bytes, "template", "the template for ",
               is_pair ? "a pair" : "one text", " adds ", count, " special tokens of ", bytes,
               " bytes to every text, more than ", max_added, " tokens or ", max_name_bytes,
               " bytes");
    LDLM_CHECK(is_pair || !second, "template", "the template for one text uses $B");
    LDLM_CHECK(!is_pair || (first && second), "template",
               "the template for a pair must use both $A and $B");
  }
}

LDLM_BODY std::vector<TokenTemplatePiece> parse_template(std::string_view text) {
  std::vector<TokenTemplatePiece> pieces;
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    std::string_view part = text.substr(0, space);
    text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
    if (part.empty()) {
      continue;
    }
    TokenTemplatePiece piece;
    if (const std::size_t colon = part.rfind(':'); colon != std::string_view::npos && colon > 0) {
      const std::string_view digits = part.substr(colon + 1);
      LDLM_CHECK(!digits.empty() && digits.size() <= 9 &&
                     digits.find_first_not_of("0123456789") == std::string_view::npos,
                 "template", "\"", part, "\" should end with a type id");
      piece.type_id = std::stoi(std::string(digits));
      part = part.substr(0, colon);
    }
    if (part == "$A" || part == "$") {
      piece.kind = TokenTemplatePiece::Kind::first;
    } else if (part == "$B") {
      piece.kind = TokenTemplatePiece::Kind::second;
    } else {
      piece.kind = TokenTemplatePiece::Kind::special;
      piece.token = part;
    }
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

LDLM_BODY std::size_t PostProcessor::added(bool is_pair) const {
  return special_tokens ? special_tokens->added(is_pair) : 0;
}

namespace detail {

LDLM_BODY PieceSpaces::PieceSpaces(std::string_view token, bool keeps_one) {
  const std::u32string piece = to_utf32(token);
  const auto blank = [](char32_t c) { return c == U'\u0120' || is_whitespace(c); };
  const auto first = std::find_if_not(piece.begin(), piece.end(), blank);
  const auto last = std::find_if_not(piece.rbegin(), piece.rend(), blank);
  leading_ = static_cast<std::uint32_t>(first - piece.begin());
  trailing_ = static_cast<std::uint32_t>(last - piece.rbegin());
  if (leading_ == 1 && keeps_one) {
    leading_ = 0;
  }
}

LDLM_BODY TextSpan PieceSpaces::without(TextSpan span) const {
  span.begin = std::min(span.begin + leading_, span.end);
  if (span.end >= trailing_) {
    span.end = std::max(span.end - trailing_, span.begin);
  }
  return span;
}

LDLM_BODY void trim_offsets(Encoding& encoding, bool add_prefix_space) {
  for (std::size_t i = 0; i < encoding.size(); ++i) {
    const bool starts = i == 0 || encoding.offsets[i].begin == 0;
    const PieceSpaces spaces(encoding.tokens[i], add_prefix_space && starts);
    encoding.offsets[i] = spaces.without(encoding.offsets[i]);
    encoding.byte_offsets[i] = spaces.without(encoding.byte_offsets[i]);
  }
  for (Encoding& part : encoding.overflowing) {
    trim_offsets(part, add_prefix_space);
  }
}

LDLM_BODY Encoding special_encoding(const TokenTemplate::Special& special, std::int32_t type_id) {
  const std::size_t n = special.ids.size();
  Encoding out;
  out.ids = special.ids;
  out.tokens = special.tokens;
  out.type_ids.assign(n, type_id);
  out.attention_mask.assign(n, 1);
  out.special_tokens_mask.assign(n, 1);
  out.offsets.assign(n, TextSpan{});
  out.byte_offsets.assign(n, TextSpan{});
  out.word_ids.assign(n, -1);
  return out;
}

LDLM_BODY Encoding fill_template(const TokenTemplate& from, Encoding first, Encoding* pair,
                                 bool add_special_tokens) {
  Encoding before;  // the special tokens in front of all texts
  Encoding* out = &before;
  for (const TokenTemplatePiece& piece : pair == nullptr ? from.single : from.pair) {
    if (piece.kind == TokenTemplatePiece::Kind::special) {
      if (add_special_tokens) {
        append(*out, special_encoding(from.specials.at(piece.token), piece.type_id));
      }
      continue;
    }
    Encoding& text = piece.kind == TokenTemplatePiece::Kind::first ? first : *pair;
    std::fill(text.type_ids.begin(), text.type_ids.end(), piece.type_id);
    if (out == &before) {
      prepend(before, text);
      out = &text;
    } else {
      append(*out, text);
    }
  }
  return std::move(*out);
}

}  // namespace detail

}  // namespace ldlm
