#pragma once
// Bodies of json/parse.hpp, and the only header that knows the parser, nlohmann-json's.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <istream>
#include <streambuf>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#if __has_include(<nlohmann/json.hpp>)
#include <nlohmann/json.hpp>
#define LDLM_HAS_JSON_PARSER 1
#else
#define LDLM_HAS_JSON_PARSER 0
#endif

#include <ldlm/core/utf8.hpp>
#include <ldlm/json/parse.hpp>
#include <ldlm/json/quote.hpp>

namespace ldlm {

namespace detail {

/// A text as a stream's buffer, which tells how far it has been read.
class TextBuffer : public std::streambuf {
 public:
  explicit TextBuffer(std::string_view text) {
    char* const first = const_cast<char*>(text.data());  // it is only read
    setg(first, first, first + text.size());
  }
  [[nodiscard]] std::size_t position() const { return static_cast<std::size_t>(gptr() - eback()); }
};

}  // namespace detail

/// Receives the parser's events and builds the tree. Used by parse_json alone.
class JsonBuilder {
 public:
  JsonBuilder(std::string_view text, const detail::TextBuffer& buffer, std::string_view origin,
              const JsonOptions& options)
      : text_(text), buffer_(buffer), origin_(origin), options_(options) {}

  bool null() { return add({}); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(std::int64_t value) { return add(value); }
  bool number_unsigned(std::uint64_t value) { return add(value); }
  bool number_float(double value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(std::vector<std::uint8_t>&) { return false; }  // not in JSON text
  bool start_object(std::size_t) { return open(JsonValue::object()); }
  bool start_array(std::size_t) { return open(JsonValue::array()); }
  bool key(std::string& name) {
    skip_to_token();
    consumed_ = buffer_.position();
    key_ = std::move(name);
    return true;
  }
  bool end_object() {
    refuse_duplicate_keys(std::get<JsonValue::Object>(open_.back()->value_));
    return close();
  }
  bool end_array() { return close(); }
  bool parse_error(std::size_t position, const std::string&, const std::exception& exception) {
    // "[json.exception...] parse error at line 1, column 2: why": the byte says where.
    std::string_view reason = exception.what();
    const auto remove_until = [&reason](std::string_view end) {
      if (const std::size_t found = reason.find(end); found != std::string_view::npos) {
        reason.remove_prefix(found + end.size());
      }
    };
    remove_until("] ");
    if (reason.starts_with("parse error")) {
      remove_until(": ");
    }
    constexpr std::size_t longest = 240;  // it quotes the text, which may be long and no UTF-8
    detail::fail_at(ErrorCode::file, "json", origin_, ": byte ",
                    options_.first_byte + (position == 0 ? 0 : position - 1), ": ",
                    repair_utf8(reason.substr(0, longest)), reason.size() > longest ? "..." : "");
  }

  JsonValue take() { return std::move(root_); }

 private:
  bool add(JsonValue value) {
    const std::size_t start = skip_to_token();
    consumed_ = buffer_.position();
    LDLM_CHECK_FILE(++count_ <= options_.max_values, "json", origin_, ": byte ", start,
                    ": more than ", options_.max_values, " values");
    value.offset_ = start;
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (auto* array = std::get_if<JsonValue::Array>(&open_.back()->value_)) {
      array->push_back(std::move(value));
    } else {
      std::get<JsonValue::Object>(open_.back()->value_)
          .emplace_back(std::move(key_), std::move(value));
    }
    return true;
  }
  bool open(JsonValue value) {
    LDLM_CHECK_FILE(open_.size() < options_.max_depth, "json", origin_, ": byte ", skip_to_token(),
                    ": nested deeper than ", options_.max_depth, " levels");
    add(std::move(value));
    JsonValue* opened = &root_;
    if (!open_.empty()) {
      auto* const array = std::get_if<JsonValue::Array>(&open_.back()->value_);
      opened = array != nullptr ? &array->back()
                                : &std::get<JsonValue::Object>(open_.back()->value_).back().second;
    }
    open_.push_back(opened);
    return true;
  }
  bool close() {
    consumed_ = buffer_.position();
    open_.pop_back();
    return true;
  }

  // First byte of the token that the parser has just read. Numbers end one byte later for it, but
  // that byte never begins the next token's text.
  std::size_t skip_to_token() {
    const std::size_t start = text_.find_first_not_of(" \t\r\n:,]}", consumed_);
    return options_.first_byte + std::min(start, text_.size());
  }

  void refuse_duplicate_keys(const JsonValue::Object& members) const {
    std::vector<const JsonValue::Member*> sorted;
    sorted.reserve(members.size());
    for (const JsonValue::Member& member : members) {
      sorted.push_back(&member);
    }
    std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) {
      return std::pair(std::string_view(a->first), a->second.offset()) <
             std::pair(std::string_view(b->first), b->second.offset());
    });
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end(),
                                          [](auto* a, auto* b) { return a->first == b->first; });
    if (twice != sorted.end()) {
      detail::fail_at(ErrorCode::file, "json", origin_, ": byte ", (*(twice + 1))->second.offset(),
                      ": key ", detail::quote((*twice)->first), " stands twice in one object");
    }
  }

  std::string_view text_;
  const detail::TextBuffer& buffer_;  // the parser reads text_ through it
  std::string_view origin_;
  JsonOptions options_;
  std::size_t consumed_ = 0;  // bytes up to and including the previous token
  std::size_t count_ = 0;
  std::string key_;
  JsonValue root_;
  std::vector<JsonValue*> open_;  // the arrays and objects being read; only the last one grows
};

LDLM_BODY JsonValue parse_json(std::string_view text, std::string_view origin,
                               const JsonOptions& options) {
#if LDLM_HAS_JSON_PARSER
  // The parser would take a NUL byte for the end of the text.
  const std::size_t nul = text.find('\0');
  LDLM_CHECK_FILE(nul == std::string_view::npos, "json", origin, ": byte ",
                  options.first_byte + nul, ": NUL byte");
  detail::TextBuffer buffer(text);
  JsonBuilder builder(text, buffer, origin, options);
  std::istream stream(&buffer);
  nlohmann::json::sax_parse(stream, &builder);
  return builder.take();
#else
  (void)text, (void)options;
  detail::fail_at(ErrorCode::file, "json", origin,
                  ": this program was compiled without nlohmann-json, which reads JSON");
#endif
}

}  // namespace ldlm
