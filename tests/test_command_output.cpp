// What the ldlm command writes: nothing that a terminal acts on, and no silence where it cannot.

#include "command_support.hpp"

#include <csignal>

using namespace command_test;

namespace {

// An escape sequence, a C1 control, an override of the direction, a bell, and a line end.
const std::string nasty =
    "a\x1b[31mb\u009b2Jc\u202Ed\x07"
    "e";
const std::string nasty_shown = "a\\u001b[31mb\\u009b2Jc\\u202ed\\u0007e";

/// A tokenizer whose added token is the nasty text.
std::string nasty_tokenizer() {
  const Workshop& w = workshop();
  ldlm::JsonValue json = ldlm::parse_json(read_file(w.tokenizer), "tokenizer.json");
  const std::string added = R"({"id": 0, "content": "<|endoftext|>", "single_word": false,
      "lstrip": false, "rstrip": false, "normalized": false, "special": true})";
  auto vocab = json.find("model")->find("vocab")->members();
  const std::size_t id = vocab.size();
  ldlm::JsonValue token = ldlm::parse_json(added, "token");
  token.set("id", static_cast<std::int64_t>(id)).set("content", nasty);
  ldlm::JsonValue::Array tokens = json.find("added_tokens")->items();
  tokens.push_back(token);
  json.set("added_tokens", tokens);
  const std::string path = (w.folder / "nasty.json").string();
  make_file(path, ldlm::to_string(json));
  return path;
}

bool acts(const std::string& text) {
  return text.find('\x1b') != std::string::npos || text.find('\x07') != std::string::npos ||
         text.find("\u009b") != std::string::npos || text.find("\u202E") != std::string::npos;
}

}  // namespace

TEST_CASE("a terminal gets no control characters of texts, tokens and names") {
  if (lacks_terminals()) {
    return;
  }
  const Workshop& w = workshop();
  const std::string tokenizer = nasty_tokenizer();
  const Arguments table{"tokenize", "--tokenizer", tokenizer, "x" + nasty};
  CHECK(output_of(table).find(nasty) != std::string::npos);  // piped: unchanged
  const Result shown = run(table, {.output_terminal = true});
  CHECK(shown.status == 0);
  CHECK_FALSE(acts(shown.out));
  CHECK(shown.out.find(nasty_shown) != std::string::npos);
  CHECK(shown.out.starts_with("id"));  // tables keep their lines
  CHECK(std::count(shown.out.begin(), shown.out.end(), '\n') ==
        static_cast<std::ptrdiff_t>(lines(output_of(table)).size()));

  const Arguments reconstruct{"reconstruct", "--model", w.model,
                              "--t",         "100",     "--beams",
                              "1",           "--",      "cat " + nasty.substr(0, 4)};
  CHECK(output_of(reconstruct).starts_with("cat a\x1b[3\n"));
  const Result text = run(reconstruct, {.output_terminal = true});
  CHECK(text.out.starts_with("cat a\\u001b[3\r\n"));

  // A tensor's name.
  const std::string header = "{\"" + std::string("a\\u001b[31m\\u202e") +
                             R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  const std::uint64_t size = header.size();
  const std::string file = (w.folder / "named.safetensors").string();
  make_file(file, std::string(reinterpret_cast<const char*>(&size), sizeof size) + header + "x");
  const Result tensors = run({"inspect", file}, {.output_terminal = true});
  CHECK(tensors.status == 0);
  CHECK_FALSE(acts(tensors.out));
  CHECK(tensors.out.find("a\\u001b[31m\\u202e") != std::string::npos);
}

TEST_CASE("JSON and messages are always escaped") {
  const std::string tokenizer = nasty_tokenizer();
  const std::string json = output_of({"tokenize", "--tokenizer", tokenizer, "--json", nasty});
  CHECK_FALSE(acts(json));
  CHECK(json_lines(json)[0].find("text")->as<std::string>() == nasty);
  for (const Arguments& command :
       {Arguments{"tokenize", "--tokenizer", nasty, "a"}, Arguments{"sample", "--model", nasty},
        Arguments{"tokenize", "--tokenizer", tokenizer, "--file", nasty},
        Arguments{"sample", "--" + nasty}, Arguments{nasty}}) {
    const Result result = run(command);
    CHECK(result.status != 0);
    CHECK_FALSE(acts(result.err));
    CHECK(result.err.find("\\u009b2Jc\\u202ed") != std::string::npos);
  }
}

TEST_CASE("output that nobody reads is an error with the system's reason") {
  const Workshop& w = workshop();
  const Arguments sample{"sample", "--model", w.model, "--count", "2", "--steps", "2"};
  check_failed(run(sample, {.output = "/dev/full"}), 1, 1,
               {"standard output cannot be written: No space left on device"});
  check_failed(run(sample, {.output = "-"}), 1, 1,
               {"standard output cannot be written: Bad file descriptor"});

  // A pipe whose reader has gone: the work ends soon, and not by a signal.
  const fs::path pipe = w.folder / "unread";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  Arguments many{"sample",  "--model", w.model,   "--count", "100000000",
                 "--steps", "2",       "--beams", "1"};
  Process running(many, {.output = pipe.string()});
  std::array<char, 10> some{};
  const auto begin = std::chrono::steady_clock::now();
  while (::read(reader, some.data(), some.size()) <= 0 &&
         std::chrono::steady_clock::now() - begin < std::chrono::seconds(100)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  ::close(reader);
  check_failed(running.wait(), 1, 1, {"standard output cannot be written: Broken pipe"});
}
