// Files of other kinds are known by their first bytes: heads as the formats' definitions give them.

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ldlm/files/file_kind.hpp>

#include "text_support.hpp"

using ldlm::FileKind;
using ldlm::what_is;
using namespace std::string_view_literals;

namespace {

/// A head, its kind, and a part of the message.
struct Case {
  std::string_view head;
  FileKind kind;
  std::string_view part;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", FileKind::git_lfs,
       "git lfs pull"},
      {"\xFD\x37\x7A\x58\x5A\x00\x00\x04\xE6\xD6\xB4\x46"sv, FileKind::compressed, "xz"},
      {"\x1F\x8B\x08\x00\x00\x00\x00\x00\x00\x03"sv, FileKind::compressed, "gzip"},
      {"BZh91AY&SY\x93\xB1"sv, FileKind::compressed, "bzip2"},
      {"\x28\xB5\x2F\xFD\x04\x58"sv, FileKind::compressed, "zstd"},
      {"\x04\x22\x4D\x18\x64\x40"sv, FileKind::compressed, "lz4"},
      {"PK\x03\x04\x14\x00\x00\x00\x08\x00\x4D\x5C\x21\x5B\x5C\x2C\x0C\x37\x14\x00\x00\x00\x1E\x00"
       "\x00\x00\x05\x00\x1C\x00"
       "a.txtUT"sv,
       FileKind::archive, "zip"},
      {"7z\xBC\xAF\x27\x1C\x00\x04"sv, FileKind::archive, "7z"},
      {"\xFF\xFEH\x00i\x00"sv, FileKind::wide_text, "UTF-16"},
      {"\xFE\xFF\x00H\x00i"sv, FileKind::wide_text, "UTF-16"},
      {"T\x00h\x00"
       "e\x00 \x00"
       "c\x00"sv,
       FileKind::wide_text, "iconv"},
      {"\x00T\x00h\x00"
       "e\x00 "sv,
       FileKind::wide_text, "iconv"},
      {"\xFF\xFE\x00\x00H\x00\x00\x00"sv, FileKind::wide_text, "UTF-32"},
      {"PAR1\x15\x04\x15\x12"sv, FileKind::table, "Parquet"},
      {"ARROW1\x00\x00\xFF\xFF\xFF\xFF"sv, FileKind::table, "Arrow"},
      {"\xFF\xFF\xFF\xFF\xA8\x00\x00\x00\x10\x00\x00\x00\x00"sv, FileKind::table,
       "Arrow"},  // a stream
      {"SQLite format 3\x00\x10\x00"sv, FileKind::table, "SQLite"},
      {"\x93NUMPY\x01\x00v\x00{'descr'"sv, FileKind::array, "NumPy"},
      {"PK\x03\x04\x2D\x00\x00\x00\x00\x00\x00\x00!\x00\xDF\x93\x96\x02\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
       "\xFF\x05\x00\x14\x00"
       "a.npy\x01"sv,
       FileKind::array, "NumPy"},
      {"%PDF-1.7\n", FileKind::document, "pdftotext"},
      {"\n<!DOCTYPE HTML>\n<html>", FileKind::web_page, "HTML"},
      {"\x28\x02\x00\x00\x00\x00\x00\x00{\"__metadata__\""sv, FileKind::safetensors, "safetensors"},
      // Lengths of a header whose bytes are a pickle's, gzip's, UTF-16's.
      {"\x80\x02\x00\x00\x00\x00\x00\x00{\"a\""sv, FileKind::safetensors, "safetensors"},
      {"\x1F\x8B\x00\x00\x00\x00\x00\x00{\"a\""sv, FileKind::safetensors, "safetensors"},
      {"PK\x03\x04\x00\x00\x08\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
       "\x00\x00\x10\x00\x12\x00"
       "archive/data.pklFB\x0E\x00ZZZZ"sv,
       FileKind::pytorch, "save_pretrained"},
      {"\x80\x02\x8A\x0A\x6C\xFC\x9C\x46\xF9\x20\x6A\xA8\x50\x19\x2E\x80\x02\x4D"sv,
       FileKind::pytorch, "save_pretrained"},
      {"\x80\x04\x95\x0F\x00\x00\x00\x00\x00\x00\x00"sv, FileKind::pickle, "pickle"},
      {"\x89HDF\r\n\x1A\n\x00\x00"sv, FileKind::keras, "from_tf=True"},
      {"PK\x03\x04\x14\x00\x00\x00\x00\x00\x00\x00!\x00\x2F\x62\x7B\x0B\x40\x00\x00\x00\x40\x00\x00"
       "\x00\x0D\x00\x00\x00metadata.json{"sv,
       FileKind::keras, "Keras"},
      {"GGUF\x03\x00\x00\x00\x23\x01"sv, FileKind::gguf, "llama.cpp"},
      {"tjgg\x03\x00\x00\x00"sv, FileKind::gguf, "llama.cpp"},
      {"\x08\x08\x12\x07pytorch\x1A\x05"sv, FileKind::onnx, "ONNX"},
      {"\x0A\x0E\x0A\x05<unk>\x15\x00\x00\x00\x00\x18\x02"sv, FileKind::sentencepiece,
       "SentencePiece"},
  };
  return all;
}

}  // namespace

TEST_CASE("files of other kinds are known by their first bytes") {
  for (const Case& c : cases()) {
    CAPTURE(c.part);
    const auto found = what_is(c.head);
    CHECK(found.kind == c.kind);
    CHECK(found.message.starts_with("is "));
    CHECK(found.message.find(c.part) != std::string_view::npos);
  }
  std::string tar(512, '\0');
  tar.replace(0, 5, "a.txt");
  tar.replace(257, 5, "ustar");
  CHECK(what_is(tar).kind == FileKind::archive);
}

TEST_CASE("plain text, JSON and every beginning of nothing are of no other kind") {
  for (const std::string_view text :
       {""sv, "a"sv, "The cat sat."sv, "{\"model_type\": \"bert\"}"sv, "[1, 2]"sv, "PARIS is"sv,
        "PAR1 is a level"sv, "BZhang said"sv,
        "\xEF\xBB\xBF"
        "marked"sv,
        "\xC3\xA9t\xC3\xA9"sv, "\0\0\0\0\0\0\0\0\0\0"sv, "a\0b \0"sv, "\n\n\n<unk> is"sv,
        "version 2 of this"sv, "<p>a paragraph</p>"sv}) {
    CAPTURE(text);
    CHECK(what_is(text).kind == FileKind::other);
    CHECK(what_is(text).message.empty());
  }
  for (const Case& c : cases()) {  // a file that is cut short is read to its end, not beyond it
    for (std::size_t size = 0; size < c.head.size(); ++size) {
      (void)what_is(std::string(c.head.substr(0, size)));
    }
  }
}

TEST_CASE("a file on disk is described, and what is no file is not") {
  const ldlm_test::TemporaryFolder folder;
  using ldlm::what_is_file;
  CHECK(what_is_file(folder.write("pytorch_model.bin", cases()[25].head)).kind ==
        FileKind::pytorch);
  CHECK(what_is_file(folder.write("empty", "")).kind == FileKind::other);
  CHECK(what_is_file(folder.path()).kind == FileKind::other);
  CHECK(what_is_file(folder.path() / "missing").kind == FileKind::other);
}
