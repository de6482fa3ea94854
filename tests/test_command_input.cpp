// What the ldlm command reads: texts as a stream, from arguments, files, pipes and standard input.

#include "command_support.hpp"

#include <fstream>
#include <thread>

#include <sys/stat.h>

using namespace command_test;

namespace {

Arguments tokenize(Arguments more = {}) {
  more.insert(more.begin(), {"tokenize", "--tokenizer", workshop().tokenizer, "--json"});
  return more;
}
std::vector<std::string> texts_of(const std::string& output) {
  std::vector<std::string> out;
  for (const auto& line : json_lines(output)) {
    out.push_back(line.find("text")->as<std::string>());
  }
  return out;
}
using Texts = std::vector<std::string>;

std::string repeated(const std::string& line, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) {
    out += line;
  }
  return out;
}

}  // namespace

TEST_CASE("texts in square brackets are texts, not lists") {
  const Texts texts{"[a, b]", "[]", "[[1],[2]]", "[MASK] x [SEP]", "plain", "[x]\x1f"};
  CHECK(texts_of(output_of(tokenize(texts))) == texts);
  CHECK(texts_of(output_of(tokenize({"--", "[a, b]"}))) == Texts{"[a, b]"});
  check_error(tokenize({"--file", "[no, file]"}), {"[no, file]"});
}

TEST_CASE("lines may have any end, and a file a byte order mark") {
  const RunOptions input{.input =
                             "\xEF\xBB\xBF"
                             "one\r\ntwo\rthree\n\n \t\nfour"};
  CHECK(texts_of(output_of(tokenize(), input)) == Texts{"one", "two", "three", "four"});
  CHECK(texts_of(output_of(tokenize({"--file", "-"}), input)) ==
        Texts{"one", "two", "three", "four"});
}

