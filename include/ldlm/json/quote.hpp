#pragma once
// JSON strings, and hostile strings made fit for error messages.

#include <cstddef>
#include <string>
#include <string_view>

#include <ldlm/core/linkage.hpp>

namespace ldlm::detail {

/// `text` for an error message: in quotes, what terminals act on escaped, ill-formed bytes as \xNN,
/// cut after `limit` bytes.
[[nodiscard]] std::string quote(std::string_view text, std::size_t limit = 100);

/// Appends `text` as a JSON string. Throws for ill-formed UTF-8.
void append_json_string(std::string& out, std::string_view text);

}  // namespace ldlm::detail

#ifndef LDLM_LINKED
#include <ldlm/json/impl/quote.hpp>
#endif
