#pragma once
// Text that may come from anywhere, made fit for a terminal.

#include <string>
#include <string_view>

namespace ldlm {

/// Whether a terminal may act on a character rather than show it, or show others in another order:
/// controls (C0, DEL, C1), separators of lines, embeddings, overrides and isolates of bidirectional
/// text.
[[nodiscard]] constexpr bool acts_on_terminals(char32_t c) noexcept {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x2028 && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069);
}

namespace detail {

void append_hex(std::string& out, unsigned value, int digits);

}  // namespace detail

/// The text with such characters as \uXXXX and bytes that are no UTF-8 as \xXX, but for the ASCII
/// characters in `kept`.
[[nodiscard]] std::string printable(std::string_view text, std::string_view kept = {});

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/core/impl/printable.hpp>
#endif
