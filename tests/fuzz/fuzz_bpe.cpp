// Any bytes go through a byte-level BPE tokenizer and come back, with offsets that cover them.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/text/decode_stream.hpp>
#include <ldlm/text/tokenizer_trainer.hpp>

namespace {

void require(bool condition) {
  if (!condition) {
    __builtin_trap();
  }
}

const ldlm::Tokenizer& tokenizer() {
  static const ldlm::Tokenizer trained = [] {
    ldlm::BpeTrainerOptions options;
    options.vocab_size = 400;
    options.min_frequency = 1;
    options.special_tokens = {"<s>"};
    return ldlm::train_bpe(
        std::vector<std::string>{
            "the theory of the thing is that it's there, isn't it?",
            "aaaaaaaa  bbbb\n\n 1234 \xC3\xA9\xC3\xA9 \xE6\x9D\xB1\xE4\xBA\xAC"},
        options);
  }();
  return trained;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const ldlm::Encoding encoding = tokenizer().encode(input);
  require(tokenizer().encode_ids(input) == encoding.ids);
  require(tokenizer().decode(encoding.ids, false) == ldlm::repair_utf8(input));
  ldlm::DecodeStream stream(tokenizer(), false);
  std::string parts;
  std::uint32_t covered = 0;
  const std::size_t points = ldlm::count_code_points(input);
  for (std::size_t i = 0; i < encoding.size(); ++i) {
    const auto [begin, end] = encoding.offsets[i];
    require(begin <= covered && begin < end && end <= points);
    covered = end;
    parts += stream.push(encoding.ids[i]);
  }
  require(covered == points);
  require(parts + stream.finish() == ldlm::repair_utf8(input));
  return 0;
}
