#pragma once
// Bodies of json/value.hpp.

#include <charconv>
#include <cmath>

#include <ldlm/json/quote.hpp>
#include <ldlm/json/value.hpp>

namespace ldlm {

LDLM_BODY JsonValue::JsonValue() noexcept = default;
LDLM_BODY JsonValue::JsonValue(std::nullptr_t) noexcept {}
LDLM_BODY JsonValue::JsonValue(Scalar value) {
  std::visit([this](auto number) { value_ = number; }, value);
}
LDLM_BODY JsonValue::JsonValue(std::string value) : value_(std::move(value)) {}
LDLM_BODY JsonValue::JsonValue(std::string_view value) : value_(std::string(value)) {}
LDLM_BODY JsonValue::JsonValue(const char* value) : value_(std::string(value)) {}
LDLM_BODY JsonValue::JsonValue(Array values) : value_(std::move(values)) {}
LDLM_BODY JsonValue JsonValue::array(Array values) {
  return JsonValue(std::move(values));
}
LDLM_BODY JsonValue JsonValue::object(Object members) {
  JsonValue out;
  out.value_ = std::move(members);
  return out;
}
LDLM_BODY JsonValue::JsonValue(const JsonValue& other) = default;
LDLM_BODY JsonValue::JsonValue(JsonValue&& other) noexcept = default;
LDLM_BODY JsonValue& JsonValue::operator=(const JsonValue& other) = default;
LDLM_BODY JsonValue& JsonValue::operator=(JsonValue&& other) noexcept = default;
LDLM_BODY JsonValue::~JsonValue() = default;

LDLM_BODY JsonValue::Kind JsonValue::kind() const noexcept {
  constexpr Kind kinds[] = {Kind::null,   Kind::boolean, Kind::integer, Kind::integer,
                            Kind::number, Kind::string,  Kind::array,   Kind::object};
  return kinds[value_.index()];
}

template <class Part>
const Part& JsonValue::part(std::string_view what) const {
  const Part* const out = std::get_if<Part>(&value_);
  LDLM_CHECK(out != nullptr, "json", "must be ", what, ", got ", preview());
  return *out;
}
LDLM_BODY const std::string& JsonValue::string() const {
  return part<std::string>("a string");
}
LDLM_BODY const JsonValue::Array& JsonValue::items() const {
  return part<Array>("an array");
}
LDLM_BODY const JsonValue::Object& JsonValue::members() const {
  return part<Object>("an object");
}

LDLM_BODY const JsonValue* JsonValue::find(std::string_view key) const noexcept {
  if (const auto* object = std::get_if<Object>(&value_)) {
    for (const Member& member : *object) {
      if (member.first == key) {
        return &member.second;
      }
    }
  }
  return nullptr;
}
LDLM_BODY JsonValue& JsonValue::set(std::string key, JsonValue value) {
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
LDLM_BODY JsonValue& JsonValue::push_back(JsonValue value) {
  if (is_null()) {
    value_ = Array{};
  }
  const_cast<Array&>(items()).push_back(std::move(value));
  return *this;
}

LDLM_BODY bool operator==(const JsonValue& a, const JsonValue& b) {
  return a.value_ == b.value_;
}

LDLM_BODY std::optional<bool> JsonValue::boolean() const {
  const bool* const found = std::get_if<bool>(&value_);
  return found != nullptr ? std::optional<bool>(*found) : std::nullopt;
}
LDLM_BODY std::optional<std::int64_t> JsonValue::integer(std::int64_t least,
                                                         std::int64_t most) const {
  const auto* const found = std::get_if<std::int64_t>(&value_);
  const bool fits = found != nullptr && *found >= least && *found <= most;
  return fits ? std::optional<std::int64_t>(*found) : std::nullopt;
}
LDLM_BODY std::optional<std::uint64_t> JsonValue::natural(std::uint64_t most) const {
  std::optional<std::uint64_t> out;
  if (const auto* large = std::get_if<std::uint64_t>(&value_)) {
    out = *large;
  } else if (const auto* small = std::get_if<std::int64_t>(&value_); small && *small >= 0) {
    out = static_cast<std::uint64_t>(*small);
  }
  return out && *out <= most ? out : std::nullopt;
}
LDLM_BODY std::optional<double> JsonValue::number(double largest) const {
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
  return std::abs(wide) <= largest ? std::optional<double>(wide) : std::nullopt;
}
LDLM_BODY const JsonValue::Array* JsonValue::array_if() const noexcept {
  return std::get_if<Array>(&value_);
}
LDLM_BODY const std::string* JsonValue::string_if() const noexcept {
  return std::get_if<std::string>(&value_);
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

LDLM_BODY std::string to_string(const JsonValue& value) {
  std::string out;
  detail::append_json(out, value, -1);
  return out;
}
LDLM_BODY std::string to_pretty_string(const JsonValue& value) {
  std::string out;
  detail::append_json(out, value, 0);
  return out + '\n';
}

LDLM_BODY std::string JsonValue::preview() const {
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
