#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <sys/stat.h>

#include <ldlm/core/error.hpp>
#include <ldlm/text/corpus.hpp>

#include "text_support.hpp"

namespace fs = std::filesystem;

namespace {

/// A file with the given contents, gone at the end.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string_view contents) : path_(folder_.write("text", contents)) {}
  const fs::path& path() const { return path_; }

 private:
  ldlm_test::TemporaryFolder folder_;
  fs::path path_;
};

std::vector<std::string> sentences(std::string_view paragraph) {
  std::vector<std::string> out;
  for (const std::string_view sentence : ldlm::split_sentences(paragraph)) {
    out.emplace_back(sentence);
  }
  return out;
}

std::vector<ldlm::WikiTextArticle> articles(std::string_view contents) {
  const TemporaryFile file(contents);
  ldlm::WikiTextReader reader(file.path());
  std::vector<ldlm::WikiTextArticle> out;
  while (auto article = reader.next()) {
    out.push_back(std::move(*article));
  }
  return out;
}

}  // namespace

TEST_CASE("lines are read with any line end and any length") {
  const std::string longer_than_a_buffer(1'000'000, 'x');
  const TemporaryFile file(
      "\xEF\xBB\xBF"
      "one\r\n\n" +
      longer_than_a_buffer + "\nlast");
  ldlm::LineReader reader(file.path());
  CHECK(reader.next().value() == "one");
  CHECK(reader.next().value() == "");
  CHECK(reader.next().value() == longer_than_a_buffer);
  CHECK(reader.line_number() == 3);
  CHECK(reader.next().value() == "last");
  CHECK_FALSE(reader.next());

  const TemporaryFile empty("");
  CHECK_FALSE(ldlm::LineReader(empty.path()).next());
}

TEST_CASE("lines end as in Python's text files, also where a buffer ends between them") {
  const auto all = [](const std::string& contents) {
    const TemporaryFile file(contents);
    ldlm::LineReader reader(file.path());
    std::vector<std::string> out;
    while (const auto line = reader.next()) {
      out.emplace_back(*line);
    }
    CHECK(reader.line_number() == out.size());
    return out;
  };
  using Lines = std::vector<std::string>;
  CHECK(all("a\rb\r\rc") == Lines{"a", "b", "", "c"});
  CHECK(all("a\r\nb\n\rc\r\n") == Lines{"a", "b", "", "c"});
  CHECK(all("\r") == Lines{""});
  CHECK(all("\n\n") == Lines{"", ""});
  CHECK(all("a\r\r\n\nb") == Lines{"a", "", "", "b"});
  for (const std::size_t size : {262142U, 262143U, 262144U, 262145U}) {  // about a buffer
    const std::string full(size, 'x');
    CHECK(all(full + "\r\nb") == Lines{full, "b"});
    CHECK(all(full + "\rb") == Lines{full, "b"});
    CHECK(all(full + "\r") == Lines{full});
    CHECK(all(full + "\r\n") == Lines{full});
    CHECK(all(full + "\n\r\n\r") == Lines{full, "", ""});
  }
  CHECK(all(std::string(3'000'000, '\r')).size() == 3'000'000);  // in no quadratic time
}

TEST_CASE("a corpus that is not UTF-8 is refused with its line and byte") {
  for (const std::string start : {"", " = Title = \n"}) {
    const TemporaryFile file(start + "One.\ncaf\xE9 au lait\n");
    const std::string said = ldlm_test::message_of(
        [&] { ldlm::for_each_sentence(file.path(), [](std::string_view) {}); });
    CHECK(said.find(file.path().string() + ": line " + (start.empty() ? "2" : "3") +
                    ", byte 3: not UTF-8") != std::string::npos);
  }
}

