// Files that lie, and their messages: nothing may be read from any of them.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <ldlm/io/safetensors_model.hpp>
#include <ldlm/io/safetensors_writer.hpp>

#include "io_support.hpp"

using namespace io_support;
using ldlm::SafetensorsFile;
using ldlm::SafetensorsModel;
using ldlm::SafetensorsWriter;
using ldlm::Tensor;

namespace {

std::string open_error(std::string bytes) {
  return message_of([&] {
    const std::span<std::byte> view(reinterpret_cast<std::byte*>(bytes.data()), bytes.size());
    (void)SafetensorsFile::from_bytes(view, nullptr, "f");
  });
}
// A file of one header and some zero bytes as data.
std::string error_of(const std::string& header, std::size_t data_bytes = 0) {
  return open_error(safetensors_bytes(header, data_bytes));
}
std::string tensor(const std::string& fields) {
  return R"({"x":{)" + fields + "}}";
}
std::string with_length(std::uint64_t length, const std::string& rest) {
  std::string out;
  for (int i = 0; i < 8; ++i) {
    out += static_cast<char>(length >> (8 * i));
  }
  return out + rest;
}
bool begins(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}

Tensor<float> zeros(std::int64_t n) {
  Tensor<float> out = Tensor<float>::empty({n});
  std::fill_n(out.data(), n, 0.0F);
  return out;
}

}  // namespace

TEST_CASE("a good header, to begin with") {
  CHECK(error_of("{}") == "no error");
  CHECK(error_of("{}     \n") == "no error");
  CHECK(error_of(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), 8) == "no error");
}

TEST_CASE("the header's length") {
  CHECK(open_error("") ==
        "[safetensors] f: byte 0: the file has 0 bytes, the header length alone takes 8");
  CHECK(open_error("1234567") ==
        "[safetensors] f: byte 0: the file has 7 bytes, the header length alone takes 8");
  CHECK(open_error(with_length(3, "{}")) ==
        "[safetensors] f: byte 0: header length 3 reaches beyond the end of the file at byte 10");
  CHECK(open_error(with_length(100'000'001, "{}")) ==
        "[safetensors] f: byte 0: header length 100000001 exceeds the format's limit of 100000000");
  CHECK(open_error(with_length(UINT64_MAX, "{}")) ==
        "[safetensors] f: byte 0: header length 18446744073709551615 exceeds the format's limit of "
        "100000000");
  CHECK(open_error(with_length(0, "")) ==
        "[safetensors] f: byte 8: the header must begin with '{'");
  CHECK(error_of(" {}") == "[safetensors] f: byte 8: the header must begin with '{'");
  CHECK(error_of("[]") == "[safetensors] f: byte 8: the header must begin with '{'");
}

TEST_CASE("the header's JSON") {
  CHECK(begins(error_of("{"), "[json] f: byte 9: syntax error"));
  CHECK(begins(error_of("{}{}"), "[json] f: byte 10: syntax error"));
  CHECK(begins(error_of("{\"\xff\":1}"), "[json] f: byte 10: syntax error"));
  CHECK(begins(error_of("{\"a\":1"), "[json] f: byte 14: syntax error"));
  CHECK(error_of(std::string("{}\0", 3)) == "[json] f: byte 10: NUL byte");
  CHECK(error_of("{\"x\":" + std::string(1000, '[')) ==
        "[json] f: byte 140: nested deeper than 128 levels");
  const std::string entry = R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  CHECK(error_of("{\"x\":" + entry + ",\"x\":" + entry + "}", 1) ==
        "[json] f: byte 65: key \"x\" stands twice in one object");
  CHECK(error_of(tensor(R"("dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1])"), 1) ==
        "[json] f: byte 47: key \"shape\" stands twice in one object");
}

