#pragma once
// JsonValue: a JSON document as a value tree, and its text. Reading is in json/parse.hpp.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>

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
  JsonValue() noexcept;
  JsonValue(std::nullptr_t) noexcept;
  template <std::same_as<bool> B>
  JsonValue(B value) : JsonValue(Scalar{value}) {}
  template <std::integral I>
  requires(!std::same_as<I, bool>) JsonValue(I value)
      : JsonValue(std::in_range<std::int64_t>(value) ? Scalar{static_cast<std::int64_t>(value)}
                                                     : Scalar{static_cast<std::uint64_t>(value)}) {}
  template <std::floating_point F>
  JsonValue(F value) : JsonValue(Scalar{static_cast<double>(value)}) {}
  JsonValue(std::string value);
  JsonValue(std::string_view value);
  JsonValue(const char* value);
  JsonValue(Array values);
  template <JsonReadable T>
  requires(!std::same_as<T, JsonValue>) JsonValue(const std::vector<T>& values)
      : JsonValue(Array(values.begin(), values.end())) {}
  [[nodiscard]] static JsonValue array(Array values = {});
  [[nodiscard]] static JsonValue object(Object members = {});

  JsonValue(const JsonValue& other);
  JsonValue(JsonValue&& other) noexcept;
  JsonValue& operator=(const JsonValue& other);
  JsonValue& operator=(JsonValue&& other) noexcept;
  ~JsonValue();

  [[nodiscard]] Kind kind() const noexcept;
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
  [[nodiscard]] const std::string& string() const;
  /// The elements of an array; throws for another kind.
  [[nodiscard]] const Array& items() const;
  /// The members of an object in their order; throws for another kind.
  [[nodiscard]] const Object& members() const;
  /// The member of that name; null if there is none or this is no object. Linear in the members.
  [[nodiscard]] const JsonValue* find(std::string_view key) const noexcept;
  /// Sets a member, at its old place if there is one. A null value becomes an object first.
  JsonValue& set(std::string key, JsonValue value);
  /// Appends to an array. A null value becomes an array first.
  JsonValue& push_back(JsonValue value);

  /// Byte where this value began in the text that it was read from; 0 for values made by hand.
  [[nodiscard]] std::size_t offset() const noexcept { return offset_; }

  /// This in a few words for an error message: a scalar's text, or "an array", "an object".
  [[nodiscard]] std::string preview() const;
  /// "an integer", as error messages call a T.
  template <JsonReadable T>
  [[nodiscard]] static std::string expected();

  friend bool operator==(const JsonValue& a, const JsonValue& b);

 private:
  friend class JsonBuilder;
  using Scalar = std::variant<bool, std::int64_t, std::uint64_t, double>;
  explicit JsonValue(Scalar value);

  template <class Part>
  [[nodiscard]] const Part& part(std::string_view what) const;
  [[nodiscard]] std::optional<bool> boolean() const;
  /// This if it is an integer of that range.
  [[nodiscard]] std::optional<std::int64_t> integer(std::int64_t least, std::int64_t most) const;
  [[nodiscard]] std::optional<std::uint64_t> natural(std::uint64_t most) const;
  /// This if it is a number of at most that magnitude.
  [[nodiscard]] std::optional<double> number(double largest) const;
  [[nodiscard]] const Array* array_if() const noexcept;
  [[nodiscard]] const std::string* string_if() const noexcept;

  std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, Array,
               Object>
      value_;  // uint64_t only for what int64_t can't hold
  std::size_t offset_ = 0;
};

template <JsonReadable T>
std::optional<T> JsonValue::get_if() const {
  const auto narrow = [](const auto& wide) {
    return wide ? std::optional<T>(static_cast<T>(*wide)) : std::nullopt;
  };
  if constexpr (std::same_as<T, JsonValue>) {
    return *this;
  } else if constexpr (std::same_as<T, bool>) {
    return boolean();
  } else if constexpr (std::same_as<T, std::string>) {
    const std::string* const found = string_if();
    return found != nullptr ? std::optional<T>(*found) : std::nullopt;
  } else if constexpr (std::unsigned_integral<T>) {
    return narrow(natural(std::numeric_limits<T>::max()));
  } else if constexpr (std::integral<T>) {
    return narrow(integer(std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
  } else if constexpr (std::floating_point<T>) {
    return narrow(number(static_cast<double>(std::numeric_limits<T>::max())));
  } else {
    const Array* const array = array_if();
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
    return "an integer from " + std::to_string(std::numeric_limits<T>::min()) + " to " +
           std::to_string(std::numeric_limits<T>::max());
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

/// The document as text on one line, as `{"a":1}`. Throws for NaN, infinity and ill-formed UTF-8.
[[nodiscard]] std::string to_string(const JsonValue& value);
/// The document as indented text for people, with a final newline.
[[nodiscard]] std::string to_pretty_string(const JsonValue& value);

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/json/impl/value.hpp>
#endif