TEST_CASE("a corpus may be a pipe, which is read once") {
  for (const std::string& contents :
       {std::string(" \n = Title = \n\n One . Two . \n"), std::string("\n \nOne.\nTwo.\n")}) {
    const ldlm_test::TemporaryFolder folder;
    const fs::path pipe = folder.path() / "pipe";
    REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    std::thread writer([&] {
      std::ofstream stream(pipe, std::ios::binary);
      for (const char c : contents) {
        stream << c << std::flush;
      }
    });
    std::size_t paragraphs = 0;
    ldlm::for_each_paragraph(pipe, [&](std::string_view) { ++paragraphs; });
    writer.join();
    CHECK(paragraphs == (contents.find('=') == std::string::npos ? 2 : 1));
  }
}

TEST_CASE("files that are no plain text say so") {
  using namespace std::string_literals;
  const auto message = [](std::string_view contents) {
    const TemporaryFile file(contents);
    return ldlm_test::message_of([&] { ldlm::Corpus corpus(file.path()); });
  };
  CHECK(message("\xFD"
                "7zXZ\0"s)
            .find("compressed with xz: unpack it first") != std::string::npos);
  CHECK(message("\x1F\x8B\x08"s).find("gzip") != std::string::npos);
  CHECK(message("BZh91"s).find("bzip2") != std::string::npos);
  CHECK(message("\x28\xB5\x2F\xFD"s).find("zstd") != std::string::npos);
  CHECK(message("PK\x03\x04"s).find("zip archive") != std::string::npos);
  CHECK(message("PAR1"s).find("Parquet") != std::string::npos);
  CHECK(message("\xFF\xFE"s).find("UTF-16") != std::string::npos);
  CHECK_THROWS_WITH_AS(ldlm::LineReader("/no/such/file"), "[corpus] /no/such/file: no such file",
                       ldlm::Error);
  CHECK_THROWS_AS(ldlm::LineReader(fs::temp_directory_path()), ldlm::Error);

  const TemporaryFile file("ab\n" + std::string(100, 'x'));
  ldlm::LineReader reader(file.path(), 50);
  CHECK(reader.next().value() == "ab");
  CHECK_THROWS_WITH_AS(
      (void)reader.next(),
      ("[corpus] " + file.path().string() + ": line 2 is longer than 50 bytes").c_str(),
      ldlm::Error);
}

TEST_CASE("WikiText's layout becomes articles") {
  const auto read = articles(
      " \n = First title = \n \n One paragraph . \n \n = = Section = = \n \n = = = Deeper = = = \n"
      " Two \n = 1 henry and capacitance C = \n more \n \n = Second = \n \n");
  REQUIRE(read.size() == 2);
  CHECK(read[0].title == "First title");
  REQUIRE(read[0].blocks.size() == 6);
  CHECK(read[0].blocks[0].level == 0);
  CHECK(read[0].blocks[0].text == "One paragraph .");
  CHECK(read[0].blocks[1].level == 2);
  CHECK(read[0].blocks[1].text == "Section");
  CHECK(read[0].blocks[2].level == 3);
  CHECK(read[0].blocks[4].text == "= 1 henry and capacitance C =");  // a formula, no title
  CHECK(read[0].blocks[4].level == 0);
  CHECK(read[0].paragraphs().size() == 4);
  CHECK(read[1].title == "Second");
  CHECK(read[1].blocks.empty());
}

TEST_CASE("copies of WikiText without blank lines and with CRLF are read as well") {
  const auto read = articles(
      " = First = \r\n A line . \r\n = Second = \r\n The value of L \r\n = 1 henry and C = \r\n"
      " 1 farad . \r\n A list \r\n = Third = \r\n Text . \r\n");
  REQUIRE(read.size() == 3);
  CHECK(read[1].blocks.size() == 4);
  CHECK(read[2].title == "Third");
}

TEST_CASE("text before the first title is an article without one") {
  const auto read = articles("loose text\n\n = Title = \n\nbody");
  REQUIRE(read.size() == 2);
  CHECK(read[0].title.empty());
  CHECK(read[0].blocks[0].text == "loose text");
  CHECK(articles("").empty());
  CHECK(articles(" \n \n").empty());
}

