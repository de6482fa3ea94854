#include <doctest/doctest.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <ldlm/text/decode_stream.hpp>
#include <ldlm/text/tokenizer.hpp>

#include "generated_texts.hpp"
#include "paths.hpp"
#include "text_support.hpp"

namespace fs = std::filesystem;
using Ids = std::vector<ldlm::TokenId>;
using Words = std::vector<std::string>;
using ldlm_test::TemporaryFolder;

namespace {

ldlm::Tokenizer small(const std::string& name) {
  return ldlm::Tokenizer::from_file(ldlm_test::data_dir() + "/golden/tokenizers/" + name + ".json");
}

/// vocab.json and merges.txt with the model of bpe.json.
void write_bpe_files(const TemporaryFolder& folder) {
  const auto document = nlohmann::json::parse(
      ldlm_test::read_file(ldlm_test::data_dir() + "/golden/tokenizers/bpe.json"));
  folder.write("vocab.json", document["model"]["vocab"].dump());
  std::string merges = "#version: 0.2\n";
  for (const auto& merge : document["model"]["merges"]) {
    merges += merge[0].get<std::string>() + ' ' + merge[1].get<std::string>() + '\n';
  }
  folder.write("merges.txt", merges);
}

/// vocab.txt with the pieces of wordpiece.json.
void write_vocab_txt(const TemporaryFolder& folder) {
  const ldlm::Tokenizer tokenizer = small("wordpiece");
  std::string vocab;
  for (ldlm::TokenId id = 0; id < static_cast<ldlm::TokenId>(tokenizer.id_bound()); ++id) {
    vocab += tokenizer.id_to_token(id) + '\n';
  }
  folder.write("vocab.txt", vocab);
}

}  // namespace

TEST_CASE("a saved tokenizer is saved again byte for byte") {
  const std::string saved =
      ldlm_test::read_file(ldlm_test::data_dir() + "/golden/tokenizers/saved.json");
  CHECK(ldlm::Tokenizer::from_json(saved).to_json() == saved);
}

TEST_CASE("the files of GPT-2 and BERT give the tokenizers of their tokenizer.json") {
  const TemporaryFolder gpt2;
  write_bpe_files(gpt2);
  const ldlm::Tokenizer bpe = ldlm::Tokenizer::from_folder(gpt2.path());
  const ldlm::Tokenizer wanted = small("bpe");
  CHECK(bpe.vocab_size() == wanted.vocab_size());
  CHECK(bpe.token_to_id("<|endoftext|>") == wanted.token_to_id("<|endoftext|>"));
  const TemporaryFolder bert;
  write_vocab_txt(bert);
  ldlm::FolderOptions cased;
  cased.lowercase = false;
  const ldlm::Tokenizer wordpiece = ldlm::Tokenizer::from_folder(bert.path(), cased);
  CHECK(nlohmann::json::parse(wordpiece.to_json()) ==
        nlohmann::json::parse(small("wordpiece").to_json()));
  for (std::uint64_t i = 0; i < 300; ++i) {
    const std::string input = ldlm_test::generated_text(i);
    if (input.find("<pad>") == std::string::npos) {  // no special token in GPT-2's pair of files
      REQUIRE(bpe.encode_ids(input) == wanted.encode_ids(input));
    }
  }
  // A configuration beside the vocabulary counts, an explicit option more.
  CHECK(ldlm::Tokenizer::from_folder(bert.path()).normalizer()("\u00c9") == "e");
  bert.write("tokenizer_config.json", R"({"do_lower_case": false, "strip_accents": null})");
  CHECK(ldlm::Tokenizer::from_folder(bert.path()).normalizer()("\u00c9") == "\u00c9");
  ldlm::FolderOptions uncased;
  uncased.lowercase = true;
  CHECK(ldlm::Tokenizer::from_folder(bert.path(), uncased).normalizer()("\u00c9") == "e");
  gpt2.write("tokenizer_config.json", R"({"add_prefix_space": true})");
  CHECK(ldlm::Tokenizer::from_folder(gpt2.path()).encode("a").tokens == Words{"\u0120a"});
}

TEST_CASE("saving and loading keep everything") {
  const TemporaryFolder folder;
  ldlm::Tokenizer tokenizer = small("wordpiece");
  tokenizer.add_token({"new one", true, true, false, true, false});
  tokenizer.add_special_token("[X]");
  ldlm::Truncation truncation;
  truncation.max_length = 9;
  truncation.strategy = ldlm::Truncation::Strategy::only_first;
  truncation.direction = ldlm::TextDirection::left;
  tokenizer.set_truncation(truncation);
  ldlm::Padding padding;
  padding.length = 12;
  padding.multiple_of = 4;
  padding.direction = ldlm::TextDirection::left;
  tokenizer.set_padding(padding);
  tokenizer.save(folder.path() / "tokenizer.json");
  const ldlm::Tokenizer again = ldlm::Tokenizer::from_folder(folder.path());
  CHECK(again.to_json() == tokenizer.to_json());
  CHECK(again.encode("a new one in the harbour [X]").ids ==
        tokenizer.encode("a new one in the harbour [X]").ids);
  CHECK_FALSE(fs::exists(folder.path() / "tokenizer.json.part"));
}

