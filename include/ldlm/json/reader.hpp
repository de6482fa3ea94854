#pragma once
// JsonReader: values of a JSON document, asked for by key and type, with errors that say where.

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/json/parse.hpp>

namespace ldlm {

/// A value of a JSON document, such as a Hugging Face config.json. Errors name the document, the
/// value's path in it, and the byte where it begins:
/// `[config] dir/config.json: key "layers[2].size" must be an integer, got "x" (at byte 17)`.
/// Copies share the document.
class JsonReader {
 public:
  struct Member;

  /// A document's root. `origin` names the document in errors: a file's path, say; `op` is who
  /// reads.
  explicit JsonReader(JsonValue root, std::string origin = "config", std::string op = "config");
  [[nodiscard]] static JsonReader parse(std::string_view text, std::string origin = "config",
                                        std::string op = "config", const JsonOptions& options = {});

  [[nodiscard]] const JsonValue& value() const noexcept { return *value_; }
  [[nodiscard]] const std::string& origin() const noexcept;
  /// Where the value is, for messages: `dir/config.json: key "layers[2].size"`.
  [[nodiscard]] std::string place() const;

  // ---- An object's members. Each throws if this is no object. ----

  /// Whether the key is there with a value other than null.
  [[nodiscard]] bool has(std::string_view key) const { return find(key).has_value(); }
  /// The member, which may be null; throws if it is missing.
  [[nodiscard]] JsonReader at(std::string_view key) const;
  /// The member, unless it is missing or null.
  [[nodiscard]] std::optional<JsonReader> find(std::string_view key) const;
  /// The member, which must be an object.
  [[nodiscard]] JsonReader section(std::string_view key) const;
  /// All members in their order.
  [[nodiscard]] std::vector<Member> members() const;
  /// Throws if the object has a key that is none of these.
  void refuse_others(std::initializer_list<std::string_view> keys) const;

  /// The member as a T; throws if it is missing, null or no T.
  template <JsonReadable T>
  [[nodiscard]] T get(std::string_view key) const {
    return at(key).template as<T>();
  }
  /// As get(key), but `fallback` if the key is missing or null.
  template <JsonReadable T>
  [[nodiscard]] T get(std::string_view key, T fallback) const {
    const std::optional<JsonReader> member = find(key);
    return member ? member->template as<T>() : std::move(fallback);
  }
  [[nodiscard]] std::string get(std::string_view key, const char* fallback) const {
    return get<std::string>(key, fallback);
  }

  // ---- This value. ----

  /// The value as a T; throws if it is none.
  template <JsonReadable T>
  [[nodiscard]] T as() const {
    std::optional<T> out = value_->get_if<T>();
    if (!out) {
      fail_type(JsonValue::expected<T>());
    }
    return *std::move(out);
  }
  /// The text of a string, which lives as long as the document; throws for another kind.
  [[nodiscard]] const std::string& string() const;
  /// A whole number from 0 to `most`.
  [[nodiscard]] std::int64_t count(std::int64_t most = 0x7FFFFFFF) const;
  /// The elements of an array; throws for another kind.
  [[nodiscard]] std::vector<JsonReader> items() const;

  /// Throws an Error with the place, then the parts, which go on after a key: "must be positive".
  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    fail_text(detail::concat(parts...));
  }
  /// fail(rule...) of the member unless the condition holds.
  template <class... Parts>
  void check(bool condition, std::string_view key, const Parts&... rule) const {
    if (!condition) {
      fail_member(key, detail::concat(rule...));
    }
  }

 private:
  struct Document;
  JsonReader(std::shared_ptr<const Document> document, const JsonValue& value)
      : document_(std::move(document)), value_(&value) {}

  void require_object() const;
  [[noreturn]] void fail_type(std::string_view expected) const;
  [[noreturn]] void fail_text(std::string_view text) const;
  [[noreturn]] void fail_member(std::string_view key, std::string_view text) const;
  [[nodiscard]] std::string path() const;

  std::shared_ptr<const Document> document_;
  const JsonValue* value_;
};

struct JsonReader::Member {
  const std::string& key;  ///< lives as long as the document
  JsonReader value;
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/json/impl/reader.hpp>
#endif
