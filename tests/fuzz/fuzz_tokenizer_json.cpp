// Any text is either refused with an Error or is a tokenizer that encodes, decodes and survives
// saving and loading.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <ldlm/core/error.hpp>
#include <ldlm/core/utf8.hpp>
#include <ldlm/text/tokenizer.hpp>

namespace {

void require(bool condition) {
  if (!condition) {
    __builtin_trap();
  }
}

void check_error(const ldlm::Error& error) {
  const std::string_view message = error.what();
  require(message.starts_with('[') && ldlm::is_utf8(message));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const ldlm::Tokenizer tokenizer = ldlm::Tokenizer::from_json(text, "fuzz");
    const std::string saved = tokenizer.to_json();
    require(ldlm::Tokenizer::from_json(saved, "saved").to_json() == saved);
    for (const std::string_view input :
         {"", " a b ab<s> \xC3\xA9\xE6\x9D\xB1, It's A test.", "\xFF"}) {
      try {
        const ldlm::Encoding encoding = tokenizer.encode(input);
        if (!tokenizer.truncation() && !tokenizer.padding()) {
          require(tokenizer.encode_ids(input) == encoding.ids);
        }
        require(encoding.tokens.size() == encoding.size());
        (void)tokenizer.encode(input, "ab b");
        (void)tokenizer.decode(encoding.ids);
      } catch (const ldlm::Error& error) {  // no unknown token, no room to truncate to, ...
        check_error(error);
      }
    }
  } catch (const ldlm::Error& error) {
    check_error(error);
  }
  return 0;
}
