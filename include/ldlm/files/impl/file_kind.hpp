#pragma once
// The bodies of files/file_kind.hpp.

#include <ldlm/files/file_kind.hpp>

#include <algorithm>
#include <array>
#include <fstream>
#include <string>
#include <system_error>

#include <ldlm/core/error.hpp>
#include <ldlm/core/linkage.hpp>

namespace ldlm {

namespace detail {

LDLM_BODY unsigned byte_at(std::string_view head, std::size_t i) noexcept {
  return i < head.size() ? static_cast<unsigned char>(head[i]) : 0U;
}

/// Eight bytes of a length, and the brace of a JSON header.
LDLM_BODY bool starts_like_safetensors(std::string_view head) noexcept {
  return head.size() > 8 && head[8] == '{' && head.substr(4, 4) == std::string_view("\0\0\0\0", 4);
}

/// The name of a zip archive's first entry.
LDLM_BODY std::string_view first_zip_entry(std::string_view head) noexcept {
  const std::size_t size = byte_at(head, 26) | byte_at(head, 27) << 8;
  return head.size() > 30 ? head.substr(30, size) : std::string_view();
}

/// A protobuf message of a version below 16, then a producer's printable name.
LDLM_BODY bool starts_like_onnx(std::string_view head) noexcept {
  const std::size_t size = byte_at(head, 3);
  const std::string_view name = head.substr(std::min<std::size_t>(4, head.size()), size);
  return head.starts_with('\x08') && byte_at(head, 1) > 0 && byte_at(head, 1) < 16 &&
         byte_at(head, 2) == 0x12 && size > 0 && name.size() == size &&
         std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

/// A protobuf message whose first part is a piece such as "<unk>".
LDLM_BODY bool starts_like_sentencepiece(std::string_view head) noexcept {
  return byte_at(head, 0) == '\n' && byte_at(head, 1) < 0x20 && byte_at(head, 1) > 4 &&
         byte_at(head, 2) == '\n' && byte_at(head, 3) < 0x10 && byte_at(head, 3) > 2 &&
         byte_at(head, 4) == '<';
}

/// UTF-16 of mostly Latin letters without a mark: every second byte is 0, and only those.
LDLM_BODY bool starts_like_utf16(std::string_view head, std::size_t zero) noexcept {
  constexpr std::size_t enough = 8;
  if (head.size() < enough) {
    return false;
  }
  for (std::size_t i = 0; i < enough; ++i) {
    if ((head[i] == '\0') != (i % 2 == zero)) {
      return false;
    }
  }
  return true;
}

LDLM_BODY bool starts_like_html(std::string_view head) noexcept {
  head.remove_prefix(std::min(head.find_first_not_of(" \t\r\n"), head.size()));
  const auto starts_with = [head](std::string_view tag) {
    return head.size() >= tag.size() &&
           std::equal(tag.begin(), tag.end(), head.begin(), [](char small, char c) {
             return small == (c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
           });
  };
  return starts_with("<!doctype html") || starts_with("<html");
}

inline constexpr FileDescription pytorch_file{
    FileKind::pytorch,
    "is a PyTorch checkpoint (a pickle, which may run code): save it as safetensors first, with "
    "transformers: from_pretrained(FOLDER).save_pretrained(OUT)"};

inline constexpr FileDescription utf16_text{
    FileKind::wide_text, "is UTF-16: convert it to UTF-8 first (iconv -f UTF-16 -t UTF-8 FILE)"};

}  // namespace detail

LDLM_BODY FileDescription what_is(std::string_view head) noexcept {
  using std::string_view_literals::operator""sv;
  if (detail::starts_like_safetensors(head)) {  // first: its length may look like anything
    return {FileKind::safetensors, "is a safetensors file"};
  }
  if (head.starts_with("PK\x03\x04"sv)) {
    const std::string_view entry = detail::first_zip_entry(head);
    if (entry.ends_with("/data.pkl")) {
      return detail::pytorch_file;
    }
    if (entry == "metadata.json" || entry == "config.json") {
      return {FileKind::keras,
              "is a Keras model: save it from transformers' PyTorch classes as safetensors first"};
    }
    if (entry.ends_with(".npy")) {
      return {FileKind::array, "is an archive of NumPy arrays"};
    }
    return {FileKind::archive, "is a zip archive: unpack it first (unzip FILE)"};
  }
  if (head.starts_with("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"sv)) {
    return detail::pytorch_file;  // torch.save before version 1.6
  }
  if (detail::byte_at(head, 0) == 0x80 && detail::byte_at(head, 1) >= 2 &&
      detail::byte_at(head, 1) <= 5) {
    return {FileKind::pickle,
            "is a Python pickle, which may run code: export it to a plain format first"};
  }
  struct Signature {
    std::string_view bytes;
    FileDescription is;
  };
  constexpr std::array<Signature, 19> signatures{{
      {"version https://git-lfs.github.com/spec/"sv,
       {FileKind::git_lfs,
        "is a Git LFS pointer, not the file itself: fetch the file first (git lfs pull)"}},
      {"\xFD"
       "7zXZ\0"sv,
       {FileKind::compressed, "is compressed with xz: unpack it first (xz -dk FILE)"}},
      {"\x1F\x8B"sv,
       {FileKind::compressed, "is compressed with gzip: unpack it first (gzip -dk FILE)"}},
      {"\x28\xB5\x2F\xFD"sv,
       {FileKind::compressed, "is compressed with zstd: unpack it first (zstd -dk FILE)"}},
      {"\x04\x22\x4D\x18"sv,
       {FileKind::compressed, "is compressed with lz4: unpack it first (lz4 -dk FILE)"}},
      {"7z\xBC\xAF\x27\x1C"sv, {FileKind::archive, "is a 7z archive: unpack it first (7z x FILE)"}},
      {"ARROW1\0\0"sv,
       {FileKind::table,
        "is an Arrow table: export its text column to a plain file first (a text a line)"}},
      {"SQLite format 3\0"sv, {FileKind::table, "is an SQLite database"}},
      {"\xFF\xFE\0\0"sv,
       {FileKind::wide_text,
        "is UTF-32: convert it to UTF-8 first (iconv -f UTF-32 -t UTF-8 FILE)"}},
      {"\0\0\xFE\xFF"sv,
       {FileKind::wide_text,
        "is UTF-32: convert it to UTF-8 first (iconv -f UTF-32 -t UTF-8 FILE)"}},
      {"\xFF\xFE"sv, detail::utf16_text},
      {"\xFE\xFF"sv, detail::utf16_text},
      {"\x93NUMPY"sv, {FileKind::array, "is a NumPy array"}},
      {"%PDF-"sv, {FileKind::document, "is a PDF: export its text first (pdftotext FILE)"}},
      {"\x89HDF\r\n\x1A\n"sv,
       {FileKind::keras,
        "is an HDF5 file, as Keras and TensorFlow save models: save it as safetensors first, with "
        "transformers: from_pretrained(FOLDER, from_tf=True).save_pretrained(OUT)"}},
      {"GGUF"sv,
       {FileKind::gguf,
        "is a GGUF file of llama.cpp: take the safetensors files of the same model instead"}},
      {"lmgg"sv,
       {FileKind::gguf,
        "is a GGML file of llama.cpp: take the safetensors files of the same model instead"}},
      {"fmgg"sv,
       {FileKind::gguf,
        "is a GGML file of llama.cpp: take the safetensors files of the same model instead"}},
      {"tjgg"sv,
       {FileKind::gguf,
        "is a GGML file of llama.cpp: take the safetensors files of the same model instead"}},
  }};
  for (const Signature& signature : signatures) {
    if (head.starts_with(signature.bytes)) {
      return signature.is;
    }
  }
  if (head.starts_with("\xFF\xFF\xFF\xFF"sv) &&
      head.substr(std::min<std::size_t>(6, head.size()), 6) == "\0\0\x10\0\0\0"sv) {
    return {FileKind::table,  // a stream of Arrow's
            "is an Arrow table: export its text column to a plain file first (a text a line)"};
  }
  if (head == "PAR1"sv || head.starts_with("PAR1\x15"sv)) {
    return {FileKind::table,
            "is a Parquet table: export its text column to a plain file first (a text a line)"};
  }
  const bool digit = detail::byte_at(head, 3) >= '1' && detail::byte_at(head, 3) <= '9';
  if (head.starts_with("BZh"sv) && digit && "1AY&SY"sv.starts_with(head.substr(4, 6))) {
    return {FileKind::compressed, "is compressed with bzip2: unpack it first (bzip2 -dk FILE)"};
  }
  if (head.size() > 262 && head.substr(257, 5) == "ustar") {
    return {FileKind::archive, "is a tar archive: unpack it first (tar -xf FILE)"};
  }
  if (detail::starts_like_utf16(head, 0) || detail::starts_like_utf16(head, 1)) {
    return detail::utf16_text;
  }
  if (detail::starts_like_onnx(head)) {
    return {FileKind::onnx,
            "is an ONNX model: take the safetensors files of the same model instead"};
  }
  if (detail::starts_like_sentencepiece(head)) {
    return {FileKind::sentencepiece,
            "is a SentencePiece model, which is not supported: BPE and WordPiece are"};
  }
  if (detail::starts_like_html(head)) {
    return {FileKind::web_page, "is an HTML page, such as a download's error or login page"};
  }
  return {};
}

LDLM_BODY void refuse_known_kinds(std::string_view op, std::string_view name,
                                  std::string_view head) {
  const FileDescription is = what_is(head.substr(0, file_head));
  LDLM_CHECK_FILE(is.kind == FileKind::other, op, name, ": ", is.message);
}

LDLM_BODY FileDescription what_is_file(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) {
    return {};
  }
  std::ifstream file(path, std::ios::binary);
  std::string head(file_head, '\0');
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<std::size_t>(file.gcount()));
  return what_is(head);
}

}  // namespace ldlm
