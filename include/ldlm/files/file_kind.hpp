#pragma once
// What the first bytes of a file show it to be, so that a reader can name a file of another kind
// and say what to do with it.

#include <cstddef>
#include <filesystem>
#include <string_view>

namespace ldlm {

enum class FileKind {
  other,       ///< nothing that is known here: plain text, JSON, ...
  git_lfs,     ///< the pointer that Git leaves where Git LFS has not brought the file
  compressed,  ///< gzip, xz, bzip2, zstd, lz4
  archive,     ///< zip, 7z, tar
  wide_text,   ///< UTF-16, UTF-32
  table,       ///< Parquet, Arrow, SQLite
  array,       ///< NumPy
  document,    ///< PDF
  web_page,    ///< HTML
  safetensors,
  pytorch,  ///< torch.save
  pickle,
  keras,  ///< HDF5 and .keras
  gguf,   ///< llama.cpp, and GGML before it
  onnx,
  sentencepiece,
};

/// A kind, and for all but `other` a message that begins with "is ", such as
/// "is compressed with gzip: unpack it first (gzip -dk FILE)".
struct FileDescription {
  FileKind kind = FileKind::other;
  std::string_view message;
};

/// How many bytes of a file's beginning `what_is` looks at.
inline constexpr std::size_t file_head = 512;

/// What a file is that begins with these bytes (the first `file_head` of it, or all).
[[nodiscard]] FileDescription what_is(std::string_view head) noexcept;

/// Throws Error "[op] name: is ..." for bytes of a known kind: where JSON, say, is to be read.
void refuse_known_kinds(std::string_view op, std::string_view name, std::string_view head);

/// What a regular file is; `other` if it can't be read.
[[nodiscard]] FileDescription what_is_file(const std::filesystem::path& path);

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/files/impl/file_kind.hpp>
#endif