TEST_CASE("the fields of a tensor") {
  CHECK(error_of(R"({"x":1})") ==
        "[safetensors] f: byte 13: tensor \"x\": must be an object, got 1");
  CHECK(error_of(tensor("")) == "[safetensors] f: byte 13: tensor \"x\": no \"dtype\"");
  CHECK(error_of(tensor(R"("dtype":"U8")")) ==
        "[safetensors] f: byte 13: tensor \"x\": no \"shape\"");
  CHECK(error_of(tensor(R"("dtype":"U8","shape":[])")) ==
        "[safetensors] f: byte 13: tensor \"x\": no \"data_offsets\"");
  CHECK(error_of(tensor(R"("dtype":"F33","shape":[],"data_offsets":[0,0])")) ==
        "[safetensors] f: byte 22: tensor \"x\": unknown dtype \"F33\"");
  CHECK(error_of(tensor(R"("dtype":"f32","shape":[],"data_offsets":[0,0])")) ==
        "[safetensors] f: byte 22: tensor \"x\": unknown dtype \"f32\"");
  CHECK(error_of(tensor(R"("dtype":7,"shape":[],"data_offsets":[0,0])")) ==
        "[safetensors] f: byte 22: tensor \"x\": unknown dtype 7");
  CHECK(error_of(R"({"__metadata__":[]})") ==
        "[safetensors] f: byte 24: \"__metadata__\" must be an object, got an array");
  CHECK(error_of(R"({"__metadata__":{"a":1}})") ==
        "[safetensors] f: byte 29: \"__metadata__\": key \"a\" must be a string, got 1");
}

TEST_CASE("shapes") {
  const auto shape = [](const std::string& text, const std::string& dtype = "U8") {
    return error_of(
        tensor(R"("dtype":")" + dtype + R"(","shape":)" + text + R"(,"data_offsets":[0,4])"), 4);
  };
  CHECK(shape("[4]") == "no error");
  CHECK(shape("4") == "[safetensors] f: byte 35: tensor \"x\": shape must be an array, got 4");
  CHECK(shape("[-4]") ==
        "[safetensors] f: byte 36: tensor \"x\": extents must be integers of at least 0, got -4");
  CHECK(shape("[-1,-4]") ==
        "[safetensors] f: byte 36: tensor \"x\": extents must be integers of at least 0, got -1");
  CHECK(
      shape("[2,\"2\"]") ==
      "[safetensors] f: byte 38: tensor \"x\": extents must be integers of at least 0, got \"2\"");
  CHECK(shape("[4.0]") ==
        "[safetensors] f: byte 36: tensor \"x\": extents must be integers of at least 0, got 4.0");
  CHECK(shape("[9223372036854775808]") ==
        "[safetensors] f: byte 36: tensor \"x\": extents must be integers of at least 0, got "
        "9223372036854775808");
  CHECK(shape("[4294967296,4294967296]") ==
        "[safetensors] f: byte 35: tensor \"x\": the size of shape [4294967296, 4294967296] "
        "overflows");
  CHECK(
      shape("[9223372036854775807]", "F64") ==
      "[safetensors] f: byte 36: tensor \"x\": the size of shape [9223372036854775807] overflows");
  CHECK(shape("[0,4294967296,4294967296]") ==
        "[safetensors] f: byte 35: tensor \"x\": the size of shape [0, 4294967296, 4294967296] "
        "overflows");
  CHECK(shape("[3]", "F4") ==
        "[safetensors] f: byte 35: tensor \"x\": shape [3] of F4 does not fill whole bytes");
  CHECK(
      shape("[3]") ==
      "[safetensors] f: byte 54: tensor \"x\": data_offsets [0, 4] span 4 bytes, but shape [3] of "
      "U8 takes 3");
  CHECK(
      shape("[4]", "F32") ==
      "[safetensors] f: byte 55: tensor \"x\": data_offsets [0, 4] span 4 bytes, but shape [4] of "
      "F32 takes 16");
  CHECK(
      shape("[0]") ==
      "[safetensors] f: byte 54: tensor \"x\": data_offsets [0, 4] span 4 bytes, but shape [0] of "
      "U8 takes 0");
  std::string many = "[4";
  for (int i = 0; i < 100'000; ++i) {
    many += ",1";
  }
  CHECK(shape(many + "]") == "no error");  // known to the file ...
  std::string bytes =
      safetensors_bytes(tensor(R"("dtype":"U8","shape":)" + many + R"(],"data_offsets":[0,4])"), 4);
  const auto file = SafetensorsFile::from_bytes(
      {reinterpret_cast<std::byte*>(bytes.data()), bytes.size()}, nullptr, "f");
  CHECK(message_of([&] { (void)file.tensor<std::uint8_t>("x"); }) ==  // ... not to a tensor
        "[safetensors] f: tensor \"x\": shape [4, 1, 1, 1, 1, 1, 1, 1, ...] of rank 100001 has "
        "100001 axes, a tensor has at most 6");
}

