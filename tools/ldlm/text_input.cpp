#include "text_input.hpp"

#include <algorithm>
#include <iostream>

#include <unistd.h>

#include <ldlm/core/utf8.hpp>

#include "command.hpp"

namespace ldlm::command {

void TextInput::add_to(CLI::App& command, const Common& common) {
  common_ = &common;
  CLI::Option* const texts = command.add_option(
      "text", arguments_, "Texts; without them the lines of --file or standard input");
  command
      .add_option("--file", file_,
                  "A file with a text a line, - for standard input; blank lines are left out")
      ->excludes(texts);
}

void TextInput::open() {
  if (!arguments_.empty() || lines_) {
    return;
  }
  if (file_.empty() || file_ == "-") {
    lines_.emplace(ldlm::LineReader::standard_input("input"));
    if (::isatty(STDIN_FILENO) != 0 && ::isatty(STDERR_FILENO) != 0) {
      say(*common_, "reading texts from the terminal, one a line; Ctrl-D ends them");
    }
  } else {
    lines_.emplace(file_, ldlm::LineReader::default_max_line, "input");
  }
}

std::optional<InputText> TextInput::next_line() {
  while (auto line = lines_->next_string()) {
    if (line->find_first_not_of(" \t") != std::string::npos) {
      return InputText{*std::move(line),
                       lines_->name() + ": line " + std::to_string(lines_->line_number())};
    }
  }
  return std::nullopt;
}

std::optional<InputText> TextInput::next_text() {
  std::optional<InputText> out;
  if (lines_) {
    out = next_line();
  } else if (count_ < arguments_.size()) {
    out = {arguments_[count_], arguments_.size() == 1 ? "" : "text " + std::to_string(count_ + 1)};
  }
  if (!out) {
    return out;
  }
  ++count_;
  if (const std::size_t valid = ldlm::valid_prefix(out->text); valid < out->text.size()) {
    if (!noted_) {
      say(*common_, (out->place.empty() ? "the text" : out->place) + ", byte " +
                        std::to_string(valid) +
                        ": not UTF-8; such bytes are read as U+FFFD, here and below");
    }
    noted_ = true;
    if (!keeps_invalid_) {
      out->text = ldlm::repair_utf8(out->text);
    }
  }
  return out;
}

std::vector<InputText> TextInput::next(std::size_t count) {
  open();
  flush_output();  // what is printed is seen before the input is waited for
  std::vector<InputText> out;
  while (out.size() < count && !broken_ && (out.empty() || !lines_ || lines_->has_line())) {
    try {
      auto text = next_text();
      if (!text) {
        break;
      }
      out.push_back(*std::move(text));
    } catch (const Error&) {
      broken_ = std::current_exception();
    }
  }
  if (out.empty() && broken_) {  // the texts before it are worked on first
    std::rethrow_exception(broken_);
  }
  LDLM_CHECK(count_ > 0, "input", "there is no text", lines_ ? " in " + lines_->name() : "");
  return out;
}

void TextInput::report(const InputText& text, const std::exception& error) {
  ++failed_;
  flush_output();
  say_error((text.place.empty() ? "" : text.place + ": ") + error.what());
}

void TextInput::finish() const {
  if (failed_ > 0) {
    throw TextsFailed(count_ == 1 ? ""
                                  : std::to_string(failed_) + " of " + std::to_string(count_) +
                                        " texts failed");
  }
}

}  // namespace ldlm::command
