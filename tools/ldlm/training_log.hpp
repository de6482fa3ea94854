#pragma once
// log.jsonl: a line of JSON for every report of a training.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>

#include <ldlm/files/file_descriptor.hpp>
#include <ldlm/json/parse.hpp>

namespace ldlm::command {

/// Opens the log of a training that goes on from `step`. What a killed process has left behind
/// goes: a line that was cut short, and the reports of steps that come again. Follows no link.
class TrainingLog {
 public:
  TrainingLog(std::filesystem::path path, std::int64_t step) : path_(std::move(path)) {
    constexpr int flags = O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    file_ = ldlm::detail::FileDescriptor(::open(path_.c_str(), flags, 0666));
    LDLM_CHECK_FILE(file_.is_open() || errno != ELOOP, "train", path_.native(),
                    ": is a symbolic link");
    check(file_.is_open());
    struct stat status {};
    check(::fstat(file_.get(), &status) == 0);
    LDLM_CHECK_FILE(S_ISREG(status.st_mode), "train", path_.native(), ": is not a regular file");
    const std::string text = read(static_cast<std::size_t>(status.st_size));
    check(::ftruncate(file_.get(), static_cast<off_t>(kept(text, step))) == 0);
  }

  /// Appends a line, in one write.
  void add(const JsonValue& report) {
    const std::string line = to_string(report) + '\n';
    const ssize_t written = ::write(file_.get(), line.data(), line.size());
    check(written >= 0);
    LDLM_CHECK_FILE(static_cast<std::size_t>(written) == line.size(), "train", path_.native(),
                    ": no space left for a report");
  }

 private:
  void check(bool ok) const {
    LDLM_CHECK_FILE(ok, "train", path_.native(), ": ", ldlm::detail::errno_text(errno));
  }

  [[nodiscard]] std::string read(std::size_t size) const {
    std::string text(size, '\0');
    std::size_t filled = 0;
    while (filled < size) {
      const ssize_t count =
          ::pread(file_.get(), text.data() + filled, size - filled, static_cast<off_t>(filled));
      check(count >= 0);
      if (count == 0) {
        break;
      }
      filled += static_cast<std::size_t>(count);
    }
    text.resize(filled);
    return text;
  }

  /// Bytes of the lines that stay.
  static std::size_t kept(std::string_view text, std::int64_t step) {
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = text.find('\n', begin)) != std::string_view::npos;
         begin = end + 1) {
      if (step_of(text.substr(begin, end - begin)) > step) {
        return begin;
      }
    }
    return begin;
  }
  /// The step of a report; 0 for a line that is none.
  static std::int64_t step_of(std::string_view line) {
    try {
      const JsonValue report = parse_json(line, "log.jsonl");
      const JsonValue* const step = report.is_object() ? report.find("step") : nullptr;
      return step != nullptr ? step->get_if<std::int64_t>().value_or(0) : 0;
    } catch (const Error&) {
      return 0;
    }
  }

  std::filesystem::path path_;
  ldlm::detail::FileDescriptor file_{-1};
};

}  // namespace ldlm::command
