#pragma once
// Strict JSON for tokenizer files: duplicate keys and deep nesting are errors, and every error
// names the file, the key and, where the syntax is broken, the byte.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/core/error.hpp>
#include <ldlm/text/utf8.hpp>

namespace ldlm::text::detail {

using Json = nlohmann::json;

/// The contents of a file; Error if it cannot be read.
[[nodiscard]] inline std::string read_text_file(const std::filesystem::path& path) {
  std::error_code error;
  LDLM_CHECK(std::filesystem::exists(path, error), "open", path.string(), ": no such file");
  LDLM_CHECK(!std::filesystem::is_directory(path, error), "open", path.string(),
             ": is a folder, not a file");
  std::ifstream file(path, std::ios::binary);
  LDLM_CHECK(file, "open", path.string(), ": cannot be opened");
  std::ostringstream contents;
  contents << file.rdbuf();
  LDLM_CHECK(file && !file.bad(), "open", path.string(), ": cannot be read");
  return std::move(contents).str();
}

/// Builds a document from parser events, refusing what nlohmann-json lets pass.
class StrictJsonBuilder {
 public:
  using number_integer_t = Json::number_integer_t;
  using number_unsigned_t = Json::number_unsigned_t;
  using number_float_t = Json::number_float_t;
  using string_t = Json::string_t;
  using binary_t = Json::binary_t;

  explicit StrictJsonBuilder(const std::string& name) : name_(name) {}

  bool null() { return add(nullptr); }
  bool boolean(bool v) { return add(v); }
  bool number_integer(number_integer_t v) { return add(v); }
  bool number_unsigned(number_unsigned_t v) { return add(v); }
  bool number_float(number_float_t v, const string_t&) { return add(v); }
  bool string(string_t& v) { return add(std::move(v)); }
  bool binary(binary_t&) { return false; }
  bool start_object(std::size_t) { return open(Json::object()); }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(string_t& v) {
    LDLM_CHECK(!stack_.back()->contains(v), "json", name_, ": key \"", v, "\" occurs twice");
    key_ = std::move(v);
    return true;
  }
  bool parse_error(std::size_t byte, const std::string&, const nlohmann::detail::exception& e) {
    // The parser's text starts with its own error number.
    const std::string_view what = e.what();
    const std::size_t text = what.find("] ");
    ::ldlm::detail::fail(  // it also quotes bytes that need not be UTF-8
        "json", name_, ": byte ", byte, ": ",
        repair_utf8(text == std::string_view::npos ? what : what.substr(text + 2)));
  }

  [[nodiscard]] Json take() { return std::move(root_); }

 private:
  static constexpr std::size_t max_depth = 64;

  Json* place(Json&& value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (stack_.back()->is_array()) {
      stack_.back()->push_back(std::move(value));
      return &stack_.back()->back();
    }
    return &((*stack_.back())[key_] = std::move(value));
  }
  template <class T>
  bool add(T&& value) {
    place(Json(std::forward<T>(value)));
    return true;
  }
  bool open(Json&& value) {
    LDLM_CHECK(stack_.size() < max_depth, "json", name_, ": nested deeper than ", max_depth);
    stack_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    stack_.pop_back();
    return true;
  }

  const std::string& name_;
  Json root_;
  std::vector<Json*> stack_;
  std::string key_;
};

/// Parses a JSON text; `name` (a file) starts every message.
[[nodiscard]] inline Json parse_json(std::string_view text, const std::string& name) {
  if (text.starts_with("\xEF\xBB\xBF")) {
    text.remove_prefix(3);
  }
  StrictJsonBuilder builder(name);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

/// A value of a document with its path, for reading with messages that say where.
class JsonView {
 public:
  JsonView(const Json& value, std::string path) : value_(&value), path_(std::move(path)) {}

  [[nodiscard]] const Json& json() const noexcept { return *value_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    ldlm::detail::fail("tokenizer", path_, ": ", parts...);
  }

  /// The member `key`; Error if it is missing.
  [[nodiscard]] JsonView at(const std::string& key) const {
    const auto found = object().find(key);
    if (found == value_->end()) {
      fail("key \"", key, "\" is missing");
    }
    return {*found, path_ + '.' + key};
  }
  /// The member `key`, unless it is missing or null.
  [[nodiscard]] std::optional<JsonView> find(const std::string& key) const {
    const auto found = object().find(key);
    if (found == value_->end() || found->is_null()) {
      return std::nullopt;
    }
    return JsonView(*found, path_ + '.' + key);
  }
  [[nodiscard]] const Json& object() const {
    if (!value_->is_object()) {
      fail("should be an object, not ", value_->type_name());
    }
    return *value_;
  }
  [[nodiscard]] std::vector<JsonView> items() const {
    if (!value_->is_array()) {
      fail("should be an array, not ", value_->type_name());
    }
    std::vector<JsonView> out;
    out.reserve(value_->size());
    for (std::size_t i = 0; i < value_->size(); ++i) {
      out.emplace_back((*value_)[i], path_ + '[' + std::to_string(i) + ']');
    }
    return out;
  }
  [[nodiscard]] const std::string& string() const {
    if (!value_->is_string()) {
      fail("should be a string, not ", value_->type_name());
    }
    return value_->get_ref<const std::string&>();
  }
  [[nodiscard]] bool boolean() const {
    if (!value_->is_boolean()) {
      fail("should be true or false, not ", value_->type_name());
    }
    return value_->get<bool>();
  }
  /// A whole number in [0, max].
  [[nodiscard]] std::int64_t number(std::int64_t max = 0x7FFFFFFF) const {
    if (!value_->is_number_unsigned() ||
        value_->get<std::uint64_t>() > static_cast<std::uint64_t>(max)) {
      fail("should be a whole number from 0 to ", max, ", not ",
           value_->is_number() ? value_->dump() : value_->type_name());
    }
    return value_->get<std::int64_t>();
  }
  [[nodiscard]] bool boolean_or(const std::string& key, bool otherwise) const {
    const auto found = find(key);
    return found ? found->boolean() : otherwise;
  }

 private:
  const Json* value_;
  std::string path_;
};

}  // namespace ldlm::text::detail
