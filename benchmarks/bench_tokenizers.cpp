// Tokenizers: GPT-2's BPE and BERT's WordPiece against Hugging Face's, on one thread: one long
// text, and the same text line by line. Rates are in megabytes of text per second.
//
// LDLM_BENCH_TEXT names the text, LDLM_BENCH_TOKENIZERS the folder that holds gpt2 (vocab.json,
// merges.txt) and bert-base-uncased (vocab.txt).

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/text/tokenizer.hpp>

#include "peer.hpp"

namespace {

using ldlm::Tokenizer;

/// The text as a whole, or its lines.
std::vector<std::string_view> parts_of(std::string_view text, bool lines) {
  if (!lines) {
    return {text};
  }
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

void add(const std::string& kind, bool lines, const std::string& folder, const std::string& file) {
  const auto make = [=](int threads) {
    std::ifstream in(file, std::ios::binary);
    const auto text = std::make_shared<const std::string>(std::istreambuf_iterator<char>(in),
                                                          std::istreambuf_iterator<char>());
    const auto tokenizer = std::make_shared<const Tokenizer>(Tokenizer::from_folder(folder));
    const std::vector<std::string_view> parts = parts_of(*text, lines);
    const auto encode = [text, tokenizer, parts](auto&& take) {
      for (const std::string_view part : parts) {
        take(tokenizer->encode_ids(part, {.add_special_tokens = false}));
      }
    };
    std::vector<ldlm::bench::Contender> contenders;
    contenders.push_back(
        {"ours",
         [=] {
           return ldlm::bench::time_runs(
               [&] { encode([](auto ids) { benchmark::DoNotOptimize(ids); }); }, threads, 0.05);
         },
         [=] {
           std::vector<float> all;
           encode([&](const auto& ids) { all.insert(all.end(), ids.begin(), ids.end()); });
           return all;
         }});
    ldlm::bench::add_peer(contenders, "tokenizers", "tokenizers_peer.py",
                          {{"kind", kind}, {"lines", lines}, {"folder", folder}, {"text", file}},
                          threads);
    ldlm::bench::Comparison how;
    how.work = 1e-6 * static_cast<double>(text->size());
    how.unit = "MB/s";
    how.absolute = how.relative = 0;
    return std::pair(contenders, how);
  };
  ldlm::bench::add_benchmark("tokenize/" + kind + (lines ? "/lines" : "/whole"), make, 7, {1});
}

}  // namespace

int main(int argc, char** argv) {
  const char* const text = std::getenv("LDLM_BENCH_TEXT");
  const char* const folder = std::getenv("LDLM_BENCH_TOKENIZERS");
  if (text == nullptr || folder == nullptr) {
    std::fputs("left out: LDLM_BENCH_TEXT or LDLM_BENCH_TOKENIZERS is not set\n", stderr);
  } else {
    for (const bool lines : {false, true}) {
      add("bpe", lines, std::string(folder) + "/gpt2", text);
      add("wordpiece", lines, std::string(folder) + "/bert-base-uncased", text);
    }
  }
  return ldlm::bench::run_benchmarks(argc, argv);
}
