#pragma once
// Bodies of json/reader.hpp.

#include <algorithm>

#include <ldlm/json/quote.hpp>
#include <ldlm/json/reader.hpp>

namespace ldlm {

struct JsonReader::Document {
  JsonValue root;
  std::string origin;
  std::string op;
};

namespace detail {

/// Appends how `wanted` is reached from `root`, as "a.b[2]"; false if it isn't below. Paths are
/// only found for errors, so that readers need not carry them.
LDLM_BODY bool append_json_path(std::string& path, const JsonValue& root, const JsonValue& wanted) {
  if (&root == &wanted) {
    return true;
  }
  const std::size_t before = path.size();
  if (root.is_object()) {
    for (const auto& [key, member] : root.members()) {
      path += (before == 0 ? "" : ".") + key;
      if (append_json_path(path, member, wanted)) {
        return true;
      }
      path.resize(before);
    }
  } else if (root.is_array()) {
    std::size_t i = 0;
    for (const JsonValue& item : root.items()) {
      path += '[' + std::to_string(i++) + ']';
      if (append_json_path(path, item, wanted)) {
        return true;
      }
      path.resize(before);
    }
  }
  return false;
}

}  // namespace detail

LDLM_BODY JsonReader::JsonReader(JsonValue root, std::string origin, std::string op)
    : document_(std::make_shared<const Document>(
          Document{std::move(root), std::move(origin), std::move(op)})),
      value_(&document_->root) {}

LDLM_BODY JsonReader JsonReader::parse(std::string_view text, std::string origin, std::string op,
                                       const JsonOptions& options) {
  JsonValue root = parse_json(text, origin, options);
  return JsonReader(std::move(root), std::move(origin), std::move(op));
}

LDLM_BODY const std::string& JsonReader::origin() const noexcept {
  return document_->origin;
}

LDLM_BODY std::string JsonReader::path() const {
  std::string path;
  detail::append_json_path(path, document_->root, *value_);
  return path;
}
LDLM_BODY std::string JsonReader::place() const {
  const bool is_root = value_ == &document_->root;
  return is_root ? origin() : origin() + ": key " + detail::quote(path());
}

LDLM_BODY std::optional<JsonReader> JsonReader::find(std::string_view key) const {
  require_object();
  const JsonValue* const found = value_->find(key);
  return found == nullptr || found->is_null() ? std::nullopt
                                              : std::optional(JsonReader(document_, *found));
}
LDLM_BODY JsonReader JsonReader::at(std::string_view key) const {
  require_object();
  const JsonValue* const found = value_->find(key);
  if (found == nullptr) {
    fail_member(key, "is missing");
  }
  return {document_, *found};
}
LDLM_BODY JsonReader JsonReader::section(std::string_view key) const {
  JsonReader out = at(key);
  out.require_object();
  return out;
}
LDLM_BODY std::vector<JsonReader::Member> JsonReader::members() const {
  require_object();
  std::vector<Member> out;
  out.reserve(value_->members().size());
  for (const auto& [key, value] : value_->members()) {
    out.push_back({key, JsonReader(document_, value)});
  }
  return out;
}
LDLM_BODY void JsonReader::refuse_others(std::initializer_list<std::string_view> keys) const {
  for (const auto& [key, value] : members()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      value.fail("is not known");
    }
  }
}

LDLM_BODY const std::string& JsonReader::string() const {
  if (!value_->is_string()) {
    fail_type("a string");
  }
  return value_->string();
}
LDLM_BODY std::int64_t JsonReader::count(std::int64_t most) const {
  const auto number = value_->get_if<std::int64_t>();
  if (!number || *number < 0 || *number > most) {
    fail_type("an integer from 0 to " + std::to_string(most));
  }
  return *number;
}
LDLM_BODY std::vector<JsonReader> JsonReader::items() const {
  if (!value_->is_array()) {
    fail_type("an array");
  }
  std::vector<JsonReader> out;
  out.reserve(value_->items().size());
  for (const JsonValue& item : value_->items()) {
    out.push_back(JsonReader(document_, item));
  }
  return out;
}

LDLM_BODY void JsonReader::require_object() const {
  if (!value_->is_object()) {
    fail_type("an object");
  }
}
LDLM_BODY void JsonReader::fail_type(std::string_view expected) const {
  fail("must be ", expected, ", got ", value_->preview());
}
LDLM_BODY void JsonReader::fail_text(std::string_view text) const {
  const bool is_root = value_ == &document_->root;
  const std::size_t byte = value_->offset();  // 0: the value is not from a text
  detail::fail_at(ErrorCode::file, document_->op, origin(), place().substr(origin().size()),
                  is_root ? ": " : " ", text,
                  byte > 0 ? " (at byte " + std::to_string(byte) + ')' : "");
}
LDLM_BODY void JsonReader::fail_member(std::string_view key, std::string_view text) const {
  require_object();
  if (const JsonValue* const member = value_->find(key)) {
    JsonReader(document_, *member).fail_text(text);
  }
  std::string whole = path();
  whole += (whole.empty() ? "" : ".") + std::string(key);
  detail::fail_at(ErrorCode::file, document_->op, origin(), ": key ", detail::quote(whole), ' ',
                  text);
}

}  // namespace ldlm
