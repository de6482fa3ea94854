#pragma once
// Training checkpoints: folders that appear whole or not at all.
//
//   runs/tiny/step-00001200/model.safetensors, optimizer.safetensors, ema.safetensors,
//                           best.safetensors, state.json
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
#include <span>
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

/// What of a checkpoint is in state.json.
struct CheckpointState {
  std::int64_t step = 0;           // optimizer steps done
  std::int64_t data_position = 0;  // where the reader of the training data goes on
  std::vector<std::pair<std::string, Generator>> generators{};
  JsonValue schedule{};  // these three as the trainer likes
  JsonValue config{};
  JsonValue extra{};
};

/// All that training needs to go on as if it had never stopped.
template <Floating T>
struct BasicCheckpoint : CheckpointState {
  NamedTensors<T> model{};
  NamedTensors<ComputeType<T>> optimizer{};  // may be empty, as the next two
  NamedTensors<ComputeType<T>> ema{};
  NamedTensors<T> best{};  // a model that was better in an evaluation
};
using Checkpoint = BasicCheckpoint<float>;

/// A complete checkpoint in a folder of checkpoints.
struct CheckpointEntry {
  std::filesystem::path path;
  std::int64_t step = 0;
  std::int64_t sequence = 0;  // counts the saves to this folder
};

namespace detail {

/// Calls f(name, tensors) for each file of tensors of a checkpoint.
template <class Checkpoint, class F>
void for_each_part(Checkpoint& checkpoint, const F& f) {
  f("model.safetensors", checkpoint.model);
  f("optimizer.safetensors", checkpoint.optimizer);
  f("ema.safetensors", checkpoint.ema);
  f("best.safetensors", checkpoint.best);
}

std::filesystem::path save_checkpoint_files(
    const std::filesystem::path& root, const CheckpointState& state,
    std::vector<std::pair<std::string, SafetensorsWriter>> files, std::size_t keep_last);

struct CheckpointFiles {
  CheckpointState state;
  std::vector<std::pair<std::string, SafetensorsFile>> files;
};
CheckpointFiles open_checkpoint_files(const std::filesystem::path& folder,
                                      std::span<const std::string_view> names);

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
template <Floating T>
std::filesystem::path save_checkpoint(const std::filesystem::path& root,
                                      const BasicCheckpoint<T>& checkpoint,
                                      std::size_t keep_last = 3) {
  std::vector<std::pair<std::string, SafetensorsWriter>> files;
  detail::for_each_part(checkpoint, [&](const char* name, const auto& part) {
    if (!part.empty()) {
      files.emplace_back(name, SafetensorsWriter().add(part));
    }
  });
  return detail::save_checkpoint_files(root, checkpoint, std::move(files), keep_last);
}

/// Loads a checkpoint's folder, bit for bit as it was saved; tensors are in the order of their
/// names. Throws Error with the file and the reason for an incomplete checkpoint, one whose files
/// were not saved together, and one of tensors that are no T (or, of an optimiser of bf16, float).
template <Floating T = float>
[[nodiscard]] BasicCheckpoint<T> load_checkpoint(const std::filesystem::path& folder) {
  BasicCheckpoint<T> out;
  std::vector<std::string_view> names;
  detail::for_each_part(out, [&](const char* name, const auto&) { names.emplace_back(name); });
  const detail::CheckpointFiles opened = detail::open_checkpoint_files(folder, names);
  static_cast<CheckpointState&>(out) = opened.state;
  for (const auto& file : opened.files) {
    detail::for_each_part(out, [&]<class U>(std::string_view name, NamedTensors<U>& part) {
      if (name == file.first) {
        for (const TensorInfo& tensor : file.second.tensors()) {
          part.emplace_back(tensor.name, file.second.template tensor<U>(tensor.name));
        }
      }
    });
  }
  return out;
}

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/io/impl/checkpoint.hpp>
#endif
