#pragma once
// JsonView: a value of a document that knows its path in it.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/core/enumeration.hpp>
#include <ldlm/text/json_value.hpp>

namespace ldlm::text::detail {

/// A value of a document with its path, for reading with messages that say where.
class JsonView {
 public:
  JsonView(const JsonValue& value, std::string path) : value_(&value), path_(std::move(path)) {}

  [[nodiscard]] const JsonValue& value() const noexcept { return *value_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    ldlm::detail::fail("tokenizer", path_, ": ", parts...);
  }

  /// The member `key`; Error if it is missing.
  [[nodiscard]] JsonView at(std::string_view key) const {
    (void)members();
    const JsonValue* const found = value_->find(key);
    if (found == nullptr) {
      fail("key \"", key, "\" is missing");
    }
    return member(key, *found);
  }
  /// The member `key`, unless it is missing or null.
  [[nodiscard]] std::optional<JsonView> find(std::string_view key) const {
    (void)members();
    const JsonValue* const found = value_->find(key);
    if (found == nullptr || found->is_null()) {
      return std::nullopt;
    }
    return member(key, *found);
  }
  [[nodiscard]] const JsonValue::Object& members() const {
    check(value_->is_object(), "an object");
    return value_->members();
  }
  [[nodiscard]] std::vector<JsonView> items() const {
    check(value_->is_array(), "an array");
    std::vector<JsonView> out;
    out.reserve(value_->items().size());
    for (const JsonValue& item : value_->items()) {
      out.emplace_back(item, path_ + '[' + std::to_string(out.size()) + ']');
    }
    return out;
  }
  [[nodiscard]] const std::string& string() const {
    check(value_->is_string(), "a string");
    return value_->string();
  }
  [[nodiscard]] bool boolean() const {
    check(value_->kind() == JsonValue::Kind::boolean, "true or false");
    return value_->as<bool>();
  }
  /// A whole number in [0, max].
  [[nodiscard]] std::int64_t number(std::int64_t max = 0x7FFFFFFF) const {
    const auto number = value_->get_if<std::int64_t>();
    if (!number || *number < 0 || *number > max) {
      fail("should be a whole number from 0 to ", max, ", not ",
           value_->is_number() ? value_->preview() : kind_name());
    }
    return *number;
  }
  [[nodiscard]] bool boolean_or(std::string_view key, bool otherwise) const {
    const auto found = find(key);
    return found ? found->boolean() : otherwise;
  }

 private:
  [[nodiscard]] JsonView member(std::string_view key, const JsonValue& value) const {
    return {value, path_ + '.' + std::string(key)};
  }
  [[nodiscard]] std::string kind_name() const {
    constexpr std::string_view names[] = {"null",   "boolean", "number", "number",
                                          "string", "array",   "object"};
    return std::string(::ldlm::detail::name_in(names, value_->kind()));
  }
  void check(bool right, std::string_view what) const {
    if (!right) {
      fail("should be ", what, ", not ", kind_name());
    }
  }

  const JsonValue* value_;
  std::string path_;
};

}  // namespace ldlm::text::detail