TEST_CASE("an added token whose text the one before it took is no token") {
  for (const char* const name : {"bpe", "wordpiece"}) {
    for (const bool normalized : {false, true}) {
      if (normalized && name == std::string_view("wordpiece")) {
        continue;  // its normalizer makes these a space
      }
      ldlm::Tokenizer tokenizer = small(name);
      const auto add = [&](const char* content, bool lstrip, bool rstrip) {
        ldlm::AddedToken token;
        token.content = content;
        token.lstrip = lstrip;
        token.rstrip = rstrip;
        token.normalized = normalized;
        return tokenizer.add_token(token);
      };
      const ldlm::TokenId line = add("\n", true, true);
      const ldlm::TokenId tab = add("\t", true, false);
      const auto ids = [&](std::string_view input) {
        return tokenizer.encode_ids(input, {.add_special_tokens = false});
      };
      const auto count = [&](std::string_view input, ldlm::TokenId id) {
        const Ids found = ids(input);
        return std::count(found.begin(), found.end(), id);
      };
      CHECK(count("a\n\nb", line) == 1);  // as in `tokenizers`
      CHECK(count("a\n \n\n b\n", line) == 2);
      CHECK(count("a\n\t b", tab) == 0);  // where `tokenizers` fails
      CHECK(count("a\t\tb", tab) == 2);
      CHECK(ids("a\n\n\tb") == ids("a\nb"));
    }
  }
}

TEST_CASE("ids, pieces and added tokens") {
  ldlm::Tokenizer tokenizer = small("bpe");
  CHECK(tokenizer.vocab_size() == 1500);
  CHECK(tokenizer.id_bound() == 1500);
  CHECK(tokenizer.token_to_id("<pad>") == 1);
  CHECK(tokenizer.id_to_token(1) == "<pad>");
  CHECK_FALSE(tokenizer.token_to_id("no such piece"));
  const ldlm::TokenId mask = tokenizer.add_special_token("<mask>");
  CHECK(mask == 1500);
  CHECK(tokenizer.vocab_size() == 1501);
  CHECK(tokenizer.id_bound() == 1501);
  CHECK(tokenizer.add_special_token("<mask>") == mask);  // known already
  CHECK(tokenizer.encode_ids("<mask>") == Ids{mask});
  CHECK(tokenizer.decode(Ids{mask, 1}) == "");
  CHECK(tokenizer.decode(Ids{mask, 1}, false) == "<mask><pad>");
  // Copies do not see each other's changes.
  ldlm::Tokenizer copy = tokenizer;
  copy.add_special_token("<other>");
  CHECK_FALSE(tokenizer.token_to_id("<other>"));
  CHECK_THROWS_AS(tokenizer.add_token(ldlm::special_token("<a>"), 5), ldlm::Error);
  CHECK_THROWS_AS(tokenizer.add_token(ldlm::special_token("<a>"), -1), ldlm::Error);
  CHECK_THROWS_AS(tokenizer.add_token(ldlm::special_token("<pad>"), 2), ldlm::Error);
  CHECK_THROWS_AS(tokenizer.add_token(ldlm::special_token("<b>"), mask), ldlm::Error);
  CHECK_THROWS_AS(tokenizer.add_special_token(""), ldlm::Error);
  CHECK_THROWS_AS(tokenizer.add_special_token("\xff"), ldlm::Error);
}

TEST_CASE("templates are given in Hugging Face's notation") {
  ldlm::Tokenizer tokenizer = small("bpe");
  tokenizer.set_template("$A <|endoftext|>", "$A <|endoftext|>:2 $B:1 <|endoftext|>:1");
  const ldlm::Encoding one = tokenizer.encode("a");
  CHECK(one.tokens == Words{"a", "<|endoftext|>"});
  CHECK(one.special_tokens_mask == std::vector<std::int32_t>{0, 1});
  const ldlm::Encoding two = tokenizer.encode("a", "b");
  CHECK(two.tokens == Words{"a", "<|endoftext|>", "b", "<|endoftext|>"});
  CHECK(two.type_ids == std::vector<std::int32_t>{0, 2, 1, 1});
  CHECK_THROWS_AS(tokenizer.set_template("$A <none>", "$A $B"), ldlm::Error);
  CHECK_THROWS_AS(tokenizer.set_template("$A $B", "$A $B"), ldlm::Error);
  CHECK_THROWS_AS(tokenizer.set_template("$A", "$A"), ldlm::Error);
  CHECK_THROWS_AS(tokenizer.set_template("$A:x", "$A $B"), ldlm::Error);
}

