#pragma once
// SafetensorsModel: the tensors of a model's folder, in one file or in shards with an index.

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <ldlm/io/json.hpp>
#include <ldlm/io/safetensors.hpp>

namespace ldlm {

/// Which shard holds a tensor, as a `model.safetensors.index.json` says.
struct ShardEntry {
  std::string tensor;
  std::string file;  // a plain file name, in the index's folder
};

/// Parses the text of an index: {"weight_map": {"tensor": "file", ...}}. A shard must be a plain
/// file name: an index can't reach outside of its folder.
[[nodiscard]] inline std::vector<ShardEntry> parse_shard_index(std::string_view text,
                                                               std::string origin) {
  const JsonReader weight_map = JsonReader::parse(text, std::move(origin)).section("weight_map");
  std::vector<ShardEntry> out;
  for (const auto& [tensor, entry] : weight_map.members()) {
    const std::string file = entry.value().get_if<std::string>().value_or("");
    if (file.empty() || file == "." || file == ".." ||
        file.find_first_of(std::string_view("/\0", 2)) != std::string::npos) {
      entry.fail("must name a file of the same folder, got ", entry.value().preview());
    }
    out.push_back({tensor, file});
  }
  return out;
}

/// All tensors under one name space. Opening checks every shard and that each tensor lies in the
/// shard that the index names, and in no other. Tensors that the index lacks are there as well.
class SafetensorsModel {
 public:
  /// Opens a folder with model.safetensors or model.safetensors.index.json (the first is preferred,
  /// as everywhere), or such a file itself. Throws Error with the file, the tensor and the reason;
  /// for a folder that holds its weights in another format, with that and what to do.
  static SafetensorsModel open(const std::filesystem::path& folder_or_file) {
    std::filesystem::path path = folder_or_file;
    std::error_code ignored;  // what can't be looked at fails below, when it is opened
    if (std::filesystem::is_directory(path, ignored)) {
      path = folder_or_file / "model.safetensors";
      if (!std::filesystem::exists(path, ignored)) {
        path += ".index.json";
      }
      LDLM_CHECK(std::filesystem::exists(path, ignored), "safetensors", folder_or_file.native(),
                 ": the folder has neither model.safetensors nor model.safetensors.index.json",
                 detail::describe_foreign_weights(folder_or_file));
    }
    SafetensorsModel out;
    if (path.extension() == ".json") {
      out.open_index(path);
    } else {
      out.shards_.push_back(SafetensorsFile::open(path));
      out.origin_ = path.native();
      out.add_names(0);
    }
    return out;
  }

  /// Names shard by shard, each in the order of its file.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const SafetensorsFile& shard : shards_) {
      for (const TensorInfo& tensor : shard.tensors()) {
        out.push_back(tensor.name);
      }
    }
    return out;
  }
  [[nodiscard]] bool contains(std::string_view name) const {
    return shard_of_.find(name) != shard_of_.end();
  }
  [[nodiscard]] const TensorInfo& info(std::string_view name) const {
    return shard_of(name).info(name);
  }
  /// As SafetensorsFile::tensor: strict about the dtype, zero-copy.
  template <Scalar T>
  [[nodiscard]] Tensor<T> tensor(std::string_view name) const {
    return shard_of(name).template tensor<T>(name);
  }
  /// As SafetensorsFile::load: converts to T where the file has another dtype.
  template <Scalar T>
  [[nodiscard]] Tensor<T> load(std::string_view name) const {
    return shard_of(name).template load<T>(name);
  }
  /// The same for several, such as a PretrainedReport's `unused`.
  template <Scalar T>
  [[nodiscard]] NamedTensors<T> load(const std::vector<std::string>& names) const {
    NamedTensors<T> out;
    for (const std::string& name : names) {
      out.emplace_back(name, load<T>(name));
    }
    return out;
  }
  /// The index, or the only file.
  [[nodiscard]] const std::string& origin() const noexcept { return origin_; }
  /// The files: one, or one for every shard.
  [[nodiscard]] const std::vector<SafetensorsFile>& shards() const noexcept { return shards_; }
  /// The file that holds a tensor. Throws if there is none of that name.
  [[nodiscard]] const SafetensorsFile& shard_of(std::string_view name) const {
    const auto found = shard_of_.find(name);
    LDLM_CHECK(found != shard_of_.end(), "safetensors", origin_, ": no tensor ",
               detail::quote(name));
    return shards_[found->second];
  }

 private:
  using Shards = std::map<std::string, std::size_t, std::less<>>;  // places in shards_

  SafetensorsModel() = default;

  void open_index(const std::filesystem::path& path) {
    origin_ = path.native();
    const MappedFile index = MappedFile::open(path);
    detail::check_no_foreign_file(index.text(), "safetensors", origin_);
    Shards shard_numbers;  // by file
    for (const ShardEntry& entry : parse_shard_index(index.text(), origin_)) {
      if (shard_numbers.emplace(entry.file, shards_.size()).second) {
        shards_.push_back(SafetensorsFile::open(detail::folder_of(path) / entry.file));
      }
      const std::size_t shard = shard_numbers[entry.file];
      LDLM_CHECK(shards_[shard].contains(entry.tensor), "safetensors", origin_, ": tensor ",
                 detail::quote(entry.tensor), " is not in its shard ", entry.file);
    }
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      add_names(i);
    }
  }

  void add_names(std::size_t shard) {
    for (const TensorInfo& tensor : shards_[shard].tensors()) {
      const auto [at, added] = shard_of_.emplace(tensor.name, shard);
      LDLM_CHECK(added, "safetensors", origin_, ": tensor ", detail::quote(tensor.name),
                 " is in two shards, ", shards_[at->second].origin(), " and ",
                 shards_[shard].origin());
    }
  }

  std::string origin_;  // the index, or the only file
  std::vector<SafetensorsFile> shards_;
  Shards shard_of_;  // by tensor
};

}  // namespace ldlm
