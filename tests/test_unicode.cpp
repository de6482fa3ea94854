#include <doctest/doctest.h>

#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <ldlm/core/utf8.hpp>
#include <ldlm/text/normalizer.hpp>
#include <ldlm/text/unicode.hpp>

#include "paths.hpp"
#include "text_support.hpp"

namespace {

constexpr char32_t end_of_unicode = 0x110000;

bool is_surrogate(char32_t c) {
  return c >= 0xD800 && c < 0xE000;
}

}  // namespace

TEST_CASE("every code point has the properties that Hugging Face's tokenizers give it") {
  std::ifstream file(ldlm_test::data_dir() + "/golden/unicode_hashes.json");
  const nlohmann::json golden = nlohmann::json::parse(file);

  ldlm_test::Fnv classes, lower, nfd, nfc, combining;
  for (char32_t c = 0; c < end_of_unicode; ++c) {
    classes.add(ldlm::char_classes()[c]);
    if (is_surrogate(c)) {
      continue;
    }
    const std::u32string self(1, c);
    const std::u32string lowered = ldlm::to_utf32(ldlm::lower_case(ldlm::to_utf8(self)));
    if (lowered != self) {
      lower.add(c);
      for (const char32_t x : lowered) {
        lower.add(x);
      }
      lower.add(0xFFFFFFFFU);
    }
    const bool hangul = c >= 0xAC00 && c <= 0xD7A3;
    const std::u32string decomposed = ldlm::nfd(self);
    if (decomposed != self && !hangul) {
      nfd.add(c);
      for (const char32_t x : decomposed) {
        nfd.add(x);
      }
      nfd.add(0xFFFFFFFFU);
      if (decomposed.size() > 1 && ldlm::nfc(self) == self) {
        nfc.add(c);
      }
    }
    if (hangul) {
      REQUIRE(decomposed.size() == ((c - 0xAC00) % 28 == 0 ? 2 : 3));
      REQUIRE(ldlm::nfc(decomposed) == self);
    }
    if (ldlm::combining_class(c) != 0) {
      combining.add(c);
      combining.add(ldlm::combining_class(c));
      combining.add(0xFFFFFFFFU);
    }
  }
  CHECK(classes.hex() == golden["classes"]);
  CHECK(lower.hex() == golden["lower"]);
  CHECK(nfd.hex() == golden["nfd"]);
  CHECK(nfc.hex() == golden["nfc"]);
  CHECK(combining.hex() == golden["combining"]);
}

TEST_CASE("UTF-8 goes to code points and back") {
  for (char32_t c = 0; c < end_of_unicode; ++c) {
    if (is_surrogate(c)) {
      continue;
    }
    const std::string encoded = ldlm::to_utf8(std::u32string(1, c));
    REQUIRE(ldlm::is_utf8(encoded));
    const ldlm::CodePoint checked = ldlm::decode_utf8(encoded, 0);
    const ldlm::CodePoint unchecked = ldlm::decode_valid_utf8(encoded.data());
    REQUIRE(checked.value == c);
    REQUIRE(checked.size == encoded.size());
    REQUIRE(checked.valid);
    REQUIRE(unchecked.value == c);
    REQUIRE(unchecked.size == encoded.size());
  }
  CHECK(ldlm::to_utf8(std::u32string{0xD800}) == "\xEF\xBF\xBD");
  CHECK(ldlm::to_utf8(std::u32string{0x110000}) == "\xEF\xBF\xBD");
}

TEST_CASE("invalid UTF-8 becomes what Python's errors='replace' makes of it") {
  const auto repaired = [](std::string_view bytes) {
    std::string shown;
    for (const char32_t c : ldlm::to_utf32(bytes)) {
      shown += c == ldlm::replacement_character ? '?' : static_cast<char>(c);
    }
    CHECK(ldlm::to_utf32(ldlm::repair_utf8(bytes)) == ldlm::to_utf32(bytes));
    CHECK(ldlm::count_code_points(bytes) == shown.size());
    return shown;
  };
  CHECK(repaired("") == "");
  CHECK(repaired("plain") == "plain");
  CHECK(repaired("a\x80z") == "a?z");
  CHECK(repaired("a\xC3") == "a?");        // ends too early
  CHECK(repaired("a\xE2\x82z") == "a?z");  // two good bytes of three: one character
  CHECK(repaired("\xF0\x9F\x98") == "?");
  CHECK(repaired("\xF0\x9F\x98z") == "?z");
  CHECK(repaired("\xC0\xAF") == "??");  // overlong
  CHECK(repaired("\xE0\x80\xAF") == "???");
  CHECK(repaired("\xED\xA0\x80") == "???");       // a surrogate
  CHECK(repaired("\xF4\x90\x80\x80") == "????");  // above U+10FFFF
  CHECK(repaired("\xF8\x88\x80\x80\x80") == "?????");
  CHECK(repaired("\xFF\xFE") == "??");
  CHECK(repaired(std::string_view("a\0b", 3)) == std::string("a\0b", 3));
}

TEST_CASE("canonical normalization orders and composes marks") {
  CHECK(ldlm::nfd(std::string_view("\u00e9")) == "e\u0301");
  CHECK(ldlm::nfc(std::string_view("e\u0301")) == "\u00e9");
  // Marks of different classes commute; those of one class do not.
  CHECK(ldlm::nfd(std::string_view("a\u0301\u0323")) == "a\u0323\u0301");
  CHECK(ldlm::nfd(std::string_view("a\u0301\u0300")) == "a\u0301\u0300");
  CHECK(ldlm::nfc(std::string_view("a\u0323\u0302")) == "\u1ead");
  CHECK(ldlm::nfc(std::string_view("q\u0307\u0323")) == "q\u0323\u0307");
  CHECK(ldlm::nfc(std::string_view("\u1112\u1161\u11ab")) == "\ud55c");
  CHECK(ldlm::nfc(std::string_view("\u0958")) == "\u0915\u093c");  // excluded from composition
  CHECK(ldlm::nfc(std::string_view("\u212b")) == "\u00c5");
  CHECK(ldlm::lower_case(std::string_view("\u0130Stanbul \u03a3")) == "i\u0307stanbul \u03c3");
}