TEST_CASE("byte offsets refer to the text as given, invalid bytes included") {
  const ldlm::Tokenizer tokenizer = small("bpe");
  // Two bytes of three (one U+FFFD), a two-byte character, a lone byte (another U+FFFD).
  const std::string input = "a\xE2\x82\u00e9\x80z";
  const ldlm::Encoding encoding = tokenizer.encode(input);
  CHECK(tokenizer.decode(encoding.ids) == ldlm::repair_utf8(input));
  CHECK(encoding.offsets.front() == ldlm::TextSpan{0, 1});
  CHECK(encoding.byte_offsets.front() == ldlm::TextSpan{0, 1});
  CHECK(encoding.offsets.back() == ldlm::TextSpan{4, 5});
  CHECK(encoding.byte_offsets.back() == ldlm::TextSpan{6, 7});
  bool middle = false;
  for (std::size_t i = 0; i < encoding.size(); ++i) {
    if (encoding.offsets[i] == ldlm::TextSpan{1, 2}) {
      CHECK(encoding.byte_offsets[i] == ldlm::TextSpan{1, 3});
      middle = true;
    }
  }
  CHECK(middle);
  const ldlm::Tokenizer bert = small("wordpiece");
  for (std::uint64_t i = 0; i < 500; ++i) {
    const std::string any = ldlm_test::generated_text(i);
    const std::u32string points = ldlm::to_utf32(any);
    for (const ldlm::Tokenizer& t : {tokenizer, bert}) {
      const ldlm::Encoding e = t.encode(any);
      for (std::size_t k = 0; k < e.size(); ++k) {
        const auto [begin, end] = e.byte_offsets[k];
        REQUIRE(end <= any.size());
        const std::u32string covered = ldlm::to_utf32(any.substr(begin, end - begin));
        REQUIRE(covered ==
                points.substr(e.offsets[k].begin, e.offsets[k].end - e.offsets[k].begin));
      }
    }
  }
}

TEST_CASE("texts of every size encode and decode") {
  const ldlm::Tokenizer bpe = small("bpe");
  const ldlm::Tokenizer wordpiece = small("wordpiece");
  CHECK(bpe.encode("").ids.empty());
  CHECK(bpe.decode(Ids{}) == "");
  CHECK(wordpiece.encode("").tokens == Words{"[CLS]", "[SEP]"});
  std::string lines;
  while (lines.size() < 1'000'000) {
    lines += "line after line; ";
  }
  std::string east;
  while (east.size() < 1'000'000) {
    east += "\u6771\u4eac";
  }
  for (const std::string& million :
       {std::string(1'000'000, 'a'), std::string(1'000'000, ' '), std::string(1'000'000, '\n'),
        std::string(1'000'000, '\0'), lines, east, std::string(1'000'000, '\xFF')}) {
    const Ids ids = bpe.encode_ids(million);
    CHECK(bpe.decode(ids) == ldlm::repair_utf8(million));
    CHECK(bpe.encode(million).ids == ids);
    CHECK(wordpiece.encode(million).ids == wordpiece.encode_ids(million));
  }
}

