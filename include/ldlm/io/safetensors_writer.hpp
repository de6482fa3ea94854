#pragma once
// Writing safetensors files, whole or in shards with an index.

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

#include <ldlm/core/linkage.hpp>
#include <ldlm/core/named_tensors.hpp>
#include <ldlm/core/utf8.hpp>
#include <ldlm/files/folder_update.hpp>
#include <ldlm/io/safetensors_dtype.hpp>
#include <ldlm/json/quote.hpp>
#include <ldlm/json/value.hpp>

namespace ldlm {

/// Collects tensors and writes them. The elements are not copied: they must not change between
/// add() and write(). Files equal those that Python's safetensors writes of the same tensors, byte
/// for byte: the largest alignment first, then by name.
class SafetensorsWriter {
 public:
  /// A tensor of any layout; one on a card is copied from there. Throws for a name that was added
  /// before, is "__metadata__" or not UTF-8.
  template <Scalar T>
  SafetensorsWriter& add(std::string name, const Tensor<T>& tensor) {
    const bool defined = tensor.defined();
    const Tensor<T> host = defined ? tensor.to(cpu) : tensor;
    add_entry({std::move(name), to_file_dtype(dtype_of<T>), sizeof(T),
               defined ? host.storage() : Storage(), defined ? host.layout() : Layout()},
              defined);
    return *this;
  }
  template <Scalar T>
  SafetensorsWriter& add(const NamedTensors<T>& tensors) {
    for (const auto& [name, tensor] : tensors) {
      add(name, tensor);
    }
    return *this;
  }
  /// One string of the file's "__metadata__"; Hugging Face's loaders want {"format": "pt"}.
  SafetensorsWriter& metadata(const std::string& key, std::string value);

  /// Writes one file, atomically (see AtomicFile).
  void write(const std::filesystem::path& path) const;

  /// Writes "model.safetensors" into `folder`, or, if its elements took more than
  /// `max_shard_bytes`, "model-00001-of-00003.safetensors", ... and "model.safetensors.index.json".
  /// A tensor is never split. They take the place of what an earlier call left there, together.
  void write_model(const std::filesystem::path& folder,
                   std::size_t max_shard_bytes = 5'000'000'000) const;
  /// The same as a part of an update: into the folder `part` of its folder.
  void write_model(FolderUpdate& update, const std::filesystem::path& part,
                   std::size_t max_shard_bytes = 5'000'000'000) const;
  /// Has the updated folder lack a model in the folder `part`.
  static void remove_model(FolderUpdate& update, const std::filesystem::path& part);

 private:
  struct Entry {
    std::string name;
    FileDType dtype;
    std::size_t element;  // bytes
    Storage storage;
    Layout layout;

    [[nodiscard]] std::size_t bytes() const;
  };
  using Entries = std::vector<const Entry*>;

  void add_entry(Entry entry, bool defined);

  [[nodiscard]] Entries sorted() const;
  static void sort(Entries& entries);

  // Fills shards in the order of add(), each up to the limit; a larger tensor has one of its own.
  [[nodiscard]] std::vector<Entries> split(std::size_t max_shard_bytes) const;

  [[nodiscard]] std::string header(const Entries& entries) const;

  void write_to(AtomicFile& file, const Entries& entries) const;

  static void write_elements(AtomicFile& file, const Entry& entry);

  std::vector<Entry> entries_;
  std::set<std::string> names_;
  JsonValue metadata_;
};

/// Writes tensors to one file, atomically.
template <Scalar T>
void save_safetensors(const std::filesystem::path& path, const NamedTensors<T>& tensors) {
  SafetensorsWriter().add(tensors).write(path);
}

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/io/impl/safetensors_writer.hpp>
#endif