TEST_CASE("offsets") {
  const auto offsets = [](const std::string& text, std::size_t data = 4) {
    return error_of(tensor(R"("dtype":"U8","shape":[4],"data_offsets":)" + text), data);
  };
  CHECK(offsets("[0,4]") == "no error");
  for (const std::string bad : {"4", "[4]", "[0,4,8]", "[-1,3]", "[0,4.0]", "[0,\"4\"]", "{}"}) {
    CHECK(offsets(bad) ==
          "[safetensors] f: byte 54: tensor \"x\": data_offsets must be two integers of at least "
          "0");
  }
  CHECK(
      offsets("[4,0]") ==
      "[safetensors] f: byte 54: tensor \"x\": data_offsets [4, 0] do not lie in order within the "
      "4 bytes of data");
  CHECK(
      offsets("[0,4]", 3) ==
      "[safetensors] f: byte 54: tensor \"x\": data_offsets [0, 4] do not lie in order within the "
      "3 bytes of data");
  CHECK(offsets("[18446744073709551614,18446744073709551615]") ==
        "[safetensors] f: byte 54: tensor \"x\": data_offsets [18446744073709551614, "
        "18446744073709551615] do not lie in order within the 4 bytes of data");
  CHECK(offsets("[0,4]", 5) == "[safetensors] f: byte 65: 1 bytes at the end belong to no tensor");
  CHECK(offsets("[1,5]", 5) ==
        "[safetensors] f: byte 61: 1 bytes before tensor \"x\" belong to no tensor");
  CHECK(error_of("{}", 2) == "[safetensors] f: byte 10: 2 bytes at the end belong to no tensor");
}

TEST_CASE("overlaps and gaps between tensors") {
  const auto two = [](const std::string& first, const std::string& second, std::size_t data) {
    const std::string head = R"({"dtype":"U8","shape":[2],"data_offsets":)";
    return error_of(R"({"x":)" + head + first + R"(},"y":)" + head + second + "}}", data);
  };
  CHECK(two("[0,2]", "[2,4]", 4) == "no error");
  CHECK(two("[2,4]", "[0,2]", 4) == "no error");
  CHECK(two("[0,2]", "[1,3]", 3) ==
        "[safetensors] f: byte 114: tensor \"y\" overlaps tensor \"x\", which ends at byte 115");
  CHECK(two("[0,2]", "[0,2]", 2) ==
        "[safetensors] f: byte 113: tensor \"y\" overlaps tensor \"x\", which ends at byte 115");
  CHECK(two("[0,2]", "[3,5]", 5) ==
        "[safetensors] f: byte 115: 1 bytes before tensor \"y\" belong to no tensor");
}

TEST_CASE("hostile names are made printable and short") {
  const std::string message = error_of("{\"" + std::string(1'000'000, 'n') + "\":1}");
  CHECK(message == "[safetensors] f: byte 1000012: tensor \"" + std::string(100, 'n') +
                       "...\" (1000000 bytes): must be an object, got 1");
  CHECK(error_of(R"({"\u0000\n":1})") ==
        "[safetensors] f: byte 20: tensor \"\\u0000\\n\": must be an object, got 1");
}

TEST_CASE("a bool that is neither 0 nor 1 is found when it is asked for") {
  std::string bytes =
      safetensors_bytes(tensor(R"("dtype":"BOOL","shape":[3],"data_offsets":[0,3])"), 3);
  bytes.back() = 2;
  const auto file = SafetensorsFile::from_bytes(
      {reinterpret_cast<std::byte*>(bytes.data()), bytes.size()}, nullptr, "f");
  const std::string expected = "[safetensors] f: byte " + std::to_string(bytes.size() - 1) +
                               ": tensor \"x\": a BOOL must be 0 or 1, got 2";
  CHECK(message_of([&] { (void)file.tensor<bool>("x"); }) == expected);
  CHECK(message_of([&] { (void)file.load<float>("x"); }) == expected);
}

TEST_CASE("every truncation of a good file is refused") {
  TempFolder folder;
  SafetensorsWriter().add("a", zeros(4)).add("b", zeros(2)).write(folder / "f");
  const std::string good = read_text(folder / "f");
  REQUIRE(open_error(good) == "no error");
  for (std::size_t size = 0; size < good.size(); ++size) {
    CAPTURE(size);
    CHECK(begins(open_error(good.substr(0, size)), "[safetensors] f: byte "));
  }
  CHECK(begins(open_error(good + "x"), "[safetensors] f: byte "));
}

