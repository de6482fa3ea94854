// What a long text costs: the largest memory at one time, counted by an allocator of this program.

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include <ldlm/text/tokenizer.hpp>

#include "paths.hpp"
#include "text_support.hpp"

namespace {

std::atomic<std::size_t> in_use{0}, peak{0};

// The size of each block is kept in front of it.
constexpr std::size_t front = alignof(std::max_align_t);

/// Null if there is no memory.
void* counted_or_null(std::size_t size) noexcept {
  void* const block = std::malloc(size + front);
  if (block == nullptr) {
    return nullptr;
  }
  *static_cast<std::size_t*>(block) = size;
  const std::size_t now = in_use += size;
  std::size_t seen = peak;
  while (seen < now && !peak.compare_exchange_weak(seen, now)) {
  }
  return static_cast<char*>(block) + front;
}

void* counted(std::size_t size) {
  void* const memory = counted_or_null(size);
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  return memory;
}

void release(void* memory) noexcept {
  if (memory != nullptr) {
    void* const block = static_cast<char*>(memory) - front;
    in_use -= *static_cast<std::size_t*>(block);
    std::free(block);
  }
}

}  // namespace

void* operator new(std::size_t size) {
  return counted(size);
}
void* operator new[](std::size_t size) {
  return counted(size);
}
// The standard's call the ones above; a sanitizer's would not.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return counted_or_null(size);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return counted_or_null(size);
}
void operator delete(void* memory) noexcept {
  release(memory);
}
void operator delete[](void* memory) noexcept {
  release(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  release(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  release(memory);
}

namespace {

/// Bytes that a call takes at one time, above what was in use before it.
template <class Call>
std::size_t peak_of(Call&& call) {
  const std::size_t before = in_use;
  peak = before;
  call();
  return peak - before;
}

/// Words that these tokenizers split into one piece of four or five bytes, as published ones do
/// with English.
std::string long_text(const ldlm::Tokenizer& tokenizer, std::size_t size) {
  std::string words;
  const std::string lines =
      ldlm_test::read_file(ldlm_test::data_dir() + "/golden/tokenizers/text.txt");
  for (std::size_t i = 0; i < lines.size();) {
    const std::size_t end = std::min(lines.find_first_of(" \n", i), lines.size());
    const std::string word = ' ' + lines.substr(i, end - i);
    if (word.size() > 3 && tokenizer.encode_ids(word, {.add_special_tokens = false}).size() == 1) {
      words += word;
    }
    i = end + 1;
  }
  std::string text;
  while (text.size() < size) {
    text += words;
  }
  return text;
}

std::string repeated(std::string_view unit, std::size_t size) {
  std::string text;
  text.reserve(size + unit.size());
  while (text.size() < size) {
    text += unit;
  }
  return text;
}

/// What for_each_token takes.
double bytes_a_byte(const ldlm::Tokenizer& tokenizer, const std::string& text) {
  std::size_t tokens = 0;
  const std::size_t taken =
      peak_of([&] { tokenizer.for_each_token(text, [&](ldlm::TokenId, auto) { ++tokens; }); });
  CHECK(tokens > 0);
  return static_cast<double>(taken) / static_cast<double>(text.size());
}

}  // namespace

TEST_CASE("a long text takes less than twenty bytes of memory a byte") {
  for (const char* const name : {"bpe", "wordpiece"}) {
    CAPTURE(name);
    const auto tokenizer = ldlm::Tokenizer::from_file(
        ldlm_test::data_dir() + "/golden/tokenizers/" + std::string(name) + ".json");
    const std::string text = long_text(tokenizer, 4'000'000);
    const auto bytes = static_cast<double>(text.size());
    std::size_t tokens = 0;
    const std::size_t whole = peak_of([&] { tokens = tokenizer.encode(text).size(); });
    CAPTURE(bytes / static_cast<double>(tokens));
    CHECK(static_cast<double>(whole) / bytes < 20.0);
    const std::size_t ids = peak_of([&] { tokens = tokenizer.encode_ids(text).size(); });
    CHECK(static_cast<double>(ids) / bytes < 5.0);
    MESSAGE(std::string(name) << ": " << bytes / static_cast<double>(tokens)
                              << " bytes a token; encode takes "
                              << static_cast<double>(whole) / bytes << " bytes a byte, encode_ids "
                              << static_cast<double>(ids) / bytes);
    // Nothing of it is kept for the next text.
    const std::size_t idle = in_use;
    (void)tokenizer.encode(text);
    CHECK(in_use <= idle + text.size() / 100);
  }
}

TEST_CASE("a text without end takes less than twenty bytes of memory a byte, token by token") {
  for (const char* const name : {"bpe", "wordpiece"}) {
    CAPTURE(name);
    const auto tokenizer = ldlm::Tokenizer::from_file(
        ldlm_test::data_dir() + "/golden/tokenizers/" + std::string(name) + ".json");
    const auto bytes_a_byte = [&](const std::string& text) {
      return ::bytes_a_byte(tokenizer, text);
    };
    CHECK(bytes_a_byte(long_text(tokenizer, 4'000'000)) < 1.5);
    CHECK(bytes_a_byte(repeated("8 ", 4'000'000)) < 1.5);
    CHECK(bytes_a_byte(std::string(4'000'000, 'a')) < 19.0);  // one word
    // Scripts without spaces, and what normalizers make longer or shorter.
    CHECK(bytes_a_byte(repeated("\u6771\u4eac\u306b\uff0c", 4'000'000)) < 1.5);
    CHECK(bytes_a_byte(repeated("\u6771", 4'000'000)) < 19.0);
    CHECK(bytes_a_byte(repeated("\u00e9", 4'000'000)) < 19.0);
    CHECK(bytes_a_byte(repeated("\uac01 ", 4'000'000)) < 1.5);
    CHECK(bytes_a_byte(repeated("\U0001F600", 4'000'000)) < 19.0);
  }
}

TEST_CASE("so do a prefixed text and one in which added tokens are searched when normalized") {
  const auto read = [](const std::string& name, auto&& change) {
    auto json = nlohmann::json::parse(
        ldlm_test::read_file(ldlm_test::data_dir() + "/golden/tokenizers/" + name));
    change(json);
    return ldlm::Tokenizer::from_json(json.dump());
  };
  const auto prefixed = read(
      "bpe.json", [](nlohmann::json& json) { json["pre_tokenizer"]["add_prefix_space"] = true; });
  auto searched =
      read("wordpiece.json", [](nlohmann::json& json) { json["normalizer"]["lowercase"] = true; });
  searched.add_token({"Word", false, false, false, true, false});
  REQUIRE(searched.added_tokens().any_normalized());
  auto decomposed = read("bpe.json", [](nlohmann::json& json) {
    json["normalizer"] = {{"type", "NFD"}};
  });
  decomposed.add_token({"word", true, true, false, true, false});
  CHECK(bytes_a_byte(decomposed, repeated("\uac01\uac02\uac03 ", 4'000'000)) < 1.5);
  for (const auto& tokenizer : {prefixed, searched}) {
    for (const char* const unit : {"a", "word ", "\u00e9", "\u6771", "\u6771\u4eac\uff0c"}) {
      CAPTURE(unit);
      CHECK(bytes_a_byte(tokenizer, repeated(unit, 4'000'000)) < 19.0);
    }
  }
}
