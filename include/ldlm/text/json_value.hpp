#pragma once
// JsonValue: a JSON document as a value tree, and its text. Reading is in text/json.hpp.

#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <ldlm/core/error.hpp>
#include <ldlm/text/quote.hpp>

namespace ldlm {

class JsonValue;

namespace detail {
template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
}  // namespace detail

/// What as<T>() can give: bool, integers, float, double, std::string, JsonValue, and vectors of
/// them.
template <class T>
concept JsonReadable = std::integral<T> || std::floating_point<T> || std::same_as<T, std::string> ||
    std::same_as<T, JsonValue> || detail::IsVector<T>::value;

/// null, a boolean, an integer, a number with a fraction or exponent, a string, an array or an
/// object. Objects keep the order of their members. Integers are exact over the ranges of int64
/// and uint64 together, doubles survive writing and reading bit for bit.
class JsonValue {
 public:
  enum class Kind : std::uint8_t { null, boolean, integer, number, string, array, object };
  using Array = std::vector<JsonValue>;
  using Member = std::pair<std::string, JsonValue>;
  using Object = std::vector<Member>;

  // Implicit, so that documents can be written down: object({{"step", 3}, {"done", false}}).
  JsonValue() = default;
  JsonValue(std::nullptr_t) {}
  template <std::same_as<bool> B>
  JsonValue(B value) : value_(value) {}
  template <std::integral I>
  requires(!std::same_as<I, bool>) JsonValue(I value) {
    if (std::in_range<std::int64_t>(value)) {
      value_ = static_cast<std::int64_t>(value);
    } else {
      value_ = static_cast<std::uint64_t>(value);
    }
  }
  template <std::floating_point F>
  JsonValue(F value) : value_(static_cast<double>(value)) {}
  JsonValue(std::string value) : value_(std::move(value)) {}
  JsonValue(std::string_view value) : value_(std::string(value)) {}
  JsonValue(const char* value) : value_(std::string(value)) {}
  JsonValue(Array values) : value_(std::move(values)) {}
  template <JsonReadable T>
  requires(!std::same_as<T, JsonValue>) JsonValue(const std::vector<T>& values)
      : value_(Array(values.begin(), values.end())) {}
  static JsonValue array(Array values = {}) { return JsonValue(std::move(values)); }
  static JsonValue object(Object members = {}) {
    JsonValue out;
    out.value_ = std::move(members);
    return out;
  }

  [[nodiscard]] Kind kind() const noexcept {
    constexpr Kind kinds[] = {Kind::null,   Kind::boolean, Kind::integer, Kind::integer,
                              Kind::number, Kind::string,  Kind::array,   Kind::object};
    return kinds[value_.index()];
  }
  [[nodiscard]] bool is_null() const noexcept { return kind() == Kind::null; }
  [[nodiscard]] bool is_number() const noexcept {
    return kind() == Kind::integer || kind() == Kind::number;
  }
  [[nodiscard]] bool is_string() const noexcept { return kind() == Kind::string; }
  [[nodiscard]] bool is_array() const noexcept { return kind() == Kind::array; }
  [[nodiscard]] bool is_object() const noexcept { return kind() == Kind::object; }

  /// This as a T if it is one exactly: integers must be integers in T's range (12.0 is not one);
  /// float and double take any number that is finite in them.
  template <JsonReadable T>
  [[nodiscard]] std::optional<T> get_if() const;
  /// This as a T. Throws "[json] must be an integer, got "x"".
  template <JsonReadable T>
  [[nodiscard]] T as() const {
    std::optional<T> out = get_if<T>();
    LDLM_CHECK(out.has_value(), "json", "must be ", expected<T>(), ", got ", preview());
    return *std::move(out);
  }

