#pragma once
// Running the ldlm command as a user does, on models that it trains itself in a second or two.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ldlm/io/json.hpp>

#include "io_support.hpp"
#include "paths.hpp"

namespace command_test {

namespace fs = std::filesystem;

inline std::string read_file(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  REQUIRE_MESSAGE(stream.is_open(), path.native());
  return {std::istreambuf_iterator<char>(stream), {}};
}
inline void make_file(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

/// Whether this system has no pseudo-terminals (a bare chroot without /dev/pts), and says so.
inline bool lacks_terminals() {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal < 0) {
    MESSAGE("skipped: what a terminal shows, as there are no pseudo-terminals here");
    return true;
  }
  ::close(terminal);
  return false;
}

using Arguments = std::vector<std::string>;

/// The arguments, and more.
inline Arguments with(Arguments arguments, const Arguments& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

/// How long to wait for ldlm: LDLM_TEST_PATIENCE seconds, for slow builds of it, or 120.
inline std::chrono::seconds patience() {
  const char* const given = std::getenv("LDLM_TEST_PATIENCE");
  return std::chrono::seconds(given != nullptr ? std::stoi(given) : 120);
}

/// A text of the workshop's corpus.
inline const std::string cat_sentence = "The cat sat on the mat.";

struct RunOptions {
  std::string input{};           // standard input
  std::string input_path{};      // what it is opened from instead; "-": it is closed
  std::string output{};          // where standard output goes instead of Result::out; "-": closed
  bool terminal = false;         // standard error is one
  bool output_terminal = false;  // standard output is one, and Result::out what it was sent
  rlim_t largest_file = 0;       // bytes, as a full disk; 0: no limit
  std::chrono::seconds limit = patience();  // the test fails if it takes longer
};

struct Result {
  int status = -1;  // of the exit; 128 + signal if a signal ended it
  std::string out, err;
  long peak_kilobytes = 0;  // of its memory
};

/// A running ldlm.
class Process {
 public:
  explicit Process(const Arguments& arguments, RunOptions options = {})
      : options_(std::move(options)) {
    make_file(folder_ / "in", options_.input);
    std::string out = options_.output.empty() ? (folder_ / "out").string() : options_.output;
    std::vector<std::string> words{ldlm_test::command()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) {
      argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    const std::string in =
        options_.input_path.empty() ? (folder_ / "in").string() : options_.input_path;
    std::string err = (folder_ / "err").string();
    if (options_.terminal || options_.output_terminal) {
      terminal_ = ::posix_openpt(O_RDWR | O_NOCTTY);
      REQUIRE(terminal_ >= 0);
      REQUIRE(::fcntl(terminal_, F_SETFL, O_NONBLOCK) == 0);
      REQUIRE(::grantpt(terminal_) == 0);
      REQUIRE(::unlockpt(terminal_) == 0);
      (options_.terminal ? err : out) = ::ptsname(terminal_);
    }
    id_ = ::fork();
    if (id_ == 0) {
      const auto open_as = [](int target, const std::string& path, int flags) {
        if (path == "-") {
          ::close(target);
        } else {
          const int file = ::open(path.c_str(), flags | O_NOCTTY, 0600);
          if (file != target) {  // a standard stream that is closed stays so
            ::dup2(file, target);
            ::close(file);
          }
        }
      };
      open_as(0, in, O_RDONLY);
      open_as(1, out, O_WRONLY | O_CREAT | O_TRUNC);
      open_as(2, err, O_WRONLY | O_CREAT | O_TRUNC);
      if (options_.largest_file > 0) {
        const rlimit limit{options_.largest_file, options_.largest_file};
        ::setrlimit(RLIMIT_FSIZE, &limit);
      }
      // A lack of memory is for the command to report, not for a sanitizer to end it.
      for (const char* const name : {"ASAN_OPTIONS", "TSAN_OPTIONS"}) {
        const char* const given = std::getenv(name);
        ::setenv(
            name,
            (std::string(given != nullptr ? given : "") + ":allocator_may_return_null=1").c_str(),
            1);
      }
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    if (running_) {
      ::kill(id_, SIGKILL);
      ::waitpid(id_, nullptr, 0);
    }
    if (terminal_ >= 0) {
      ::close(terminal_);
    }
  }

  [[nodiscard]] bool running() {
    if (running_) {
      running_ = ::wait4(id_, &wait_status_, WNOHANG, &usage_) == 0;
    }
    return running_;
  }
  void send(int signal) { ::kill(id_, signal); }
  /// What it has written to standard output so far.
  [[nodiscard]] std::string printed() const {
    return fs::exists(folder_ / "out") ? read_file(folder_ / "out") : std::string();
  }
  /// How many threads it has now; 0 if the system does not tell.
  [[nodiscard]] std::size_t threads() const {
    std::error_code ended;
    const fs::directory_iterator tasks("/proc/" + std::to_string(id_) + "/task", ended);
    std::size_t count = 0;
    for (auto task = tasks; !ended && task != fs::directory_iterator(); task.increment(ended)) {
      ++count;
    }
    return count;
  }
  Result wait() {
    const auto begin = std::chrono::steady_clock::now();
    while (running() && std::chrono::steady_clock::now() - begin < options_.limit) {
      read_terminal();  // it holds little, and who writes to it waits
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    read_terminal();
    REQUIRE_MESSAGE(!running_, "ldlm did not end within ", options_.limit.count(), " s");
    return {WIFSIGNALED(wait_status_) ? 128 + WTERMSIG(wait_status_) : WEXITSTATUS(wait_status_),
            options_.output_terminal  ? screen_
            : options_.output.empty() ? read_file(folder_ / "out")
                                      : std::string(),
            without_refusals(options_.terminal ? screen_ : read_file(folder_ / "err")),
            usage_.ru_maxrss};
  }

 private:
  /// Standard error without a sanitizer's own lines about memory that it refused.
  [[nodiscard]] std::string without_refusals(std::string err) const {
    const std::string mark = "==" + std::to_string(id_) + "==WARNING: ";
    for (std::size_t at = 0; (at = err.find(mark, at)) != std::string::npos;) {
      const std::size_t end = std::min(err.find('\n', at), err.size() - 1) + 1;
      if (err.substr(at, end - at).find("Sanitizer failed to allocate") != std::string::npos) {
        err.erase(at, end - at);
      } else {
        at = end;
      }
    }
    return err;
  }
  void read_terminal() {
    std::array<char, 4096> buffer{};
    for (ssize_t n = 0;
         terminal_ >= 0 && (n = ::read(terminal_, buffer.data(), buffer.size())) > 0;) {
      screen_.append(buffer.data(), static_cast<std::size_t>(n));
    }
  }

  io_support::TempFolder folder_;
  RunOptions options_;
  pid_t id_ = -1;
  bool running_ = true;
  int wait_status_ = 0;
  rusage usage_{};
  int terminal_ = -1;  // our end of it
  std::string screen_;
};

inline std::string joined(const Arguments& arguments) {
  std::string text = "ldlm";
  for (const std::string& word : arguments) {
    text += ' ' + (word.size() > 60 ? word.substr(0, 60) + "..." : word);
  }
  return text;
}

/// Runs to the end, whatever that is.
inline Result run(const Arguments& arguments, const RunOptions& options = {}) {
  return Process(arguments, options).wait();
}
/// Runs, must succeed, and returns standard output.
inline std::string output_of(const Arguments& arguments, const RunOptions& options = {}) {
  const Result result = run(arguments, options);
  REQUIRE_MESSAGE(result.status == 0, joined(arguments), "\n", result.err);
  return result.out;
}
/// The wrong inputs that have been tried by the next three.
inline std::size_t wrong_inputs = 0;

/// How an ldlm must have ended that could not do its work: with this status, nothing on standard
/// output, and so many short lines on standard error that begin with "ldlm: " and have these parts.
inline void check_failed(const Result& result, int status, std::ptrdiff_t line_count,
                         const std::vector<std::string>& parts) {
  ++wrong_inputs;
  const std::string& err = result.err;
  CAPTURE(err);
  CHECK(result.status == status);
  CHECK(result.out.empty());
  CHECK(err.starts_with("ldlm: "));
  CHECK(err.size() < 1000);
  CHECK(std::count(err.begin(), err.end(), '\n') == line_count);
  CHECK(std::count_if(err.begin(), err.end(), [](char c) {
          return static_cast<unsigned char>(c) < 0x20 || c == '\x7f';
        }) == line_count);
  for (const std::string& part : parts) {
    CHECK_MESSAGE(err.find(part) != std::string::npos, part);
  }
}
/// Runs and must end as errors do: status 1 and one line with these parts.
inline void check_error(Arguments arguments, const std::vector<std::string>& parts,
                        const RunOptions& options = {}) {
  CAPTURE(joined(arguments));
  arguments.emplace_back("--quiet");
  check_failed(run(arguments, options), 1, 1, parts);
}
/// Runs and must end as wrong usage does: status 2, a line with these parts, and where to read on.
inline void check_usage(const Arguments& arguments, std::vector<std::string> parts) {
  CAPTURE(joined(arguments));
  parts.emplace_back("--help");
  check_failed(run(arguments), 2, 2, parts);
}

inline std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}
/// Every line of an output as a JSON document.
inline std::vector<ldlm::JsonValue> json_lines(const std::string& text) {
  std::vector<ldlm::JsonValue> out;
  for (const std::string& line : lines(text)) {
    out.push_back(ldlm::parse_json(line, "output"));
  }
  return out;
}

inline const std::vector<std::string>& sentences() {
  static const std::vector<std::string> texts{
      "The cat sat on the mat.",       "A dog ran over the hill.", "The sun rose over the sea.",
      "Two birds sat in the tree.",    "The dog saw the cat.",     "A ship came over the sea.",
      "The tree stood on the hill.",   "The cat ran to the ship.", "A bird flew to the tree.",
      "The ship lay in the sun.",      "The dog sat on the ship.", "A cat sat in the tree.",
      "The birds flew over the hill.", "The sea lay in the sun.",
  };
  return texts;
}

/// All safetensors files of a model's folder, by their names in it.
inline std::vector<std::pair<std::string, std::string>> weights_of(const fs::path& folder) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") {
      out.emplace_back(fs::relative(entry.path(), folder).string(), read_file(entry.path()));
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

inline bool same_weights(const fs::path& a, const fs::path& b) {
  const auto x = weights_of(a);
  return !x.empty() && x == weights_of(b);
}

/// The steps of the checkpoints in a folder, rising.
inline std::vector<std::string> checkpoints_in(const fs::path& folder) {
  std::vector<std::string> out;
  if (fs::exists(folder)) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().filename().string().starts_with("step-")) {
        out.push_back(entry.path().filename().string());
      }
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

/// A folder with a corpus, a tokenizer, a configuration, and a model that went through all stages.
struct Workshop {
  io_support::TempFolder folder;
  std::string corpus = (folder / "corpus.txt").string();
  std::string tokenizer = (folder / "tokenizer.json").string();
  std::string config = (folder / "config").string();
  std::string model = (folder / "model").string();

  Workshop() {
    std::string text;
    for (const std::string& sentence : sentences()) {
      text += sentence + '\n';
    }
    make_file(corpus, text);
    write_config(config, 16);
    output_of({"train-tokenizer", "--corpus", corpus, "--out", tokenizer, "--vocab-size", "300"});
    output_of(autoencoder(model, 30));
    output_of(stage("denoiser", model, 30));
    output_of(stage("decoder", model, 10));
  }

  /// LdlmConfig::tiny() in the small: 14 positions of 8 channels, `width` channels inside.
  static void write_config(const fs::path& path, int width) {
    const std::string w = std::to_string(width);
    const std::string w2 = std::to_string(2 * width);
    make_file(path / "ldlm.json",
              R"({"latent": "sequence", "latent_length": 14, "latent_channels": 8,
                   "schedule": {"kind": "tan_d"}, "num_beams": 3, "max_new_tokens": 14})");
    make_file(path / "encoder" / "config.json",
              R"({"model_type": "bert", "vocab_size": 300, "num_hidden_layers": 1,
                   "num_attention_heads": 2, "max_position_embeddings": 14, "type_vocab_size": 1,
                   "hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0, "hidden_size": )" +
                  w + R"(, "intermediate_size": )" + w2 + "}");
    make_file(path / "decoder" / "config.json",
              R"({"model_type": "gpt2", "vocab_size": 300, "n_positions": 32, "n_layer": 1,
                   "n_head": 2, "embd_pdrop": 0, "resid_pdrop": 0, "attn_pdrop": 0, "n_embd": )" +
                  w + "}");
    make_file(path / "denoiser" / "config.json",
              R"({"model_type": "reverse_transformer", "latent_dim": 8, "heads": 2,
                   "encoder_layers": 1, "decoder_layers": 0, "length": 14, "norm_first": true,
                   "activation": "gelu_new", "dropout": 0, "self_conditioning": true,
                   "time_conditioning": "log_snr", "width": )" +
                  w + R"(, "feed_forward": )" + w2 + "}");
  }

  [[nodiscard]] Arguments autoencoder(const std::string& out, int steps) const {
    Arguments arguments = stage("autoencoder", out, steps);
    arguments.insert(arguments.end(), {"--tokenizer", tokenizer, "--config", config});
    return arguments;
  }
  [[nodiscard]] Arguments stage(const std::string& name, const std::string& out, int steps) const {
    return {"train",           name,  "--corpus", corpus,
            "--out",           out,   "--steps",  std::to_string(steps),
            "--batch-size",    "8",   "--warmup", "5",
            "--learning-rate", "0.01"};
  }
};

/// The one of this test program, made when it is first needed.
inline const Workshop& workshop() {
  static const Workshop made;
  return made;
}

}  // namespace command_test
