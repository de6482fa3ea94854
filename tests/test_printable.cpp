// Text that is shown on a terminal sends it nothing but itself.

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include <ldlm/core/printable.hpp>
#include <ldlm/json/quote.hpp>

using ldlm::printable;
using namespace std::string_literals;

TEST_CASE("what terminals act on is escaped, all other text stays as it is") {
  for (const std::string_view text :
       {"", "plain ~", "d\u00E9j\u00E0 vu", "\u6771\u4EAC", "\u05E9\u05DC\u05D5\u05DD",
        "\U0001F468\u200D\U0001F469", "\u00A0 \u2027 \u202F \u206A"}) {
    CHECK(printable(text) == text);
  }
  CHECK(printable("a\x1b[31mb\0c\x7f"s) == "a\\u001b[31mb\\u0000c\\u007f");
  CHECK(printable("a\n\tb\r") == "a\\u000a\\u0009b\\u000d");
  CHECK(printable("a\n\tb\r", "\n\t") == "a\n\tb\\u000d");
  CHECK(printable("\u0080\u009B31m\u009F") == "\\u0080\\u009b31m\\u009f");
  CHECK(printable("\u2028\u202A\u202E\u2066\u2069") == "\\u2028\\u202a\\u202e\\u2066\\u2069");
  CHECK(printable("a\x9b\xc3z\xf0\x9f\x99") == "a\\x9b\\xc3z\\xf0\\x9f\\x99");
  CHECK(printable("\u0085", "\u0085") == "\u0085");
}

TEST_CASE("quoted text is printable, too") {
  using ldlm::detail::quote;
  CHECK(quote("a\"\\\n\x1b") == R"("a\"\\\n\u001b")");
  CHECK(quote("\x7f\u009b\u202e\u00e9") == "\"\\u007f\\u009b\\u202e\u00e9\"");
  CHECK(quote("\xe2\x82z\xff") == "\"\\xe2\\x82z\\xff\"");
}
