#pragma once
// Bodies of models/token_ids.hpp.

#include <optional>
#include <string_view>
#include <vector>

#include <ldlm/io/json.hpp>
#include <ldlm/models/token_ids.hpp>

namespace ldlm {

LDLM_BODY std::optional<std::vector<std::int64_t>> token_ids_from(const JsonReader& json,
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

LDLM_BODY std::optional<std::int64_t> token_id_from(const JsonReader& json, std::string_view key,
                                                    std::optional<std::int64_t> fallback) {
  const JsonValue* const value = json.value().find(key);
  if (value == nullptr) {
    return fallback;
  }
  const auto id = value->get_if<std::int64_t>();
  json.check(id || value->is_null(), key, "must be one id or null, got ", value->preview());
  return id;
}

LDLM_BODY JsonValue token_ids_to_json(const std::vector<std::int64_t>& ids) {
  return ids.empty() ? JsonValue() : ids.size() == 1 ? JsonValue(ids.front()) : JsonValue(ids);
}

}  // namespace ldlm
