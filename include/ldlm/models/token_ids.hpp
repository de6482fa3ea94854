#pragma once
// Token ids as configurations hold them: none (null), one, or a list.

#include <optional>
#include <string_view>
#include <vector>

#include <ldlm/core/linkage.hpp>
#include <ldlm/io/json.hpp>

namespace ldlm {

/// The ids under a key: none for null; nothing if the key is missing.
[[nodiscard]] std::optional<std::vector<std::int64_t>> token_ids_from(const JsonReader& json,
                                                                      std::string_view key);

/// The one id under a key: none for null; `fallback` if the key is missing.
[[nodiscard]] std::optional<std::int64_t> token_id_from(const JsonReader& json,
                                                        std::string_view key,
                                                        std::optional<std::int64_t> fallback);

/// As token_ids_from reads them.
[[nodiscard]] JsonValue token_ids_to_json(const std::vector<std::int64_t>& ids);

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/models/impl/token_ids.hpp>
#endif
