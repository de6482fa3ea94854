// Any bytes can be split into sentences, which are all there is but white space, and be respelt.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <ldlm/core/utf8.hpp>
#include <ldlm/text/corpus.hpp>
#include <ldlm/text/unicode.hpp>

namespace {

void require(bool condition) {
  if (!condition) {
    __builtin_trap();
  }
}

bool blank(std::string_view bytes) {
  for (const char32_t c : ldlm::to_utf32(bytes)) {
    if (!ldlm::is_whitespace(c)) {
      return false;
    }
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const char* at = input.data();
  for (const std::string_view sentence : ldlm::split_sentences(input)) {
    require(!sentence.empty() && sentence.data() >= at);
    require(blank(std::string_view(at, static_cast<std::size_t>(sentence.data() - at))));
    at = sentence.data() + sentence.size();
  }
  require(blank(std::string_view(at, static_cast<std::size_t>(input.data() + size - at))));
  const std::string plain = ldlm::detokenize_wikitext(input);
  require(plain.size() <= size);
  const auto [level, heading] = ldlm::detail::parse_heading(input);
  require(level == 0 || !heading.empty());
  return 0;
}
