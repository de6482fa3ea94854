#pragma once
// Bodies of io/safetensors_writer.hpp.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <iomanip>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <ldlm/core/named_tensors.hpp>
#include <ldlm/core/utf8.hpp>
#include <ldlm/files/folder_update.hpp>
#include <ldlm/io/safetensors_dtype.hpp>
#include <ldlm/io/safetensors_writer.hpp>
#include <ldlm/json/quote.hpp>
#include <ldlm/json/value.hpp>

namespace ldlm::detail {

/// Whether write_model could have written a file of this name.
inline bool is_model_file(std::string_view name) {
  constexpr std::string_view shard = "model-#####-of-#####.safetensors";
  return name == "model.safetensors" || name == "model.safetensors.index.json" ||
         std::equal(name.begin(), name.end(), shard.begin(), shard.end(), [](char c, char pattern) {
           return pattern == '#' ? c >= '0' && c <= '9' : c == pattern;
         });
}

}  // namespace ldlm::detail

namespace ldlm {

LDLM_BODY SafetensorsWriter& SafetensorsWriter::metadata(const std::string& key,
                                                         std::string value) {
  metadata_.set(key, std::move(value));
  return *this;
}

LDLM_BODY void SafetensorsWriter::write(const std::filesystem::path& path) const {
  AtomicFile file(path);
  write_to(file, sorted());
  file.commit();
}

LDLM_BODY void SafetensorsWriter::write_model(const std::filesystem::path& folder,
                                              std::size_t max_shard_bytes) const {
  FolderUpdate update(folder);
  write_model(update, {}, max_shard_bytes);
  update.commit();
}

LDLM_BODY void SafetensorsWriter::write_model(FolderUpdate& update,
                                              const std::filesystem::path& part,
                                              std::size_t max_shard_bytes) const {
  remove_model(update, part);
  const std::vector<std::vector<const Entry*>> shards = split(max_shard_bytes);
  const auto shard_name = [&](std::size_t i) -> std::string {
    if (shards.size() == 1) {
      return "model.safetensors";
    }
    std::ostringstream name;
    name << std::setfill('0') << "model-" << std::setw(5) << i + 1 << "-of-" << std::setw(5)
         << shards.size() << ".safetensors";
    return name.str();
  };
  JsonValue::Object weight_map;
  std::size_t total = 0;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    update.add(part / shard_name(i), [&](const std::filesystem::path& path) {
      AtomicFile file(path);
      write_to(file, shards[i]);
      file.commit();
    });
    for (const Entry* entry : shards[i]) {
      weight_map.emplace_back(entry->name, shard_name(i));
      total += entry->bytes();
    }
  }
  if (shards.size() > 1) {
    const auto index =
        JsonValue::object({{"metadata", JsonValue::object({{"total_size", total}})},
                           {"weight_map", JsonValue::object(std::move(weight_map))}});
    update.add(part / "model.safetensors.index.json", [&](const std::filesystem::path& path) {
      write_file(path, to_pretty_string(index));
    });
  }
}

LDLM_BODY void SafetensorsWriter::remove_model(FolderUpdate& update,
                                               const std::filesystem::path& part) {
  std::error_code none;  // a folder that isn't there holds no model
  for (const auto& entry : std::filesystem::directory_iterator(update.folder() / part, none)) {
    if (detail::is_model_file(entry.path().filename().native())) {
      update.remove(part / entry.path().filename());
    }
  }
}

LDLM_BODY std::size_t SafetensorsWriter::Entry::bytes() const {
  return static_cast<std::size_t>(layout.numel()) * element;
}

LDLM_BODY void SafetensorsWriter::add_entry(Entry entry, bool defined) {
  const std::string& name = entry.name;
  LDLM_CHECK_STATE(defined, "safetensors", "tensor ", detail::quote(name), " is undefined");
  LDLM_CHECK(is_utf8(name), "safetensors", "name ", detail::quote(name), " is not UTF-8");
  LDLM_CHECK(name != "__metadata__", "safetensors", "\"__metadata__\" cannot name a tensor");
  LDLM_CHECK(names_.insert(name).second, "safetensors", "tensor ", detail::quote(name),
             " was added before");
  entries_.push_back(std::move(entry));
}

