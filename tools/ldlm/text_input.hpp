#pragma once
// The texts that a subcommand works on, read as they are needed.

#include <cstddef>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <ldlm/core/error.hpp>
#include <ldlm/text/line_reader.hpp>

namespace ldlm::command {

struct Common;

/// A text and where it stood, for messages: "text 2", "texts.txt: line 17"; "" for the only one.
struct InputText {
  std::string text;
  std::string place;
};

/// Thrown at the end when some of many texts failed, each of which has been reported.
class TextsFailed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Texts from the arguments, else the lines of a file that are not blank, else those of standard
/// input: a stream, so that an input of any length takes no memory. Invalid UTF-8 becomes U+FFFD,
/// as it would for the tokenizer, and a note says so.
class TextInput {
 public:
  void add_to(CLI::App& command, const Common& common);
  /// Leaves invalid UTF-8 in the texts, for a user who counts their bytes.
  void keep_invalid() { keeps_invalid_ = true; }

  /// Opens the input, so that a mistake shows before a model is loaded.
  void open();
  /// At most `count` texts more, as many as are there now; none at the end. Throws where the input
  /// has none at all.
  [[nodiscard]] std::vector<InputText> next(std::size_t count);
  /// Says what is wrong with one text; the command then fails at the end, after the other ones.
  void report(const InputText& text, const std::exception& error);
  /// To be called at the end. Throws TextsFailed if a text was reported.
  void finish() const;

  /// Calls use(InputText) for every text, shows what it printed, reports its Errors, and finishes.
  template <class Use>
  void for_each(Use&& use) {
    for (auto texts = next(1); !texts.empty(); texts = next(1)) {
      try {
        use(texts.front());
      } catch (const Error& error) {
        report(texts.front(), error);
      }
    }
    finish();
  }

 private:
  [[nodiscard]] std::optional<InputText> next_text();
  [[nodiscard]] std::optional<InputText> next_line();

  const Common* common_ = nullptr;
  std::vector<std::string> arguments_;
  std::string file_;
  std::optional<ldlm::LineReader> lines_;
  std::exception_ptr broken_;  // an error of the input itself
  std::size_t count_ = 0;      // texts given
  std::size_t failed_ = 0;     // of them, reported
  bool keeps_invalid_ = false;
  bool noted_ = false;  // that one was not UTF-8
};

}  // namespace ldlm::command