TEST_CASE("the word cache changes nothing") {
  const ldlm::Tokenizer warm = small("bpe");
  std::string many;
  for (std::uint64_t i = 0; i < 150'000; ++i) {  // more words than the cache holds
    many += ' ' + std::to_string(ldlm::counter_hash(1, i) % 1'000'000'007);
  }
  const Ids first = warm.encode_ids(many);
  CHECK(warm.encode_ids(many) == first);
  CHECK(small("bpe").encode_ids(many) == first);
}

TEST_CASE("threads may share a tokenizer") {
  const ldlm::Tokenizer tokenizer = small("wordpiece");
  std::vector<Ids> wanted;
  for (std::uint64_t i = 0; i < 200; ++i) {
    wanted.push_back(small("wordpiece").encode_ids(ldlm_test::generated_text(i)));
  }
  std::vector<int> wrong(4);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < 200; ++i) {
        const std::string input = ldlm_test::generated_text(i);
        wrong[t] += tokenizer.encode_ids(input) != wanted[i] ? 1 : 0;
        wrong[t] += tokenizer.encode(input).ids != wanted[i] ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(wrong == std::vector<int>(4));
}

TEST_CASE("a decode stream gives the whole text in parts") {
  ldlm::Tokenizer cleaning = small("wordpiece");
  ldlm::TokenizerInfo info;
  info.clean_up_spaces = true;
  cleaning.set_info(info);
  for (const ldlm::Tokenizer& tokenizer : {small("bpe"), small("wordpiece"), cleaning}) {
    for (std::uint64_t i = 0; i < 300; ++i) {
      Ids ids = tokenizer.encode_ids(ldlm_test::generated_text(i));
      if (i % 2 == 1) {  // any ids, so that bytes stand alone
        for (std::size_t k = 0; k < ids.size(); ++k) {
          ids[k] = static_cast<ldlm::TokenId>(ldlm::counter_hash(i, k) % 400);
        }
      }
      ldlm::DecodeStream stream(tokenizer);
      std::string out;
      for (const ldlm::TokenId id : ids) {
        const std::string part = stream.push(id);
        REQUIRE(ldlm::is_utf8(part));
        out += part;
      }
      out += stream.finish();
      REQUIRE(out == tokenizer.decode(ids));
    }
  }
}

TEST_CASE("truncation that cannot work says why") {
  ldlm::Tokenizer tokenizer = small("wordpiece");
  ldlm::Truncation truncation;
  const auto message = [&](std::string_view first, std::string_view second) {
    tokenizer.set_truncation(truncation);
    return ldlm_test::message_of([&] { (void)tokenizer.encode(first, second); });
  };
  truncation.max_length = 2;
  CHECK(message("a", "b") == "[truncate] max_length 2 leaves no room for 3 special tokens");
  truncation.max_length = 6;
  truncation.strategy = ldlm::Truncation::Strategy::only_first;
  CHECK(message("a", "b c d e f g").find("too few to take away") != std::string::npos);
  truncation.strategy = ldlm::Truncation::Strategy::only_second;
  tokenizer.set_truncation(truncation);
  CHECK(ldlm_test::message_of([&] { (void)tokenizer.encode("a b c d e f g h"); }) ==
        "[truncate] strategy only_second needs a second text");
  truncation.strategy = ldlm::Truncation::Strategy::longest_first;
  truncation.keep_overflow = true;
  truncation.stride = 4;
  tokenizer.set_truncation(truncation);
  CHECK(ldlm_test::message_of([&] {
          (void)tokenizer.encode("a b c d e f g h");
        }).find("stride 4 is not below") != std::string::npos);
}

TEST_CASE("ids without a piece are errors, not silence") {
  const ldlm::Tokenizer tokenizer = small("bpe");
  CHECK(ldlm_test::message_of([&] { (void)tokenizer.decode(Ids{1500}); }) ==
        "[tokenizer] no piece has id 1500; the ids end before 1500");
  CHECK_THROWS_AS((void)tokenizer.decode(Ids{-1}), ldlm::Error);
  CHECK_THROWS_AS((void)tokenizer.decode(Ids{2'000'000'000}), ldlm::Error);
  CHECK_THROWS_AS((void)tokenizer.id_to_token(-5), ldlm::Error);
}

TEST_CASE("a long text that is normalized in turns gives the tokens of the whole") {
  std::string many;
  for (std::uint64_t i = 0; many.size() < 500'000; ++i) {
    many += ldlm_test::generated_text(i) + (i % 3 == 0 ? " and 7 more " : "");
  }
  for (const char* const name : {"wordpiece", "bpe"}) {
    CAPTURE(name);
    auto json = nlohmann::json::parse(ldlm_test::read_file(
        ldlm_test::data_dir() + "/golden/tokenizers/" + std::string(name) + ".json"));
    if (std::string_view(name) == "bpe") {
      json["normalizer"] = {{"type", "NFC"}};
      json["pre_tokenizer"]["add_prefix_space"] = true;
    }
    const auto turns = ldlm::Tokenizer::from_json(json.dump());
    // Added tokens are searched for in normalized text, which then is made as a whole.
    ldlm::Tokenizer whole = turns;
    ldlm::AddedToken absent;
    absent.content = "absent from every text";
    whole.add_token(absent);
    const ldlm::Encoding wanted = whole.encode(many);
    const ldlm::Encoding found = turns.encode(many);
    REQUIRE(found.ids == wanted.ids);
    CHECK(found.tokens == wanted.tokens);
    CHECK(found.offsets == wanted.offsets);
    CHECK(found.byte_offsets == wanted.byte_offsets);
    CHECK(found.word_ids == wanted.word_ids);
    CHECK(turns.encode_ids(many) == wanted.ids);
    CHECK(found.size() > 50'000);
  }
}