TEST_CASE("a text a line is read from pipes and devices, and answered as it comes") {
  const fs::path pipe = workshop().folder / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  Process running(tokenize({"--file", pipe.string()}));
  {
    std::ofstream writer(pipe, std::ios::binary);
    writer << "first\nsec" << std::flush;
    const auto begin = std::chrono::steady_clock::now();
    while (running.printed().empty() &&
           std::chrono::steady_clock::now() - begin < std::chrono::seconds(60)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    CHECK(texts_of(running.printed()) == Texts{"first"});  // while the pipe is open
    writer << "ond\n" << std::flush;
  }
  const Result result = running.wait();
  CHECK(result.status == 0);
  CHECK(texts_of(result.out) == Texts{"first", "second"});

  CHECK(texts_of(output_of(tokenize({"--file", "/dev/stdin"}), {.input = "a\n"})) == Texts{"a"});
  check_error(tokenize({"--file", "/dev/null"}), {"there is no text in /dev/null"});
}

TEST_CASE("what is no text file is refused by name and kind") {
  const Workshop& w = workshop();
  const std::string folder = w.folder.path().string();
  check_error(tokenize({"--file", folder}), {folder + ": is a folder, not a file"});
  check_error(tokenize(), {"standard input: is a folder, not a file"}, {.input_path = folder});
  check_error(tokenize(), {"standard input", "Bad file descriptor"}, {.input_path = "-"});
  const std::string file = (w.folder / "other").string();
  for (const auto& [head, part] : std::vector<std::pair<std::string, std::string>>{
           {"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS pointer"},
           {std::string("\x1f\x8b\x08\0", 4), "gzip"},
           {std::string("\xFD"
                        "7zXZ\0",
                        6),
            "xz"},
           {std::string("\xff\xfeT\0h\0e\0\n\0", 10), "UTF-16"},
           {std::string("T\0h\0e\0 \0c\0\n\0", 12), "UTF-16"},
           {"PAR1\x15\x04", "Parquet"},
       }) {
    make_file(file, head);
    check_error(tokenize({"--file", file}), {file + ": is ", part});
    check_error(tokenize(), {"standard input: is ", part}, {.input = head});
  }
  make_file(file, "{\"model\": 5}");
  check_error({"tokenize", "--tokenizer", folder, "a"}, {folder, "is a folder"});
  make_file(file, "version https://git-lfs.github.com/spec/v1\noid sha256:1\n");
  check_error({"tokenize", "--tokenizer", file, "a"}, {file, "Git LFS pointer"});
  const fs::path pipe = w.folder / "tokenizer_pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);  // opening it would wait for ever
  check_error({"tokenize", "--tokenizer", pipe.string(), "a"},
              {pipe.string(), "not a regular file"});
  if (::geteuid() == 0) {
    MESSAGE("skipped: a file that root may not read, as there is none");
  } else {
    fs::permissions(file, fs::perms::none);
    check_error(tokenize({"--file", file}), {file, "Permission denied"});
    check_error({"tokenize", "--tokenizer", file, "a"}, {file, "Permission denied"});
  }
}

TEST_CASE("a line has a greatest length, and the texts before it are worked on") {
  const fs::path file = workshop().folder / "long";
  {
    std::ofstream stream(file);
    stream << "a\nb\n";
    const std::string part(1 << 20, 'x');
    for (int i = 0; i < 65; ++i) {
      stream << part;
    }
  }
  Arguments command = tokenize({"--file", file.string()});
  const Result result = run(command);
  CHECK(result.status == 1);
  CHECK(texts_of(result.out) == Texts{"a", "b"});
  CHECK(result.err.find(file.string() + ": line 3 is longer than 67108864 bytes") !=
        std::string::npos);
  fs::remove(file);
}

TEST_CASE("one text that cannot be worked on does not stop the rest, and is named by its line") {
  const Workshop& w = workshop();
  const std::string longer = repeated("word ", 100);
  const std::string file = (w.folder / "some.txt").string();
  make_file(file, "The cat sat.\n\n" + longer + "\nA dog ran.\n" + longer + "\n");
  for (const std::string command : {"embed", "reconstruct", "vary", "generate"}) {
    CAPTURE(command);
    const Arguments arguments{command, "--model", w.model, "--json", "--file", file};
    const Result result = run(arguments);
    CHECK(result.status == 1);
    CHECK(json_lines(result.out).size() == 2);
    CHECK(lines(result.err).size() == 3);
    CHECK(result.err.find("ldlm: " + file + ": line 3: ") != std::string::npos);
    CHECK(result.err.find("ldlm: " + file + ": line 5: ") != std::string::npos);
    CHECK(result.err.find("2 of 4 texts failed") != std::string::npos);
  }
  const Result by_arguments = run({"embed", "--model", w.model, "The cat sat.", longer, "--quiet"});
  CHECK(by_arguments.status == 1);
  CHECK(json_lines(by_arguments.out).size() == 1);
  CHECK(by_arguments.err.starts_with("ldlm: text 2: "));
  CHECK(lines(by_arguments.err).size() == 1);
}

TEST_CASE("text that is not UTF-8 is read as U+FFFD, and a note says where") {
  const Result result = run(tokenize(), {.input = "fine\ncaf\xE9 au\n\xE9\n"});
  CHECK(result.status == 0);
  CHECK(texts_of(result.out) == Texts{"fine", "caf\uFFFD au", "\uFFFD"});
  CHECK(result.err ==
        "standard input: line 2, byte 3: not UTF-8; such bytes are read as U+FFFD, "
        "here and below\n");
  Arguments quiet = tokenize({"--quiet"});
  CHECK(run(quiet, {.input = "caf\xE9\n"}).err.empty());
  CHECK(run(tokenize({"caf\xE9"})).err.starts_with("the text, byte 3: not UTF-8"));
  // The bytes of tokens are those of the text as it was given.
  const Result table =
      run({"tokenize", "--tokenizer", workshop().tokenizer, "\xE9\xE8 au", "--quiet"});
  CHECK(table.out.find(" 2..") != std::string::npos);
  CHECK(table.out.ends_with("..5\n\n"));
}

TEST_CASE("options that have no effect beside others are wrong usage") {
  const Workshop& w = workshop();
  const auto refused = [](const Arguments& command, const std::string& option) {
    check_usage(command, {option + ": has no effect "});
  };
  refused({"sample", "--eta", "0.5"}, "--eta");
  refused({"sample", "--eta", "0.5", "--sampler", "dpm-solver"}, "--eta");
  refused({"sample", "--model", w.model, "--top-p", "0.5"}, "--top-p");
  refused({"sample", "--temperature", "1", "--beams", "2"}, "--beams");
  refused({"generate", "--temperature", "0", "--top-k", "5", "a"}, "--top-k");
  refused({"generate", "--temperature", "0", "--top-p", "0.5", "a"}, "--top-p");
  refused({"--model", w.model, "tokenize", "--tokenizer", w.tokenizer, "a"}, "--model");
  refused({"inspect", "--model", w.model, w.model}, "--model");
  refused({"eval", "--text", "t", "--train", "t", "--samples", "0", "--judge", "j"}, "--judge");
  refused({"eval", "--text", "t", "--train", "t", "--samples", "0", "--steps", "5"}, "--steps");
  refused({"train-tokenizer", "--corpus", "c", "--out", "o", "--model", "m"}, "--model");
  refused({"train", "denoiser", "--corpus", "c", "--out", "o", "--model", "m"}, "--model");
  refused({"pretrain", "decoder", "--corpus", "c", "--out", "o", "--model", "m"}, "--model");
  refused({"train", "joint", "--corpus", "c", "--out", "o", "--json"}, "--json");
  refused({"train-tokenizer", "--corpus", "c", "--out", "o", "--json"}, "--json");
  check_usage({"tokenize", "--file", "texts.txt", "a text"}, {"--file", "text"});
  CHECK(run({"sample", "--model", w.model, "--count", "1", "--steps", "2", "--sampler", "ddim",
             "--eta", "0.5", "--temperature", "1", "--top-p", "0.5"})
            .status == 0);
}

TEST_CASE("any number of texts takes the memory of a few") {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  MESSAGE("skipped: figures of memory, which a sanitizer changes");
#else
  const Workshop& w = workshop();
  const auto peak = [](const Arguments& command, const std::string& input, std::size_t results) {
    CAPTURE(joined(command));
    const Result result = run(command, {.input = input});
    CHECK(result.status == 0);
    CHECK(lines(result.out).size() == results);
    return result.peak_kilobytes;
  };
  const auto growth = [&](const Arguments& command) {
    const std::string line = "The cat sat on the mat.\n";
    return peak(command, repeated(line, 4000), 4000) - peak(command, repeated(line, 400), 400);
  };
  constexpr long little =
      3000;  // kilobytes; 3,600 texts more, with their results, take 500 at least
  CHECK(growth(tokenize()) < little);
  CHECK(growth({"embed", "--model", w.model}) < little);
  CHECK(growth({"generate", "--model", w.model, "--max-new-tokens", "1", "--json"}) < little);
  CHECK(growth({"reconstruct", "--model", w.model, "--t", "100", "--beams", "1", "--json"}) <
        little);
  const auto samples = [&](std::size_t count) {
    return peak({"sample", "--model", w.model, "--count", std::to_string(count), "--steps", "2",
                 "--beams", "1", "--json"},
                "", count);
  };
  CHECK(samples(2560) - samples(256) < little);
#endif
}

TEST_CASE("small numbers of samples do not depend on how many are drawn at a time") {
  const Workshop& w = workshop();
  const auto samples = [&](const std::string& count) {
    return lines(output_of({"sample", "--model", w.model, "--count", count, "--steps", "2",
                            "--beams", "1", "--json", "--seed", "5"}));
  };
  const auto some = samples("256");
  auto more = samples("257");
  REQUIRE(more.size() == 257);
  more.pop_back();
  CHECK(more == some);
}
