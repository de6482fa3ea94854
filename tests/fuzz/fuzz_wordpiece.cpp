// Any bytes go through BERT's normalizers and a WordPiece tokenizer; the normalizer's fast way for
// ASCII gives what the slow one gives for the whole text.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/text/tokenizer_trainer.hpp>

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

void check_normalizer(const ldlm::NormalizerRunner& runner, std::string_view valid) {
  ldlm::NormalizedText fast, in_turns;
  runner.normalize(valid, 0, true, fast);
  require(fast.sources.size() == fast.text.size());
  require(runner(valid) == fast.text);
  std::vector<ldlm::detail::SourcedChar> chars;
  for (std::size_t i = 0; i < valid.size();) {
    const ldlm::CodePoint c = ldlm::decode_utf8(valid, i);
    chars.push_back({c.value, static_cast<std::uint32_t>(i)});
    i += c.size;
  }
  for (const ldlm::NormalizerStep& step : runner.steps()) {
    ldlm::detail::apply(step, chars);
  }
  std::size_t at = 0;
  for (const ldlm::detail::SourcedChar& c : chars) {
    std::string bytes;
    ldlm::append_utf8(bytes, c.value);
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
  const std::size_t points = ldlm::count_code_points(input);
  for (std::size_t i = 0; i < encoding.size(); ++i) {
    require(encoding.offsets[i].begin <= encoding.offsets[i].end);
    require(encoding.offsets[i].end <= points);
    require(encoding.byte_offsets[i].end <= size);
  }
  const std::string valid = ldlm::repair_utf8(input);
  static const std::vector<ldlm::NormalizerRunner> runners = [] {
    std::vector<ldlm::NormalizerRunner> list;
    for (const ldlm::Normalizer& steps :
         {ldlm::Normalizer{ldlm::BertNormalizer()},
          ldlm::Normalizer{ldlm::BertNormalizer{true, true, false, false}},
          ldlm::Normalizer{ldlm::BertNormalizer{false, true, true, false}},
          ldlm::Normalizer{ldlm::UnicodeNormalizer::nfc},
          ldlm::Normalizer{ldlm::UnicodeNormalizer::nfd, ldlm::UnicodeNormalizer::lowercase}}) {
      list.emplace_back(steps);
    }
    return list;
  }();
  for (const ldlm::NormalizerRunner& runner : runners) {
    check_normalizer(runner, valid);
  }
  const std::string composed = ldlm::nfc(valid);
  require(ldlm::nfc(composed) == composed);
  require(ldlm::nfc(ldlm::nfd(valid)) == composed);
  require(ldlm::nfd(composed) == ldlm::nfd(valid));
  return 0;
}
