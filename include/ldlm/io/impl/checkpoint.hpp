#pragma once
// Bodies of io/checkpoint.hpp.

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iomanip>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include <ldlm/core/named_tensors.hpp>
#include <ldlm/core/random.hpp>
#include <ldlm/io/checkpoint.hpp>
#include <ldlm/io/json.hpp>
#include <ldlm/io/safetensors.hpp>
#include <ldlm/io/safetensors_writer.hpp>

namespace ldlm::detail {

inline constexpr std::string_view checkpoint_format = "ldlm-checkpoint-1";

inline void require_ok(const std::error_code& error, const std::filesystem::path& path) {
  LDLM_CHECK_FILE(!error, "checkpoint", path.native(), ": ", error.message());
}

inline std::string checkpoint_name(std::int64_t step) {
  std::ostringstream name;
  name << "step-" << std::setfill('0') << std::setw(8) << step;
  return name.str();
}

/// Takes a folder away: at once to the eye of every reader, then file by file.
inline void remove_checkpoint(const std::filesystem::path& folder) {
  std::error_code error;
  const auto hidden = folder.parent_path() / concat('.', folder.filename().native(), ".tmp");
  std::filesystem::rename(folder, hidden, error);
  require_ok(error, folder);
  std::filesystem::remove_all(hidden, error);
  require_ok(error, hidden);
}

/// Names of the folders in `root`: checkpoints ("step-N", or "step-N.old" where a kill came between
/// the two renames that replace one) and the hidden ones that a killed save or removal has left.
struct CheckpointFolders {
  std::vector<std::filesystem::path> checkpoints;
  std::vector<std::filesystem::path> replaced;  // ".old" beside the checkpoint that replaced it
  std::vector<std::filesystem::path> hidden;
};

inline CheckpointFolders scan_checkpoints(const std::filesystem::path& root) {
  CheckpointFolders out;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(root, error)) {
    const std::string name = entry.path().filename().native();
    std::string_view rest = name;
    const bool is_hidden = rest.starts_with(".step-") && rest.ends_with(".tmp");
    const bool is_old = rest.ends_with(".old");
    rest.remove_suffix(is_old ? 4 : 0);
    if (is_hidden) {
      out.hidden.push_back(entry.path());
    } else if (rest.starts_with("step-") && rest.size() > 5 &&
               rest.find_first_not_of("0123456789", 5) == std::string_view::npos) {
      std::error_code ignored;
      const bool stale = is_old && std::filesystem::exists(root / rest, ignored);
      (stale ? out.replaced : out.checkpoints).push_back(entry.path());
    }
  }
  require_ok(error, root);
  return out;
}

/// state.json, after checking that the files it lists are there in their sizes.
inline JsonReader open_checkpoint_state(const std::filesystem::path& folder) {
  std::error_code error;
  LDLM_CHECK_FILE(std::filesystem::exists(folder / "state.json", error), "checkpoint",
                  folder.native(), ": incomplete or no checkpoint: there is no state.json");
  JsonReader state = open_json(folder / "state.json");
  const auto format = state.get<std::string>("format");
  state.check(format == checkpoint_format, "format", "must be ", quote(checkpoint_format), ", got ",
              quote(format));
  state.check(state.get<std::int64_t>("step") >= 0, "step", "must not be negative");
  const auto sequence = state.get<std::int64_t>("sequence");
  state.check(sequence > 0 && sequence < INT64_MAX, "sequence", "is out of range");
  const JsonReader files = state.section("files");
  for (const auto& [name, entry] : files.members()) {
    if (name.find('/') != std::string::npos) {
      entry.fail("must be a plain file name");
    }
    const auto expected = entry.as<std::uint64_t>();
    const std::filesystem::path path = folder / name;
    const auto size = std::filesystem::file_size(path, error);
    require_ok(error, path);
    LDLM_CHECK_FILE(size == expected, "checkpoint", path.native(), ": incomplete: has ", size,
                    " bytes, state.json says ", expected);
  }
  return state;
}

/// Complete checkpoints as list_checkpoints gives them, and the others with what is wrong there.
struct Checkpoints {
  std::vector<CheckpointEntry> complete;
  std::vector<std::pair<std::filesystem::path, std::string>> others;
};

inline Checkpoints find_checkpoints(const std::filesystem::path& root) {
  Checkpoints found;
  auto& [out, others] = found;
  for (const auto& path : scan_checkpoints(root).checkpoints) {
    try {
      const JsonReader state = open_checkpoint_state(path);
      out.push_back({path, state.get<std::int64_t>("step"), state.get<std::int64_t>("sequence")});
    } catch (const Error& error) {
      others.emplace_back(path, error.what());
    }
  }
  std::sort(out.begin(), out.end(), [](const CheckpointEntry& a, const CheckpointEntry& b) {
    return std::tie(a.sequence, a.step, a.path) < std::tie(b.sequence, b.step, b.path);
  });
  return found;
}