TEST_CASE("files that are no files") {
  TempFolder folder;
  const auto open = [&](const fs::path& path) {
    return message_of([&] { (void)SafetensorsFile::open(path); }, folder.path());
  };
  CHECK(open(folder / "missing.safetensors") ==
        "[open] missing.safetensors: No such file or directory");
  fs::create_directory(folder / "sub");
  CHECK(open(folder / "sub") == "[open] sub: is a folder, not a file");
  write_text(folder / "empty", "");
  CHECK(open(folder / "empty") ==
        "[safetensors] empty: byte 0: the file has 0 bytes, the header length alone takes 8");
  CHECK(open(folder / "empty" / "inside") == "[open] empty/inside: Not a directory");
}

TEST_CASE("model folders that are incomplete or lie") {
  TempFolder folder;
  const auto open = [&] {
    return message_of([&] { (void)SafetensorsModel::open(folder.path()); }, folder.path());
  };
  const auto index = [&](const std::string& weight_map) {
    write_text(folder / "model.safetensors.index.json", R"({"weight_map":)" + weight_map + "}");
    return open();
  };
  const std::string name = "model.safetensors.index.json";
  CHECK(begins(open(), "[safetensors] " + folder.path().native() +
                           ": the folder has neither model.safetensors nor " + name));
  CHECK(message_of([&] { (void)SafetensorsModel::open(folder / "none"); }, folder.path()) ==
        "[open] none: No such file or directory");

  SafetensorsWriter().add("x", zeros(1)).write(folder / "a.safetensors");
  SafetensorsWriter().add("y", zeros(2)).write(folder / "b.safetensors");
  CHECK(index(R"({"x":"a.safetensors","y":"b.safetensors"})") == "no error");
  CHECK(index("[]") ==
        "[config] " + name + ": key \"weight_map\" must be an object, got an array (at byte 14)");
  CHECK(index(R"({"x":3})") ==
        "[config] " + name +
            ": key \"weight_map.x\" must name a file of the same folder, got 3 (at byte 19)");
  for (const std::string bad : {"../a.safetensors", "/etc/passwd", "", ".", "..", "sub/a"}) {
    CHECK(index(R"({"x":")" + bad + "\"}") ==
          "[config] " + name +
              ": key \"weight_map.x\" must name a file of the same folder, got \"" + bad +
              "\" (at byte 19)");
  }
  CHECK(begins(index(R"({"x":"a.safe\u0000tensors"})"), "[config] " + name + ": key "));
  CHECK(index(R"({"x":"c.safetensors"})") == "[open] c.safetensors: No such file or directory");
  CHECK(index(R"({"x":"b.safetensors","y":"b.safetensors"})") ==
        "[safetensors] " + name + ": tensor \"x\" is not in its shard b.safetensors");
  CHECK(index(R"({"x":"a.safetensors","z":"b.safetensors"})") ==
        "[safetensors] " + name + ": tensor \"z\" is not in its shard b.safetensors");
  SafetensorsWriter().add("y", zeros(2)).add("z", zeros(1)).write(folder / "b.safetensors");
  // A tensor that the index lacks is there, as in transformers.
  CHECK(index(R"({"x":"a.safetensors","y":"b.safetensors"})") == "no error");
  CHECK(SafetensorsModel::open(folder / name).load<float>("z").numel() == 1);
  SafetensorsWriter().add("y", zeros(2)).add("x", zeros(1)).write(folder / "b.safetensors");
  CHECK(index(R"({"x":"a.safetensors","y":"b.safetensors"})") ==
        "[safetensors] " + name +
            ": tensor \"x\" is in two shards, a.safetensors and b.safetensors");
  write_text(folder / "b.safetensors", "short");
  CHECK(index(R"({"x":"a.safetensors","y":"b.safetensors"})") ==
        "[safetensors] b.safetensors: byte 0: the file has 5 bytes, the header length alone takes "
        "8");
  CHECK(message_of([&] { (void)SafetensorsModel::open(folder / name); }, folder.path()) !=
        "no error");
  CHECK(begins(index("{"), "[json] " + name + ": byte "));
}
