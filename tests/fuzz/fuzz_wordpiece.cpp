// Any bytes go through BERT's normalizers and a WordPiece tokenizer; the normalizer's fast way for
// ASCII gives what the slow one gives for the whole text.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/text/tokenizer_trainer.hpp>

namespace text = ldlm::text;

namespace {

void require(bool condition) {
  if (!condition) {
    __builtin_trap();
  }
}

const ldlm::Tokenizer& tokenizer() {
  static const ldlm::Tokenizer trained = [] {
    ldlm::WordPieceTrainerOptions options;
    options.vocab_size = 200;
    options.min_frequency = 1;
    return ldlm::train_wordpiece(
        std::vector<std::string>{"the theory of the thing is that it's there, isn't it?",
                                 "abcdefghijklmnopqrstuvwxyz 0123456789 \xE6\x9D\xB1\xE4\xBA\xAC"},
        options);
  }();
  return trained;
}

void check_normalizer(const text::NormalizerRunner& runner, std::string_view valid) {
  text::NormalizedText fast, in_turns;
  runner.normalize(valid, 0, true, fast);
  require(fast.sources.size() == fast.text.size());
  require(runner(valid) == fast.text);
  std::vector<text::detail::SourcedChar> chars;
  for (std::size_t i = 0; i < valid.size();) {
    const text::CodePoint c = text::decode_utf8(valid, i);
    chars.push_back({c.value, static_cast<std::uint32_t>(i)});
    i += c.size;
  }
  for (const text::NormalizerStep& step : runner.steps()) {
    text::detail::apply(step, chars);
  }
  std::size_t at = 0;
  for (const text::detail::SourcedChar& c : chars) {
    std::string bytes;
    text::append_utf8(bytes, c.value);
    require(fast.text.compare(at, bytes.size(), bytes) == 0);
    require(fast.sources[at] == c.source);
    at += bytes.size();
  }
  require(at == fast.text.size());
  for (std::size_t i = 0; i < valid.size();) {  // and what is separable is separate
    const std::size_t size = runner.separable_prefix(valid.substr(i), 1);
    runner.normalize(valid.substr(i, size), static_cast<std::uint32_t>(i), true, in_turns);
    i += size;
  }
  require(in_turns.text == fast.text && in_turns.sources == fast.sources);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const ldlm::Encoding encoding = tokenizer().encode(input);
  require(tokenizer().encode_ids(input) == encoding.ids);
  (void)tokenizer().decode(encoding.ids);
  const std::size_t points = text::count_code_points(input);
  for (std::size_t i = 0; i < encoding.size(); ++i) {
    require(encoding.offsets[i].begin <= encoding.offsets[i].end);
    require(encoding.offsets[i].end <= points);
    require(encoding.byte_offsets[i].end <= size);
  }
  const std::string valid = text::repair_utf8(input);
  static const std::vector<text::NormalizerRunner> runners = [] {
    std::vector<text::NormalizerRunner> list;
    for (const text::Normalizer& steps :
         {text::Normalizer{text::BertNormalizer()},
          text::Normalizer{text::BertNormalizer{true, true, false, false}},
          text::Normalizer{text::BertNormalizer{false, true, true, false}},
          text::Normalizer{text::UnicodeNormalizer::nfc},
          text::Normalizer{text::UnicodeNormalizer::nfd, text::UnicodeNormalizer::lowercase}}) {
      list.emplace_back(steps);
    }
    return list;
  }();
  for (const text::NormalizerRunner& runner : runners) {
    check_normalizer(runner, valid);
  }
  const std::string composed = text::nfc(valid);
  require(text::nfc(composed) == composed);
  require(text::nfc(text::nfd(valid)) == composed);
  require(text::nfd(composed) == text::nfd(valid));
  return 0;
}
