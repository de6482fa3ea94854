#pragma once
// Training checkpoints: folders that appear whole or not at all.
//
//   runs/tiny/step-00001200/model.safetensors, optimizer.safetensors, ema.safetensors, state.json
//
// A checkpoint is written to a hidden folder, made durable, then renamed. A process that is killed
// at any moment leaves the last complete checkpoint, and perhaps a hidden folder that the next save
// removes. One process at a time may save to a folder.

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iomanip>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include <ldlm/core/linkage.hpp>
#include <ldlm/core/named_tensors.hpp>
#include <ldlm/core/random.hpp>
#include <ldlm/io/json.hpp>
#include <ldlm/io/safetensors.hpp>
#include <ldlm/io/safetensors_writer.hpp>

namespace ldlm {

/// All that training needs to go on as if it had never stopped.
struct Checkpoint {
  std::int64_t step = 0;           // optimizer steps done
  std::int64_t data_position = 0;  // where the reader of the training data goes on
  std::vector<std::pair<std::string, Generator>> generators;
  JsonValue schedule;  // these three as the trainer likes
  JsonValue config;
  JsonValue extra;
  NamedTensors<float> model;
  NamedTensors<float> optimizer;  // may be empty, as the next one
  NamedTensors<float> ema;
};

/// A complete checkpoint in a folder of checkpoints.
struct CheckpointEntry {
  std::filesystem::path path;
  std::int64_t step = 0;
  std::int64_t sequence = 0;  // counts the saves to this folder
};

namespace detail {
/// The files of tensors of a checkpoint.
inline constexpr std::array checkpoint_parts{
    std::pair{"model.safetensors", &Checkpoint::model},
    std::pair{"optimizer.safetensors", &Checkpoint::optimizer},
    std::pair{"ema.safetensors", &Checkpoint::ema}};
}  // namespace detail

/// The complete checkpoints of a folder, in the order in which they were saved. Incomplete ones are
/// left out; but where there is nothing else, that is an Error that says what the first one lacks.
/// A folder that doesn't exist holds none.
[[nodiscard]] std::vector<CheckpointEntry> list_checkpoints(const std::filesystem::path& root);

/// The checkpoint that was saved last; nothing if the folder holds none. See list_checkpoints. An
/// incomplete one of a later step is an Error that says what it lacks: no kill leaves such a one.
[[nodiscard]] std::optional<std::filesystem::path> latest_checkpoint(
    const std::filesystem::path& root);

/// Saves to `root`/step-N, replacing what is there, and keeps the last `keep_last` checkpoints (at
/// least this one). Returns the checkpoint's folder. After an Error, a full disk's say, all
/// checkpoints are as they were.
std::filesystem::path save_checkpoint(const std::filesystem::path& root,
                                      const Checkpoint& checkpoint, std::size_t keep_last = 3);

/// Loads a checkpoint's folder, bit for bit as it was saved; tensors are in the order of their
/// names. Throws Error with the file and the reason for an incomplete checkpoint, or one whose
/// files were not saved together.
[[nodiscard]] Checkpoint load_checkpoint(const std::filesystem::path& folder);

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/io/impl/checkpoint.hpp>
#endif
