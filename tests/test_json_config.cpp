#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <ldlm/io/json.hpp>

#include "io_support.hpp"

using namespace io_support;
using ldlm::JsonReader;
using ldlm::JsonValue;
using ldlm::open_json;
using ldlm::parse_json;

namespace {

std::string parse_error(std::string_view text) {
  return message_of([&] { (void)parse_json(text, "f.json"); });
}
JsonValue round_trip(const JsonValue& value) {
  return parse_json(to_string(value), "round trip");
}

}  // namespace

TEST_CASE("a document is read with its kinds and the order of its members") {
  const JsonValue value = parse_json(
      R"({"b": [1, -2, 2.5, 1e3, true, null], "a": "x\u00e9\ud83d\ude00\n", "": {}})", "f.json");
  REQUIRE(value.members().size() == 3);
  CHECK(value.members()[0].first == "b");
  CHECK(value.members()[1].first == "a");
  const auto& items = value.find("b")->items();
  REQUIRE(items.size() == 6);
  CHECK(items[0].kind() == JsonValue::Kind::integer);
  CHECK(items[1].as<int>() == -2);
  CHECK(items[2].as<double>() == 2.5);
  CHECK(items[3].kind() == JsonValue::Kind::number);
  CHECK(items[4].as<bool>());
  CHECK(items[5].is_null());
  CHECK(value.find("a")->as<std::string>() == "xé😀\n");
  CHECK(value.find("")->is_object());
  CHECK(value.find("c") == nullptr);
  CHECK(items[0].find("x") == nullptr);
}

TEST_CASE("every value knows the byte where it began") {
  const std::string text = R"( {"a" : [10, 20 ,{"k":-1.5}], "b":"x" , "c":{}} )";
  const JsonValue value = parse_json(text, "f.json");
  const auto begins_with = [&](const JsonValue& at, std::string_view token) {
    return text.compare(at.offset(), token.size(), token) == 0;
  };
  CHECK(begins_with(value, "{\"a\""));
  CHECK(begins_with(*value.find("a"), "[10"));
  CHECK(begins_with(value.find("a")->items()[0], "10"));
  CHECK(begins_with(value.find("a")->items()[1], "20"));
  CHECK(begins_with(value.find("a")->items()[2], "{\"k\""));
  CHECK(begins_with(*value.find("a")->items()[2].find("k"), "-1.5"));
  CHECK(begins_with(*value.find("b"), "\"x\""));
  CHECK(begins_with(*value.find("c"), "{}"));
  const JsonValue moved = parse_json("[7]", "f.json", {.first_byte = 100});
  CHECK(moved.items()[0].offset() == 101);
}

TEST_CASE("numbers survive writing and reading exactly") {
  for (const double number : {0.1, -0.0, 5.0, 1e300, 5e-324, 1.0 / 3.0, 123456789012345680.0}) {
    const JsonValue back = round_trip(number);
    CHECK(back.kind() == JsonValue::Kind::number);
    CHECK(std::bit_cast<std::uint64_t>(back.as<double>()) == std::bit_cast<std::uint64_t>(number));
  }
  const auto smallest = std::numeric_limits<std::int64_t>::min();
  const auto largest = std::numeric_limits<std::uint64_t>::max();
  CHECK(round_trip(smallest).as<std::int64_t>() == smallest);
  CHECK(round_trip(largest).as<std::uint64_t>() == largest);
  CHECK(round_trip(largest) == JsonValue(largest));
  CHECK(to_string(JsonValue(5.0)) == "5.0");
  CHECK(message_of([] { (void)to_string(JsonValue(std::numeric_limits<double>::quiet_NaN())); }) ==
        "[json] cannot write NaN or infinity");
}