  /// The text of a string; throws for another kind.
  [[nodiscard]] const std::string& string() const { return part<std::string>("a string"); }
  /// The elements of an array; throws for another kind.
  [[nodiscard]] const Array& items() const { return part<Array>("an array"); }
  /// The members of an object in their order; throws for another kind.
  [[nodiscard]] const Object& members() const { return part<Object>("an object"); }
  /// The member of that name; null if there is none or this is no object. Linear in the members.
  [[nodiscard]] const JsonValue* find(std::string_view key) const noexcept {
    if (const auto* object = std::get_if<Object>(&value_)) {
      for (const Member& member : *object) {
        if (member.first == key) {
          return &member.second;
        }
      }
    }
    return nullptr;
  }
  /// Sets a member, at its old place if there is one. A null value becomes an object first.
  JsonValue& set(std::string key, JsonValue value) {
    if (is_null()) {
      value_ = Object{};
    }
    if (const JsonValue* old = find(key)) {
      *const_cast<JsonValue*>(old) = std::move(value);
    } else {
      const_cast<Object&>(members()).emplace_back(std::move(key), std::move(value));
    }
    return *this;
  }
  /// Appends to an array. A null value becomes an array first.
  JsonValue& push_back(JsonValue value) {
    if (is_null()) {
      value_ = Array{};
    }
    const_cast<Array&>(items()).push_back(std::move(value));
    return *this;
  }

  /// Byte where this value began in the text that it was read from; 0 for values made by hand.
  [[nodiscard]] std::size_t offset() const noexcept { return offset_; }

  /// This in a few words for an error message: a scalar's text, or "an array", "an object".
  [[nodiscard]] std::string preview() const;
  /// "an integer", as error messages call a T.
  template <JsonReadable T>
  [[nodiscard]] static std::string expected();

  friend bool operator==(const JsonValue& a, const JsonValue& b) { return a.value_ == b.value_; }

 private:
  friend class JsonBuilder;

  template <class Part>
  [[nodiscard]] const Part& part(std::string_view what) const {
    const Part* const out = std::get_if<Part>(&value_);
    LDLM_CHECK(out != nullptr, "json", "must be ", what, ", got ", preview());
    return *out;
  }

