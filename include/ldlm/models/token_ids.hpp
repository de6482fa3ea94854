#pragma once
// Token ids as configurations hold them: none (null), one, or a list.

#include <optional>
#include <string_view>
#include <vector>

#include <ldlm/io/json.hpp>

namespace ldlm {

/// The ids under a key: none for null; nothing if the key is missing.
[[nodiscard]] inline std::optional<std::vector<std::int64_t>> token_ids_from(const JsonReader& json,
                                                                             std::string_view key) {
  const JsonValue* const value = json.value().find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (value->is_null()) {
    return std::vector<std::int64_t>();
  }
  if (const auto id = value->get_if<std::int64_t>()) {
    return std::vector<std::int64_t>{*id};
  }
  auto ids = value->get_if<std::vector<std::int64_t>>();
  const bool empty = ids && ids->empty();
  json.check(ids && !empty, key, "must be an id, a list of ids or null, got ",
             empty ? "an empty list" : value->preview());
  return ids;
}

/// The one id under a key: none for null; `fallback` if the key is missing.
[[nodiscard]] inline std::optional<std::int64_t> token_id_from(
    const JsonReader& json, std::string_view key, std::optional<std::int64_t> fallback) {
  const JsonValue* const value = json.value().find(key);
  if (value == nullptr) {
    return fallback;
  }
  const auto id = value->get_if<std::int64_t>();
  json.check(id || value->is_null(), key, "must be one id or null, got ", value->preview());
  return id;
}

/// As token_ids_from reads them.
[[nodiscard]] inline JsonValue token_ids_to_json(const std::vector<std::int64_t>& ids) {
  return ids.empty() ? JsonValue() : ids.size() == 1 ? JsonValue(ids.front()) : JsonValue(ids);
}

}  // namespace ldlm