TEST_CASE("as<T> is exact about kinds and ranges") {
  CHECK(JsonValue(12).as<std::int8_t>() == 12);
  CHECK(JsonValue(12).as<float>() == 12.0F);
  CHECK(JsonValue(std::vector<int>{1, 2}).as<std::vector<float>>() == std::vector<float>{1, 2});
  CHECK(JsonValue(std::vector<std::string>{"a"}).items()[0] == JsonValue("a"));
  CHECK(!JsonValue(12.0).get_if<int>());
  CHECK(!JsonValue(1).get_if<bool>());
  CHECK(!JsonValue(true).get_if<int>());
  CHECK(!JsonValue("1").get_if<int>());
  CHECK(!JsonValue(1e300).get_if<float>());
  CHECK(message_of([] { (void)JsonValue("x").as<std::int64_t>(); }) ==
        "[json] must be an integer, got \"x\"");
  CHECK(message_of([] { (void)JsonValue(-1).as<std::uint8_t>(); }) ==
        "[json] must be an integer from 0 to 255, got -1");
  CHECK(message_of([] { (void)JsonValue(300).as<std::vector<int>>(); }) ==
        "[json] must be an array, each element an integer from -2147483648 to 2147483647, got 300");
  CHECK(JsonValue("x").string() == "x");
  CHECK(message_of([] { (void)JsonValue(3).string(); }) == "[json] must be a string, got 3");
  CHECK(message_of([] { (void)JsonValue().items(); }) == "[json] must be an array, got null");
  CHECK(message_of([] { (void)JsonValue::array().members(); }) ==
        "[json] must be an object, got an array");
  CHECK(message_of([] { JsonValue(3).set("a", 1); }) == "[json] must be an object, got 3");
}

TEST_CASE("documents are written for people and for machines") {
  JsonValue value = JsonValue::object({{"name", "a\"b\\\x01"}, {"list", JsonValue::array({1, 2})}});
  value.set("nested", JsonValue::array({JsonValue::object({{"x", nullptr}}), JsonValue::object()}));
  value.set("name", "t\u00e4st");
  CHECK(to_string(value) == R"({"name":"täst","list":[1,2],"nested":[{"x":null},{}]})");
  CHECK(to_pretty_string(value) == R"({
  "name": "täst",
  "list": [1, 2],
  "nested": [
    {
      "x": null
    },
    {}
  ]
}
)");
  CHECK(to_string(JsonValue("\"\\\b\f\n\r\t\x01\x1f/")) == R"("\"\\\b\f\n\r\t\u0001\u001f/")");
  CHECK(parse_json(to_pretty_string(value), "f.json") == value);
  CHECK(message_of([] { (void)to_string(JsonValue("a\xc3")); }) ==
        "[json] \"a\\xc3\" is not UTF-8 (at byte 1)");
  JsonValue list;
  list.push_back(1).push_back("two");
  CHECK(to_string(list) == "[1,\"two\"]");
}

TEST_CASE("broken JSON is refused with the byte and the reason") {
  const auto begins = [](const std::string& message, const std::string& start) {
    CAPTURE(message);
    CHECK(message.compare(0, start.size(), start) == 0);
  };
  begins(parse_error(""), "[json] f.json: byte 0: syntax error while parsing");
  begins(parse_error("{\"a\": 1"), "[json] f.json: byte 7: ");
  begins(parse_error("{\"a\": 1,}"), "[json] f.json: byte 8: ");
  begins(parse_error("[1] 2"), "[json] f.json: byte 4: ");
  begins(parse_error("{'a': 1}"), "[json] f.json: byte 1: ");
  begins(parse_error("[01]"), "[json] f.json: byte 2: ");
  begins(parse_error("[NaN]"), "[json] f.json: byte 1: ");
  begins(parse_error("[1e999]"), "[json] f.json: byte 5: number overflow");
  begins(parse_error("[\"\\ud800\"]"), "[json] f.json: byte 8: ");
  begins(parse_error("[\"a\xff\"]"), "[json] f.json: byte 3: ");
  CHECK(parse_error("[\"a\xff\"]").find('\xff') == std::string::npos);  // the message is UTF-8
  CHECK(parse_error(std::string_view("{}\0{}", 5)) == "[json] f.json: byte 2: NUL byte");
  CHECK(parse_error(R"({"a": 1, "b": 2, "a": 3})") ==
        "[json] f.json: byte 22: key \"a\" stands twice in one object");
  CHECK(parse_error(R"([{"x": {"\u0061": 1, "a": 3}}])") ==
        "[json] f.json: byte 26: key \"a\" stands twice in one object");
  CHECK(parse_error(std::string(1'000'000, '[')) ==
        "[json] f.json: byte 128: nested deeper than 128 levels");
  CHECK(parse_error(std::string(128, '[') + std::string(128, ']')) == "no error");
  CHECK(message_of([] { (void)parse_json("[1,2,3]", "f.json", {.max_values = 3}); }) ==
        "[json] f.json: byte 5: more than 3 values");
  CHECK(parse_error('"' + std::string(1'000'000, 'x')).size() < 500);
}

