#pragma once
// The models: what splits a word into pieces.

#include <variant>

#include <ldlm/text/bpe.hpp>
#include <ldlm/text/wordpiece.hpp>

namespace ldlm {

using TokenizerModel = std::variant<BpeModel, WordPieceModel>;

}  // namespace ldlm