  std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, Array,
               Object>
      value_;  // uint64_t only for what int64_t can't hold
  std::size_t offset_ = 0;
};

template <JsonReadable T>
std::optional<T> JsonValue::get_if() const {
  if constexpr (std::same_as<T, JsonValue>) {
    return *this;
  } else if constexpr (std::same_as<T, bool> || std::same_as<T, std::string>) {
    const T* const out = std::get_if<T>(&value_);
    return out != nullptr ? std::optional<T>(*out) : std::nullopt;
  } else if constexpr (std::integral<T>) {
    const auto narrow = [](auto value) {
      return std::in_range<T>(value) ? std::optional<T>(static_cast<T>(value)) : std::nullopt;
    };
    if (const auto* small = std::get_if<std::int64_t>(&value_)) {
      return narrow(*small);
    }
    const auto* const large = std::get_if<std::uint64_t>(&value_);
    return large != nullptr ? narrow(*large) : std::nullopt;
  } else if constexpr (std::floating_point<T>) {
    double wide = 0;
    if (const auto* number = std::get_if<double>(&value_)) {
      wide = *number;
    } else if (const auto* small = std::get_if<std::int64_t>(&value_)) {
      wide = static_cast<double>(*small);
    } else if (const auto* large = std::get_if<std::uint64_t>(&value_)) {
      wide = static_cast<double>(*large);
    } else {
      return std::nullopt;
    }
    const bool fits = std::abs(wide) <= static_cast<double>(std::numeric_limits<T>::max());
    return fits ? std::optional<T>(static_cast<T>(wide)) : std::nullopt;
  } else {
    const auto* const array = std::get_if<Array>(&value_);
    if (array == nullptr) {
      return std::nullopt;
    }
    T out;
    out.reserve(array->size());
    for (const JsonValue& item : *array) {
      auto element = item.get_if<typename T::value_type>();
      if (!element) {
        return std::nullopt;
      }
      out.push_back(*std::move(element));
    }
    return out;
  }
}

template <JsonReadable T>
std::string JsonValue::expected() {
  if constexpr (std::same_as<T, bool>) {
    return "true or false";
  } else if constexpr (std::same_as<T, std::int64_t>) {
    return "an integer";
  } else if constexpr (std::integral<T>) {
    return detail::concat("an integer from ", +std::numeric_limits<T>::min(), " to ",
                          +std::numeric_limits<T>::max());
  } else if constexpr (std::floating_point<T>) {
    return "a number";
  } else if constexpr (std::same_as<T, std::string>) {
    return "a string";
  } else if constexpr (std::same_as<T, JsonValue>) {
    return "a value";
  } else {
    return "an array, each element " + expected<typename T::value_type>();
  }
}

namespace detail {

/// Appends the tree's text: indented by two spaces a level if `indent` >= 0, else on one line.
inline void append_json(std::string& out, const JsonValue& value, int indent) {
  const auto new_line = [&out](int depth) {
    if (depth >= 0) {
      out += '\n';
      out.append(static_cast<std::size_t>(depth) * 2, ' ');
    }
  };
  const int inside = indent >= 0 ? indent + 1 : -1;
  switch (value.kind()) {
    case JsonValue::Kind::null:
      out += "null";
      break;
    case JsonValue::Kind::boolean:
      out += value.as<bool>() ? "true" : "false";
      break;
    case JsonValue::Kind::integer:
      if (const auto small = value.get_if<std::int64_t>()) {
        out += std::to_string(*small);
      } else {
        out += std::to_string(value.as<std::uint64_t>());
      }
      break;
    case JsonValue::Kind::number: {
      const auto number = value.get_if<double>();
      LDLM_CHECK(number && std::isfinite(*number), "json", "cannot write NaN or infinity");
      char digits[32];
      const auto end = std::to_chars(digits, digits + sizeof(digits), *number).ptr;
      const std::string_view text(digits, static_cast<std::size_t>(end - digits));
      out += text;
      if (text.find_first_of(".e") == std::string_view::npos) {
        out += ".0";  // or it would come back as an integer
      }
      break;
    }
    case JsonValue::Kind::string:
      append_json_string(out, value.string());
      break;
    case JsonValue::Kind::array: {
      bool flat = true;  // arrays of scalars stay on one line
      for (const JsonValue& item : value.items()) {
        flat = flat && !item.is_array() && !item.is_object();
      }
      out += '[';
      std::string_view separator;
      for (const JsonValue& item : value.items()) {
        out += separator;
        separator = flat && indent >= 0 ? ", " : ",";
        new_line(flat ? -1 : inside);
        append_json(out, item, inside);
      }
      new_line(flat ? -1 : indent);
      out += ']';
      break;
    }
    case JsonValue::Kind::object: {
      out += '{';
      std::string_view separator;
      for (const auto& [key, member] : value.members()) {
        out += separator;
        separator = ",";
        new_line(inside);
        append_json_string(out, key);
        out += indent >= 0 ? ": " : ":";
        append_json(out, member, inside);
      }
      new_line(value.members().empty() ? -1 : indent);
      out += '}';
      break;
    }
  }
}

}  // namespace detail

/// The document as text on one line, as `{"a":1}`. Throws for NaN, infinity and ill-formed UTF-8.
[[nodiscard]] inline std::string to_string(const JsonValue& value) {
  std::string out;
  detail::append_json(out, value, -1);
  return out;
}
/// The document as indented text for people, with a final newline.
[[nodiscard]] inline std::string to_pretty_string(const JsonValue& value) {
  std::string out;
  detail::append_json(out, value, 0);
  return out + '\n';
}

inline std::string JsonValue::preview() const {
  switch (kind()) {
    case Kind::string:
      return detail::quote(std::get<std::string>(value_));
    case Kind::array:
      return "an array";
    case Kind::object:
      return "an object";
    case Kind::number:
      if (!std::isfinite(std::get<double>(value_))) {
        return "NaN or infinity";
      }
      [[fallthrough]];
    default:
      return to_string(*this);
  }
}

}  // namespace ldlm
