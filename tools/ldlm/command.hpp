#pragma once
// What the subcommands of `ldlm` share: common options, output, progress on the terminal, and a
// Ctrl-C that lets a training write its checkpoint.

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include <ldlm/core/devices.hpp>
#include <ldlm/core/random.hpp>
#include <ldlm/json/value.hpp>

#include "text_input.hpp"

namespace ldlm::command {

/// Options of every subcommand.
struct Common {
  std::string model = "weights/ldlm-tiny";
  std::uint64_t seed = 0;
  int threads = 0;  // 0: one per core
  std::string precision = "highest";
  std::string device_name = "cpu";
  bool json = false;
  bool quiet = false;

  [[nodiscard]] Generator generator() const { return Generator(seed); }
  [[nodiscard]] Device device() const { return device_named(device_name); }
};

/// Adds a subcommand with its help and an example, which runs `action` when it is chosen.
CLI::App* add_subcommand(CLI::App& app, const std::string& name, const std::string& description,
                         const std::string& example, std::function<void()> action);

/// Wrong usage if an option of a command, or of those above it, was given where it has no effect:
/// "--eta: has no effect without --sampler ddim".
void refuse_without_effect(const CLI::App& command, const std::string& option,
                           const std::string& where);

/// What an option may be: a level of the published schedule, or -1 for no noise; a probability in
/// (0, 1]; a number of things; a share in [0, 1]; what the logits are divided by.
inline const CLI::Range noise_level(-1, 999);
inline constexpr int no_latent = 1000;  // for a decoder: nothing is known
inline const CLI::Range decode_noise_level(-1, no_latent);
inline const CLI::Range probability(1e-6, 1.0);
inline const CLI::Range positive(1, 1'000'000'000, "POSITIVE");
inline const CLI::Range non_negative(0, 1'000'000'000, "NONNEGATIVE");
inline const CLI::Range share(0.0, 1.0, "SHARE");
inline const CLI::Range temperature_range(0.0, 1e6, "NONNEGATIVE");

/// Prints to standard output. On a terminal, what it would act on is escaped (escape sequences,
/// marks of bidirectional text), but for the ends of lines and tabs. Throws OutputError.
void print(const std::string& line);
/// Prints a JSON document on one line to standard output, with such characters always escaped.
void print_json(const JsonValue& value);
/// Prints a part of such a document.
void print_json_part(std::string_view part);
/// Shows what has been printed. Throws OutputError.
void flush_output();
/// A message to standard error, unless quiet.
void say(const Common& common, const std::string& line);
/// "ldlm: " and an error's message, as one short line on standard error, whatever a hostile file
/// has put into it.
void say_error(std::string_view message);

/// Standard output cannot be written: its reader is gone, its disk is full. No work is of use then,
/// so that it is no Error, which concerns one text of many.
class OutputError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A line on standard error that is rewritten in place; nothing if quiet or not a terminal.
class ProgressLine {
 public:
  explicit ProgressLine(const Common& common);
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine();

  void show(const std::string& line);

 private:
  bool active_;
  bool dirty_ = false;
};

/// Lines on standard error that are rewritten in place until they are cleared, cut to what the
/// terminal shows; nothing if quiet or not a terminal.
class LiveTexts {
 public:
  explicit LiveTexts(const Common& common);
  LiveTexts(const LiveTexts&) = delete;
  LiveTexts& operator=(const LiveTexts&) = delete;
  ~LiveTexts();

  [[nodiscard]] bool active() const { return active_; }
  void show(const std::vector<std::string>& lines);
  void clear();

 private:
  bool active_;
  std::size_t shown_ = 0;
};

/// A table with aligned columns; the first row is the header. On a terminal, a cell's line ends are
/// escaped, too.
std::string format_table(const std::vector<std::vector<std::string>>& rows);
/// Takes the cells of a table's next row.
using TakeRow = std::function<void(std::vector<std::string>)>;
/// Prints such a table of the rows that `each_row` gives, twice: a long one takes no memory.
void print_table(const std::function<void(const TakeRow&)>& each_row);
/// A number with so many digits after the point.
std::string fixed(double value, int digits);

/// From now on Ctrl-C, SIGTERM and SIGHUP only set a flag, so that a training ends with a
/// checkpoint; the second time they end the program at once. Those that were ignored (nohup) are.
void catch_interrupts();
/// Whether one of them came, and which: its number, or 0.
[[nodiscard]] bool interrupted();
[[nodiscard]] int interrupt_signal();

/// One function a group of subcommands, each in a file of its own.
void add_text_commands(CLI::App& app, Common& common);         // demo, reconstruct, sample
void add_latent_commands(CLI::App& app, Common& common);       // vary, interpolate
void add_generate_command(CLI::App& app, Common& common);      // generate
void add_embed_command(CLI::App& app, Common& common);         // embed
void add_model_commands(CLI::App& app, Common& common);        // tokenize, inspect, export
void add_select_command(CLI::App& app, Common& common);        // select-sentences
void add_pretraining_commands(CLI::App& app, Common& common);  // train-tokenizer, pretrain
void add_training_commands(CLI::App& app, Common& common);     // train
void add_eval_command(CLI::App& app, Common& common);          // eval
void add_quantize_command(CLI::App& app, Common& common);      // quantize
void add_devices_command(CLI::App& app, Common& common);       // devices

}  // namespace ldlm::command
