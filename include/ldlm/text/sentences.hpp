#pragma once
// A deterministic sentence splitter for English prose such as Wikipedia's.
//
// A sentence ends at . ! ? or an ellipsis, with the quotes and brackets that close after it, where
// white space and then something that can start a sentence follows. Abbreviations, initials,
// decimals, "U.S." and text in brackets do not end one. Works on natural spelling and on WikiText's
// spaced tokens alike.

#include <string_view>
#include <vector>

namespace ldlm {

/// The sentences of a paragraph, without white space around them; views into `paragraph`.
[[nodiscard]] std::vector<std::string_view> split_sentences(std::string_view paragraph);

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/text/impl/sentences.hpp>
#endif