TEST_CASE("a corpus finds out its format") {
  const TemporaryFile wikitext("\n = Title = \n \n One . Two . \n");
  const TemporaryFile lines("first line\n\n second line \n");
  CHECK(ldlm::Corpus(wikitext.path()).format() == ldlm::CorpusFormat::wikitext);
  ldlm::Corpus corpus(lines.path());
  CHECK(corpus.format() == ldlm::CorpusFormat::lines);
  CHECK(corpus.next()->blocks[0].text == "first line");
  CHECK(corpus.next()->blocks[0].text == "second line");
  CHECK_FALSE(corpus.next());
  std::vector<std::string> found;
  ldlm::for_each_sentence(wikitext.path(), [&](std::string_view s) { found.emplace_back(s); });
  CHECK(found == std::vector<std::string>{"One .", "Two ."});
  found.clear();
  ldlm::for_each_sentence(
      wikitext.path(), [&](std::string_view s) { found.emplace_back(s); },
      ldlm::CorpusFormat::lines);
  CHECK(found == std::vector<std::string>{"= Title =", "One .", "Two ."});
}

TEST_CASE("sentences end where English ones do") {
  using Parts = std::vector<std::string>;
  CHECK(sentences("").empty());
  CHECK(sentences("  \t ").empty());
  CHECK(sentences("No end") == Parts{"No end"});
  CHECK(sentences("One. Two! Three? Four\u2026 Five") ==
        Parts{"One.", "Two!", "Three?", "Four\u2026", "Five"});
  // Abbreviations, initials and numbers.
  CHECK(sentences("Dr. Smith met J. K. Rowling in St. Louis. They spoke.") ==
        Parts{"Dr. Smith met J. K. Rowling in St. Louis.", "They spoke."});
  CHECK(sentences("It costs 3.5 million U.S. dollars. That is much.").size() == 2);
  CHECK(sentences("He moved to the U.S. He stayed.").size() == 2);
  CHECK(sentences("The U.S. Navy sailed.").size() == 1);
  CHECK(sentences("Acme Inc. was sold. Acme Inc. Shares rose.").size() == 2);
  CHECK(sentences("It ended with World War I. Germany lost.").size() == 2);
  CHECK(sentences("A book by S. I. Hayakawa and A. A. Milne.").size() == 1);
  CHECK(sentences("Brown v. Board, no. 5, i.e. That one.").size() == 1);
  CHECK(sentences("at 5 p.m. The doors closed.").size() == 2);
  // Quotes and brackets.
  CHECK(sentences("\"Stop!\" he said. \"Why?\" \"Because.\" Then silence.") ==
        Parts{"\"Stop!\" he said.", "\"Why?\"", "\"Because.\"", "Then silence."});
  CHECK(sentences("He left (so they say. Nobody knows.) for good. She stayed.") ==
        Parts{"He left (so they say. Nobody knows.) for good.", "She stayed."});
  CHECK(sentences("An open ( bracket. Another sentence.").size() == 2);
  CHECK(sentences("(All in brackets.) Next.") == Parts{"(All in brackets.)", "Next."});
  // What follows decides.
  CHECK(sentences("He asked what? and went.").size() == 1);
  CHECK(sentences("Yahoo! is a company.").size() == 1);
  CHECK(sentences("It rose. 20 people came.").size() == 2);
  CHECK(sentences("see example.com. The end.").size() == 2);
  CHECK(sentences("file.Name has no space.").size() == 1);
  // WikiText's spacing.
  CHECK(sentences("He said , \" No . \" Then he left . Mr. Bean came .") ==
        Parts{"He said , \" No . \"", "Then he left .", "Mr. Bean came ."});
}