LDLM_BODY SafetensorsWriter::Entries SafetensorsWriter::sorted() const {
  Entries out;
  for (const Entry& entry : entries_) {
    out.push_back(&entry);
  }
  sort(out);
  return out;
}

LDLM_BODY void SafetensorsWriter::sort(Entries& entries) {
  std::sort(entries.begin(), entries.end(), [](const Entry* a, const Entry* b) {
    return a->dtype != b->dtype ? a->dtype > b->dtype : a->name < b->name;
  });
}

LDLM_BODY std::vector<SafetensorsWriter::Entries> SafetensorsWriter::split(
    std::size_t max_shard_bytes) const {
  std::vector<Entries> shards(1);
  std::size_t filled = 0;
  for (const Entry& entry : entries_) {
    if (!shards.back().empty() && entry.bytes() > max_shard_bytes - filled) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back(&entry);
    filled = std::min(max_shard_bytes, filled + entry.bytes());
  }
  for (Entries& shard : shards) {
    sort(shard);
  }
  return shards;
}

LDLM_BODY std::string SafetensorsWriter::header(const Entries& entries) const {
  JsonValue::Object root;
  if (!metadata_.is_null()) {
    root.emplace_back("__metadata__", metadata_);
  }
  std::size_t offset = 0;
  for (const Entry* entry : entries) {
    const std::size_t end = offset + entry->bytes();
    root.emplace_back(entry->name,
                      JsonValue::object({{"dtype", name_of(entry->dtype)},
                                         {"shape", entry->layout.shape.to_vector()},
                                         {"data_offsets", JsonValue::array({offset, end})}}));
    offset = end;
  }
  std::string text = to_string(JsonValue::object(std::move(root)));
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

LDLM_BODY void SafetensorsWriter::write_to(AtomicFile& file, const Entries& entries) const {
  const std::string text = header(entries);
  std::array<std::byte, 8> length{};
  for (std::size_t i = 0; i < length.size(); ++i) {
    length[i] = static_cast<std::byte>(text.size() >> (8 * i));
  }
  file.write(length);
  file.write(text);
  for (const Entry* entry : entries) {
    write_elements(file, *entry);
  }
}

LDLM_BODY void SafetensorsWriter::write_elements(AtomicFile& file, const Entry& entry) {
  if (entry.bytes() == 0) {
    return;
  }
  const auto* const start = static_cast<const std::byte*>(entry.storage.data());
  const auto at = [&](std::int64_t element) {
    return start + element * static_cast<std::ptrdiff_t>(entry.element);
  };
  const Layout& layout = entry.layout;
  if (layout.is_contiguous()) {
    file.write(std::span(at(layout.offset), entry.bytes()));
    return;
  }
  // Any other layout is gathered, a buffer at a time.
  std::vector<std::byte> buffer;
  buffer.reserve(std::size_t{1} << 16);
  std::array<std::int64_t, max_rank> index{};
  std::int64_t position = layout.offset;
  for (std::int64_t remaining = layout.numel(); remaining > 0; --remaining) {
    buffer.insert(buffer.end(), at(position), at(position) + entry.element);
    if (buffer.size() + entry.element > buffer.capacity() || remaining == 1) {
      file.write(buffer);
      buffer.clear();
    }
    for (int axis = layout.rank() - 1; axis >= 0; --axis) {
      std::int64_t& i = index[static_cast<std::size_t>(axis)];
      position += layout.stride(axis);
      if (++i < layout.shape[axis]) {
        break;
      }
      position -= i * layout.stride(axis);
      i = 0;
    }
  }
}

}  // namespace ldlm
