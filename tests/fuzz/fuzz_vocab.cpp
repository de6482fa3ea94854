// Any contents of vocab.txt, or (before and after a NUL) of vocab.json and merges.txt, are either
// refused with an Error or make a tokenizer.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

// Bodies come after what they are a part of:
// clang-format off
#include <ldlm/text/tokenizer.hpp>
#include <ldlm/text/impl/tokenizer_files.hpp>
// clang-format on

namespace {

void require(bool condition) {
  if (!condition) {
    __builtin_trap();
  }
}

template <class Read>
void try_to(Read&& read) {
  try {
    const ldlm::Tokenizer tokenizer = read();
    const ldlm::Encoding encoding = tokenizer.encode("a b ab abc");
    (void)tokenizer.decode(encoding.ids);
    const std::string saved = tokenizer.to_json();
    require(ldlm::Tokenizer::from_json(saved, "saved").to_json() == saved);
  } catch (const ldlm::Error& error) {
    const std::string_view message = error.what();
    require(message.starts_with('[') && ldlm::is_utf8(message));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string contents(reinterpret_cast<const char*>(data), size);
  try_to([&] { return ldlm::detail::read_vocab_txt({"vocab.txt", contents}, {}); });
  const std::size_t end = contents.find('\0');
  if (end != std::string::npos) {
    for (const auto family :
         {ldlm::detail::ClassFamily::gpt2, ldlm::detail::ClassFamily::roberta}) {
      try_to([&] {
        return ldlm::detail::read_bpe_files({"vocab.json", contents.substr(0, end)},
                                            {"merges.txt", contents.substr(end + 1)}, family, {});
      });
    }
  }
  return 0;
}