TEST_CASE("a paragraph of a million bytes is split in one go") {
  std::string paragraph;
  for (int i = 0; i < 100'000; ++i) {
    paragraph += "It is so. ";
  }
  CHECK(sentences(paragraph).size() == 100'000);
  CHECK(sentences(std::string(1'000'000, '.')).size() == 1);
  CHECK(sentences(std::string(1'000'000, '(')).size() == 1);
  std::string open;
  for (int i = 0; i < 200'000; ++i) {
    open += "(x. A";
  }
  CHECK(sentences(open).size() == 200'001);
}

TEST_CASE("WikiText's spacing can be undone") {
  const auto plain = [](std::string_view s) { return ldlm::detokenize_wikitext(s); };
  CHECK(plain(" a guest @-@ starring role , in 2000 . ") == "a guest-starring role, in 2000.");
  CHECK(plain("1 @,@ 000 @.@ 5 km ( 5 % )") == "1,000.5 km (5%)");
  CHECK(plain("the \" Guardian \" 's view : \" no \"") == "the \"Guardian\"'s view: \"no\"");
  CHECK(plain("US $ 4 and / or \u00A3 7") == "US $4 and/or \u00A37");
  CHECK(plain("the Beach Boys ' song didn 't end at 3 : 04") ==
        "the Beach Boys' song didn't end at 3:04");
  CHECK(plain("") == "");
}

TEST_CASE("orders and splits hang on the seed alone") {
  // Fixed for ever: a change would silently change everybody's validation sets.
  CHECK(ldlm::counter_hash(7, 0) == 7191089600892374487ULL);
  CHECK(ldlm::shuffled_indices(8, 1) == ldlm::shuffled_indices(8, 1));
  CHECK(ldlm::shuffled_indices(8, 1) != ldlm::shuffled_indices(8, 2));
  std::vector<std::size_t> order = ldlm::shuffled_indices(1000, 3);
  std::sort(order.begin(), order.end());
  for (std::size_t i = 0; i < order.size(); ++i) {
    REQUIRE(order[i] == i);
  }
  CHECK(ldlm::shuffled_indices(0, 3).empty());

  std::size_t held = 0;
  for (int i = 0; i < 10'000; ++i) {
    const std::string key = "article " + std::to_string(i);
    const bool is_held = ldlm::held_out(key, 0.1, 5);
    CHECK(is_held == ldlm::held_out(key, 0.1, 5));
    held += is_held ? 1 : 0;
  }
  CHECK(held > 900);
  CHECK(held < 1100);
  CHECK_FALSE(ldlm::held_out("x", 0.0, 1));
  CHECK(ldlm::held_out("x", 1.0, 1));
  CHECK_THROWS_AS((void)ldlm::held_out("x", 1.5, 1), ldlm::Error);

  // Every position is as likely for the first item.
  std::vector<int> where(5);
  for (std::uint64_t seed = 0; seed < 10'000; ++seed) {
    const auto shuffled = ldlm::shuffled_indices(5, seed);
    ++where[static_cast<std::size_t>(std::find(shuffled.begin(), shuffled.end(), 0U) -
                                     shuffled.begin())];
  }
  for (const int count : where) {
    CHECK(count > 1800);
    CHECK(count < 2200);
  }
}

TEST_CASE("a shuffle buffer gives every item once") {
  ldlm::ShuffleBuffer<int> buffer(10, 4);
  std::vector<int> out;
  const auto take = [&](int item) { out.push_back(item); };
  for (int i = 0; i < 100; ++i) {
    buffer.push(i, take);
  }
  CHECK(out.size() == 90);
  buffer.drain(take);
  CHECK(out.size() == 100);
  CHECK_FALSE(std::is_sorted(out.begin(), out.end()));
  CHECK(std::set<int>(out.begin(), out.end()).size() == 100);
  CHECK_THROWS_AS(ldlm::ShuffleBuffer<int>(0, 1), ldlm::Error);
}

TEST_CASE("published WikiText has as many articles as its paper says") {
  for (const char* name : {"wiki.test.raw", "wiki.valid.tokens"}) {
    const auto path = ldlm_test::shared_data(std::string("data/wikitext/") + name);
    if (!path) {
      continue;
    }
    ldlm::Corpus corpus(*path);
    CHECK(corpus.format() == ldlm::CorpusFormat::wikitext);
    std::size_t count = 0;
    while (corpus.next()) {
      ++count;
    }
    CHECK(count == 60);
  }
}