TEST_CASE("a config gives its keys by type") {
  const JsonReader config = JsonReader::parse(
      R"({"n_head": 12, "eps": 1e-5, "act": "gelu", "tie": true, "n_inner": null, "ids": [1, 2],
          "big": 5000000000, "sub": {"x": "y"}})",
      "dir/config.json");
  CHECK(config.get<int>("n_head") == 12);
  CHECK(config.get<double>("n_head") == 12.0);
  CHECK(config.get<float>("eps") == 1e-5F);
  CHECK(config.get<std::string>("act") == "gelu");
  CHECK(config.get("act", "relu") == "gelu");
  CHECK(config.get("act2", "relu") == "relu");
  CHECK(config.get("tie", false));
  CHECK(config.get("n_inner", 7) == 7);
  CHECK(config.get("absent", 8) == 8);
  CHECK(config.get<std::vector<int>>("ids") == std::vector<int>{1, 2});
  CHECK(config.get<std::int64_t>("big") == 5'000'000'000);
  CHECK(config.section("sub").get<std::string>("x") == "y");
  CHECK(config.has("tie"));
  CHECK(!config.has("n_inner"));
  CHECK(!config.has("absent"));
}

TEST_CASE("a config names file, key, type and byte in its errors") {
  const JsonReader config = JsonReader::parse(
      R"({"n_head": "x", "big": 5000000000, "none": null, "sub": {"y": 1.5}})", "dir/config.json");
  const auto get = [&]<class T>(std::type_identity<T>, std::string_view key) {
    return message_of([&] { (void)config.get<T>(key); });
  };
  CHECK(get(std::type_identity<std::int64_t>{}, "n_head") ==
        "[config] dir/config.json: key \"n_head\" must be an integer, got \"x\" (at byte 11)");
  CHECK(get(std::type_identity<int>{}, "big") ==
        "[config] dir/config.json: key \"big\" must be an integer from -2147483648 to 2147483647, "
        "got 5000000000 (at byte 23)");
  CHECK(get(std::type_identity<bool>{}, "none") ==
        "[config] dir/config.json: key \"none\" must be true or false, got null (at byte 43)");
  CHECK(get(std::type_identity<double>{}, "n_heads") ==
        "[config] dir/config.json: key \"n_heads\" is missing");
  CHECK(message_of([&] { (void)config.get("n_head", 3); }) ==
        "[config] dir/config.json: key \"n_head\" must be an integer from -2147483648 to "
        "2147483647, got \"x\" (at byte 11)");
  CHECK(message_of([&] { (void)config.section("sub").get<int>("y"); }) ==
        "[config] dir/config.json: key \"sub.y\" must be an integer from -2147483648 to "
        "2147483647, got 1.5 (at byte 62)");
  CHECK(message_of([&] { (void)config.section("big"); }) ==
        "[config] dir/config.json: key \"big\" must be an object, got 5000000000 (at byte 23)");
  CHECK(message_of([&] { config.check(false, "n_head", "must divide ", 768); }) ==
        "[config] dir/config.json: key \"n_head\" must divide 768 (at byte 11)");
  CHECK(message_of([] { (void)JsonReader::parse("[1]", "c.json").has("a"); }) ==
        "[config] c.json: must be an object, got an array");
}

TEST_CASE("files: read, written atomically, missing") {
  TempFolder folder;
  const JsonValue value = JsonValue::object({{"n_layer", 3}});
  write_json(folder / "config.json", value);
  CHECK(read_text(folder / "config.json") == "{\n  \"n_layer\": 3\n}\n");
  CHECK(ldlm::read_json(folder / "config.json") == value);
  CHECK(open_json(folder / "config.json").get<int>("n_layer") == 3);
  CHECK(folder.listing() == "config.json");
  CHECK(message_of([&] { (void)open_json(folder / "no.json"); }, folder.path()) ==
        "[open] no.json: No such file or directory");
  CHECK(message_of([&] { (void)open_json(folder.path()); }) ==
        "[open] " + folder.path().native() + ": is a folder, not a file");
  write_text(folder / "empty.json", "");
  CHECK(message_of([&] { (void)ldlm::read_json(folder / "empty.json"); }, folder.path())
            .substr(0, 27) == "[json] empty.json: byte 0: ");
}
