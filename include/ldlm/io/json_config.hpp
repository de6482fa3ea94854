#pragma once
// JsonConfig: typed keys of a JSON object, such as a Hugging Face config.json, with clear errors.

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <ldlm/io/json.hpp>

namespace ldlm {

/// An object whose keys are asked for by name and type. Errors read
/// `[config] dir/config.json: key "n_head" must be an integer, got "x" (at byte 17)`.
class JsonConfig {
 public:
  /// Throws if `root` is not an object. `origin` names it in errors: a file's path, say.
  explicit JsonConfig(JsonValue root, std::string origin = "config")
      : root_(std::move(root)), origin_(std::move(origin)) {
    LDLM_CHECK(root_.is_object(), "config", origin_, ": must be an object, got ", root_.preview());
  }
  static JsonConfig open(const std::filesystem::path& path) {
    return JsonConfig(read_json(path), path.native());
  }
  static JsonConfig parse(std::string_view text, std::string origin = "config") {
    JsonValue root = parse_json(text, origin);
    return JsonConfig(std::move(root), std::move(origin));
  }

  /// Whether the key is there with a value other than null.
  [[nodiscard]] bool has(std::string_view key) const {
    const JsonValue* const value = root_.find(key);
    return value != nullptr && !value->is_null();
  }

  /// The key's value; throws if it is missing, null or no T.
  template <JsonReadable T>
  [[nodiscard]] T get(std::string_view key) const {
    const JsonValue* const value = root_.find(key);
    LDLM_CHECK(value != nullptr, "config", origin_, ": key ", name(key), " is missing");
    std::optional<T> out = value->get_if<T>();
    LDLM_CHECK(out.has_value(), "config", origin_, ": key ", name(key), " must be ",
               JsonValue::expected<T>(), ", got ", value->preview(), " (at byte ", value->offset(),
               ')');
    return *std::move(out);
  }
  /// As get(key), but `fallback` if the key is missing or null.
  template <JsonReadable T>
  [[nodiscard]] T get(std::string_view key, T fallback) const {
    return has(key) ? get<T>(key) : std::move(fallback);
  }
  [[nodiscard]] std::string get(std::string_view key, const char* fallback) const {
    return get<std::string>(key, fallback);
  }

  /// The object under a key; its own keys are named "key.inner" in errors.
  [[nodiscard]] JsonConfig section(std::string_view key) const {
    auto root = get<JsonValue>(key);
    LDLM_CHECK(root.is_object(), "config", origin_, ": key ", name(key), " must be an object, got ",
               root.preview(), " (at byte ", root.offset(), ')');
    JsonConfig out(std::move(root), origin_);
    out.prefix_ = prefix_ + std::string(key) + '.';
    return out;
  }

  /// Throws if the object has a key that is none of these.
  void refuse_others(std::initializer_list<std::string_view> keys) const {
    for (const JsonValue::Member& member : root_.members()) {
      check(std::find(keys.begin(), keys.end(), member.first) != keys.end(), member.first,
            "is not known");
    }
  }

  /// Throws `[config] <file>: key "n_head" <rule...>`; for rules of the caller's own.
  template <class... Parts>
  void check(bool condition, std::string_view key, const Parts&... rule) const {
    LDLM_CHECK(condition, "config", origin_, ": key ", name(key), ' ', rule...);
  }

  [[nodiscard]] const JsonValue& root() const noexcept { return root_; }
  [[nodiscard]] const std::string& origin() const noexcept { return origin_; }

 private:
  [[nodiscard]] std::string name(std::string_view key) const {
    return detail::quote(prefix_ + std::string(key));
  }

  JsonValue root_;
  std::string origin_;
  std::string prefix_;
};

}  // namespace ldlm
