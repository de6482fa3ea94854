#pragma once
// Reading JSON text into a JsonValue.

#include <cstddef>
#include <string_view>

#include <ldlm/json/value.hpp>

namespace ldlm {

struct JsonOptions {
  std::size_t max_depth = 128;  ///< deeper nesting is refused, so that a hostile text costs little
  std::size_t max_values = 10'000'000;
  std::size_t first_byte = 0;  ///< place of the text in its file, for byte offsets
};

/// Parses a whole JSON text (RFC 8259, UTF-8). Throws Error with `origin` (a file's name, say), the
/// byte and the reason: ill-formed text or UTF-8, an object with a key twice, too deep, too large.
[[nodiscard]] JsonValue parse_json(std::string_view text, std::string_view origin,
                                   const JsonOptions& options = {});

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/json/impl/parse.hpp>
#endif