/// Writes all files into a fresh folder and makes them durable.
inline void write_checkpoint(const std::filesystem::path& folder, const CheckpointState& checkpoint,
                             std::vector<std::pair<std::string, SafetensorsWriter>>& parts,
                             std::int64_t sequence) {
  JsonValue files = JsonValue::object();
  for (auto& [name, tensors] : parts) {
    tensors.metadata("format", "pt")
        .metadata("step", std::to_string(checkpoint.step))
        .write(folder / name);
    std::error_code error;
    files.set(name, std::filesystem::file_size(folder / name, error));
    require_ok(error, folder / name);
  }
  JsonValue generators = JsonValue::object();
  for (const auto& [name, generator] : checkpoint.generators) {
    LDLM_CHECK(generators.find(name) == nullptr, "checkpoint", "generator ", quote(name),
               " is given twice");
    generators.set(name,
                   JsonValue::object({{"seed", generator.seed()}, {"offset", generator.offset()}}));
  }
  write_json(folder / "state.json", JsonValue::object({{"format", checkpoint_format},
                                                       {"step", checkpoint.step},
                                                       {"sequence", sequence},
                                                       {"data_position", checkpoint.data_position},
                                                       {"generators", std::move(generators)},
                                                       {"schedule", checkpoint.schedule},
                                                       {"config", checkpoint.config},
                                                       {"extra", checkpoint.extra},
                                                       {"files", std::move(files)}}));
}

}  // namespace ldlm::detail

namespace ldlm {

LDLM_BODY std::vector<CheckpointEntry> list_checkpoints(const std::filesystem::path& root) {
  std::error_code ignored;
  if (!std::filesystem::exists(root, ignored)) {
    return {};
  }
  detail::Checkpoints found = detail::find_checkpoints(root);
  LDLM_CHECK_FILE(!found.complete.empty() || found.others.empty(), "checkpoint", root.native(),
                  ": holds no complete checkpoint: ", found.others.front().second);
  return std::move(found.complete);
}

LDLM_BODY std::optional<std::filesystem::path> latest_checkpoint(
    const std::filesystem::path& root) {
  const std::vector<CheckpointEntry> all = list_checkpoints(root);
  if (all.empty()) {
    return std::nullopt;
  }
  const std::filesystem::path& last = all.back().path;
  for (const auto& [path, error] : detail::find_checkpoints(root).others) {
    LDLM_CHECK_FILE(path.filename() < last.filename(), "checkpoint", path.native(),
                    ": is incomplete; without it, training would go on from ",
                    last.filename().native(), ": ", error);
  }
  return last;
}

}  // namespace ldlm

namespace ldlm::detail {

LDLM_BODY std::filesystem::path save_checkpoint_files(
    const std::filesystem::path& root, const CheckpointState& state,
    std::vector<std::pair<std::string, SafetensorsWriter>> files, std::size_t keep_last) {
  LDLM_CHECK(state.step >= 0, "checkpoint", "step must not be negative, got ", state.step);
  std::error_code error;
  std::filesystem::create_directories(root, error);
  require_ok(error, root);

  const CheckpointFolders before = scan_checkpoints(root);
  for (const auto& hidden : before.hidden) {
    std::filesystem::remove_all(hidden, error);
    require_ok(error, hidden);
  }
  for (const auto& replaced : before.replaced) {
    remove_checkpoint(replaced);
  }
  const std::vector<CheckpointEntry> earlier = find_checkpoints(root).complete;
  const std::int64_t sequence = earlier.empty() ? 1 : earlier.back().sequence + 1;

  std::filesystem::path target = root / checkpoint_name(state.step);
  const std::filesystem::path hidden = root / concat('.', target.filename().native(), ".tmp");
  std::filesystem::create_directory(hidden, error);
  require_ok(error, hidden);
  try {
    write_checkpoint(hidden, state, files, sequence);
  } catch (...) {
    std::filesystem::remove_all(hidden, error);
    throw;
  }

  // A folder can't be renamed over another one. Between the two renames, readers take ".old".
  const std::filesystem::path old = target.native() + ".old";
  const bool replaces = std::filesystem::exists(target, error);
  if (replaces) {
    std::filesystem::rename(target, old, error);
    require_ok(error, target);
  }
  std::filesystem::rename(hidden, target, error);
  require_ok(error, target);
  sync_folder(root);
  if (replaces) {
    remove_checkpoint(old);
  }

  const std::vector<CheckpointEntry> all = find_checkpoints(root).complete;
  for (std::size_t i = 0; i + std::max<std::size_t>(keep_last, 1) < all.size(); ++i) {
    remove_checkpoint(all[i].path);
  }
  return target;
}

LDLM_BODY CheckpointFiles open_checkpoint_files(const std::filesystem::path& folder,
                                                std::span<const std::string_view> names) {
  const JsonReader state = open_checkpoint_state(folder);
  CheckpointFiles opened;
  CheckpointState& out = opened.state;
  out.step = state.get<std::int64_t>("step");
  out.data_position = state.get<std::int64_t>("data_position");
  const JsonReader generators = state.section("generators");
  for (const auto& [name, generator] : generators.members()) {
    out.generators.emplace_back(name, Generator(generator.get<std::uint64_t>("seed"),
                                                generator.get<std::uint64_t>("offset")));
  }
  out.schedule = state.get<JsonValue>("schedule");
  out.config = state.get<JsonValue>("config");
  out.extra = state.get<JsonValue>("extra");

  const JsonReader files = state.section("files");
  for (const std::string_view name : names) {
    if (!files.has(name)) {
      continue;
    }
    SafetensorsFile file = SafetensorsFile::open(folder / name);
    const std::string expected = std::to_string(out.step);
    const auto saved = std::find(file.metadata().begin(), file.metadata().end(),
                                 std::pair<std::string, std::string>("step", expected));
    LDLM_CHECK_FILE(saved != file.metadata().end(), "checkpoint", file.origin(),
                    ": was not saved with state.json, which is of step ", expected);
    opened.files.emplace_back(name, std::move(file));
  }
  return opened;
}

}  // namespace ldlm::detail
