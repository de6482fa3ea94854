#pragma once
// Bodies of io/safetensors_model.hpp.

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

#include <ldlm/files/file_descriptor.hpp>
#include <ldlm/io/json.hpp>
#include <ldlm/io/safetensors.hpp>
#include <ldlm/io/safetensors_model.hpp>

namespace ldlm {

LDLM_BODY std::vector<ShardEntry> parse_shard_index(std::string_view text, std::string origin) {
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

LDLM_BODY SafetensorsModel SafetensorsModel::open(const std::filesystem::path& folder_or_file) {
  std::filesystem::path path = folder_or_file;
  std::error_code ignored;  // what can't be looked at fails below, when it is opened
  if (std::filesystem::is_directory(path, ignored)) {
    path = folder_or_file / "model.safetensors";
    if (!std::filesystem::exists(path, ignored)) {
      path += ".index.json";
    }
    LDLM_CHECK_FILE(std::filesystem::exists(path, ignored), "safetensors", folder_or_file.native(),
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

LDLM_BODY std::vector<std::string> SafetensorsModel::names() const {
  std::vector<std::string> out;
  for (const SafetensorsFile& shard : shards_) {
    for (const TensorInfo& tensor : shard.tensors()) {
      out.push_back(tensor.name);
    }
  }
  return out;
}

LDLM_BODY bool SafetensorsModel::contains(std::string_view name) const {
  return shard_of_.find(name) != shard_of_.end();
}

LDLM_BODY const TensorInfo& SafetensorsModel::info(std::string_view name) const {
  return shard_of(name).info(name);
}

LDLM_BODY const SafetensorsFile& SafetensorsModel::shard_of(std::string_view name) const {
  const auto found = shard_of_.find(name);
  LDLM_CHECK_FILE(found != shard_of_.end(), "safetensors", origin_, ": no tensor ",
                  detail::quote(name));
  return shards_[found->second];
}

LDLM_BODY void SafetensorsModel::open_index(const std::filesystem::path& path) {
  origin_ = path.native();
  const MappedFile index = MappedFile::open(path);
  detail::check_no_foreign_file(index.text(), "safetensors", origin_);
  Shards shard_numbers;  // by file
  for (const ShardEntry& entry : parse_shard_index(index.text(), origin_)) {
    if (shard_numbers.emplace(entry.file, shards_.size()).second) {
      shards_.push_back(SafetensorsFile::open(detail::folder_of(path) / entry.file));
    }
    const std::size_t shard = shard_numbers[entry.file];
    LDLM_CHECK_FILE(shards_[shard].contains(entry.tensor), "safetensors", origin_, ": tensor ",
                    detail::quote(entry.tensor), " is not in its shard ", entry.file);
  }
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    add_names(i);
  }
}

LDLM_BODY void SafetensorsModel::add_names(std::size_t shard) {
  for (const TensorInfo& tensor : shards_[shard].tensors()) {
    const auto [at, added] = shard_of_.emplace(tensor.name, shard);
    LDLM_CHECK_FILE(added, "safetensors", origin_, ": tensor ", detail::quote(tensor.name),
                    " is in two shards, ", shards_[at->second].origin(), " and ",
                    shards_[shard].origin());
  }
}

}  // namespace ldlm
