// Reading and writing safetensors files that are as they should be. Hostile ones are in
// test_safetensors_hostile.cpp.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include <ldlm/io/safetensors.hpp>
#include <ldlm/io/safetensors_model.hpp>
#include <ldlm/io/safetensors_writer.hpp>

#include "io_support.hpp"
#include "kill_support.hpp"
#include "paths.hpp"

using namespace io_support;
using ldlm::FileDType;
using ldlm::NamedTensors;
using ldlm::SafetensorsFile;
using ldlm::SafetensorsModel;
using ldlm::SafetensorsWriter;
using ldlm::Shape;
using ldlm::Tensor;

namespace {

const fs::path golden_files = fs::path(ldlm_test::data_dir()) / "golden" / "safetensors";

template <ldlm::Scalar T>
bool equal(const Tensor<T>& a, const Tensor<T>& b) {
  return a.shape() == b.shape() &&
         (a.numel() == 0 ||
          std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.numel()) * sizeof(T)) == 0);
}

}  // namespace

TEST_CASE("every dtype that Python wrote is read, as itself and as float") {
  const SafetensorsFile file = SafetensorsFile::open(golden_files / "dtypes.safetensors");
  CHECK(file.tensors().size() == 13);
  for (const auto dtype :
       {ldlm::DType::f64, ldlm::DType::f32, ldlm::DType::f16, ldlm::DType::bf16, ldlm::DType::i64,
        ldlm::DType::i32, ldlm::DType::i16, ldlm::DType::i8, ldlm::DType::u64, ldlm::DType::u32,
        ldlm::DType::u16, ldlm::DType::u8, ldlm::DType::boolean}) {
    const std::string name(ldlm::name_of(dtype));
    CAPTURE(name);
    CHECK(file.info(name).dtype == ldlm::to_file_dtype(dtype));
    CHECK(file.info(name).shape == std::vector<std::int64_t>{3, 4});
    const Tensor<float> as_float = file.load<float>(name);
    ldlm::visit_dtype(dtype, [&]<class T>(std::type_identity<T>) {
      const Tensor<T> tensor = file.tensor<T>(name);
      REQUIRE(tensor.shape() == Shape{3, 4});
      for (std::int64_t i = 0; i < 12; ++i) {
        const bool is_unsigned = std::is_unsigned_v<T> && !std::is_same_v<T, bool>;
        const float expected = std::is_same_v<T, bool> ? static_cast<float>(i % 2)
                               : is_unsigned           ? static_cast<float>(i)
                                                       : static_cast<float>(i - 4);
        CHECK(static_cast<float>(tensor.data()[i]) == expected);
        CHECK(as_float.data()[i] == expected);
      }
    });
  }
}

TEST_CASE("shapes, names, metadata and special values survive") {
  const SafetensorsFile file = SafetensorsFile::open(golden_files / "shapes.safetensors");
  REQUIRE(file.metadata().size() == 1);
  CHECK(file.metadata()[0] == std::pair<std::string, std::string>{"format", "pt"});

  CHECK(file.tensor<float>("scalar").rank() == 0);
  CHECK(file.tensor<float>("scalar").item() == 2.5F);
  CHECK(file.tensor<float>("empty").shape() == Shape{0, 3});
  CHECK(file.tensor<float>("one").item() == -1.0F);
  CHECK(file.tensor<std::uint8_t>("odd").data()[2] == 2);
  CHECK(file.tensor<std::int16_t>("größe ☃ 😀 \"quoted\\").data()[1] == 1);
  const Tensor<float> odd = file.tensor<float>("nan");
  CHECK(std::isnan(odd.data()[0]));
  CHECK(odd.data()[1] == INFINITY);
  CHECK(odd.data()[2] == -INFINITY);
  CHECK(std::signbit(odd.data()[3]));

  // Seven axes are known to the file, but are too many for a tensor.
  CHECK(file.info("rank7").shape.size() == 7);
  CHECK(file.bytes("rank7").size() == 8);
  CHECK(message_of([&] { (void)file.tensor<float>("rank7"); }, golden_files) ==
        "[safetensors] shapes.safetensors: tensor \"rank7\": shape [1, 1, 1, 2, 1, 1, 1] has 7 "
        "axes, a tensor has at most 6");

  CHECK(SafetensorsFile::open(golden_files / "none.safetensors").names().empty());
}

TEST_CASE("tensors are listed in the order of their bytes") {
  const SafetensorsFile file = SafetensorsFile::open(golden_files / "dtypes.safetensors");
  CHECK(file.names() == std::vector<std::string>{"u64", "i64", "f64", "f32", "u32", "i32", "bf16",
                                                 "f16", "u16", "i16", "i8", "u8", "bool"});
}

TEST_CASE("aligned tensors are views of the map, which they keep alive") {
  TempFolder folder;
  ldlm::save_safetensors(folder / "a.safetensors",
                         NamedTensors<float>{{"x", counting<float>({2, 3})}});
  const std::string before = read_text(folder / "a.safetensors");
  Tensor<float> x;
  {
    const SafetensorsFile file = SafetensorsFile::open(folder / "a.safetensors");
    x = file.tensor<float>("x");
    CHECK(static_cast<const void*>(x.data()) == file.bytes("x").data());
    CHECK(file.load<float>("x").data() == x.data());
  }
  x.data()[0] = 42;  // private to this process
  CHECK(x.data()[0] == 42);
  CHECK(x.data()[5] == 5);
  CHECK(read_text(folder / "a.safetensors") == before);
  fs::remove(folder / "a.safetensors");
  CHECK(x.data()[4] == 4);
}

TEST_CASE("misaligned tensors are copied") {
  const SafetensorsFile file = SafetensorsFile::open(golden_files / "misaligned.safetensors");
  const Tensor<float> x = file.tensor<float>("x");
  CHECK(x.to_vector() == std::vector<float>{0, 1, 2, 3, 4});
  CHECK(static_cast<const void*>(x.data()) != file.bytes("x").data());
  CHECK(file.load<double>("x").to_vector() == std::vector<double>{0, 1, 2, 3, 4});
}

TEST_CASE("8-bit floats convert as torch converts them, all codes") {
  const SafetensorsFile file = SafetensorsFile::open(golden_files / "float8.safetensors");
  for (const std::string name : {"F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"}) {
    CAPTURE(name);
    CHECK(ldlm::name_of(file.info(name).dtype) == name);
    const Tensor<float> ours = file.load<float>(name);
    const Tensor<float> expected = file.tensor<float>(name + ".f32");
    for (int i = 0; i < 256; ++i) {
      CAPTURE(i);
      const float a = ours.data()[i], b = expected.data()[i];
      CHECK(((std::isnan(a) && std::isnan(b)) || std::memcmp(&a, &b, sizeof(float)) == 0));
    }
  }
}

TEST_CASE("types without a tensor type can be inspected, not loaded") {
  const SafetensorsFile file = SafetensorsFile::open(golden_files / "other.safetensors");
  CHECK(file.info("f4").dtype == FileDType::f4);
  CHECK(file.bytes("f4").size() == 3);
  CHECK(file.info("f6a").dtype == FileDType::f6_e2m3);
  CHECK(file.info("f6b").dtype == FileDType::f6_e3m2);
  CHECK(file.bytes("c64").size() == 16);
  CHECK(message_of([&] { (void)file.load<float>("f4"); }, golden_files) ==
        "[safetensors] other.safetensors: tensor \"f4\" is F4, which does not convert to F32");
}

TEST_CASE("an element type that is none of them is refused") {
  const auto file_type = static_cast<FileDType>(37);
  CHECK(message_of([&] { (void)ldlm::name_of(file_type); }) ==
        "[FileDType] 37 is none of its values");
  CHECK(message_of([&] { (void)ldlm::bits_of(file_type); }) ==
        "[FileDType] 37 is none of its values");
  CHECK(message_of([] { (void)ldlm::to_file_dtype(static_cast<ldlm::DType>(37)); }) ==
        "[DType] 37 is none of its values");
}

TEST_CASE("conversions: floats from everything, integers from integers that fit") {
  TempFolder folder;
  const fs::path path = folder / "c.safetensors";
  SafetensorsWriter()
      .add("f32", counting<float>({3}, 1))
      .add("f64", counting<double>({3}, 1))
      .add("i64", counting<std::int64_t>({3}, 254))
      .add("i8", counting<std::int8_t>({3}, -1))
      .add("bool", Tensor<bool>::from_values({2}, {true, false}))
      .write(path);
  const SafetensorsFile file = SafetensorsFile::open(path);
  CHECK(file.load<double>("f32").to_vector() == std::vector<double>{1, 2, 3});
  CHECK(file.load<float>("f64").to_vector() == std::vector<float>{1, 2, 3});
  CHECK(static_cast<float>(file.load<ldlm::bf16>("i64").data()[0]) == 254);
  CHECK(file.load<std::int32_t>("i64").to_vector() == std::vector<std::int32_t>{254, 255, 256});
  CHECK(file.load<std::int64_t>("bool").to_vector() == std::vector<std::int64_t>{1, 0});

  const auto message = [&](auto action) { return message_of(action, folder.path()); };
  const std::string at = std::to_string(file.info("i64").begin + 16);
  CHECK(message([&] { (void)file.load<std::uint8_t>("i64"); }) ==
        "[safetensors] c.safetensors: byte " + at + ": tensor \"i64\": 256 does not fit U8");
  CHECK(message([&] { (void)file.load<std::uint64_t>("i8"); }) ==
        "[safetensors] c.safetensors: byte " + std::to_string(file.info("i8").begin) +
            ": tensor \"i8\": -1 does not fit U64");
  CHECK(message([&] { (void)file.load<std::int32_t>("f32"); }) ==
        "[safetensors] c.safetensors: tensor \"f32\" is F32, which does not convert to I32");
  CHECK(message([&] { (void)file.load<bool>("i8"); }) ==
        "[safetensors] c.safetensors: tensor \"i8\" is I8, which does not convert to BOOL");
  CHECK(message([&] { (void)file.tensor<float>("f64"); }) ==
        "[safetensors] c.safetensors: tensor \"f64\" is F64, not F32");
  CHECK(message([&] { (void)file.info("x\n"); }) ==
        "[safetensors] c.safetensors: no tensor \"x\\n\"");
}

TEST_CASE("our files equal Python's, byte for byte") {
  TempFolder folder;
  for (const std::string name : {"dtypes.safetensors", "none.safetensors"}) {
    const SafetensorsFile file = SafetensorsFile::open(golden_files / name);
    SafetensorsWriter writer;
    for (std::size_t i = file.tensors().size(); i-- > 0;) {  // in another order than theirs
      const ldlm::TensorInfo& info = file.tensors()[i];
      ldlm::visit_dtype(*ldlm::to_dtype(info.dtype), [&]<class T>(std::type_identity<T>) {
        writer.add(info.name, file.tensor<T>(info.name));
      });
    }
    writer.write(folder / name);
    CHECK(read_text(folder / name) == read_text(golden_files / name));
  }
}

TEST_CASE("views of any layout are written as they read") {
  TempFolder folder;
  const Tensor<float> x = counting<float>({3, 4, 5});
  const Tensor<float> big = counting<float>({200, 300});
  const Tensor<double> scalar = counting<double>({}, 7);
  SafetensorsWriter()
      .add("transposed", x.transpose(0, 2))
      .add("sliced", x.slice(1, 1, 4, 2))
      .add("expanded", x.slice(1, 0, 1).expand({3, 2, 5}))
      .add("gathered", big.transpose(0, 1))
      .add("empty", x.slice(0, 1, 1))
      .add("scalar", scalar)
      .write(folder / "v.safetensors");
  const SafetensorsFile file = SafetensorsFile::open(folder / "v.safetensors");
  const auto check = [&](const char* name, const Tensor<float>& view) {
    const Tensor<float> read = file.tensor<float>(name);
    REQUIRE(read.shape() == view.shape());
    for (std::int64_t i = 0; i < view.shape()[0]; ++i) {
      for (std::int64_t j = 0; j < view.shape()[1]; ++j) {
        if (view.rank() == 2) {
          REQUIRE(read.at({i, j}) == view.at({i, j}));
        } else {
          for (std::int64_t k = 0; k < view.shape()[2]; ++k) {
            REQUIRE(read.at({i, j, k}) == view.at({i, j, k}));
          }
        }
      }
    }
  };
  check("transposed", x.transpose(0, 2));
  check("sliced", x.slice(1, 1, 4, 2));
  check("expanded", x.slice(1, 0, 1).expand({3, 2, 5}));
  check("gathered", big.transpose(0, 1));
  CHECK(file.tensor<float>("empty").shape() == Shape{0, 4, 5});
  CHECK(file.tensor<double>("scalar").item() == 7);
}

TEST_CASE("named tensors go out and come back") {
  TempFolder folder;
  const NamedTensors<float> tensors{{"b.weight", counting<float>({2, 2})},
                                    {"a.bias", counting<float>({3}, 9)}};
  ldlm::save_safetensors(folder / "n.safetensors", tensors);
  const NamedTensors<float> read = ldlm::load_safetensors<float>(folder / "n.safetensors");
  REQUIRE(read.size() == 2);
  for (const auto& [name, tensor] : tensors) {
    const Tensor<float>* const back = find(read, name);
    REQUIRE(back != nullptr);
    CHECK(equal(*back, tensor));
  }
  CHECK(find(read, "c") == nullptr);
}

TEST_CASE("the writer refuses what would not be read again") {
  const Tensor<float> x = counting<float>({2});
  SafetensorsWriter writer;
  writer.add("x", x);
  CHECK(message_of([&] { writer.add("x", x); }) == "[safetensors] tensor \"x\" was added before");
  CHECK(message_of([&] { writer.add("__metadata__", x); }) ==
        "[safetensors] \"__metadata__\" cannot name a tensor");
  CHECK(message_of([&] { writer.add("\xff", x); }) == "[safetensors] name \"\\xff\" is not UTF-8");
  CHECK(message_of([&] { writer.add("u", Tensor<float>()); }) ==
        "[safetensors] tensor \"u\" is undefined");
  CHECK_THROWS_AS(writer.add("u", Tensor<float>()), ldlm::StateError);
}

TEST_CASE("a model in one file") {
  TempFolder folder;
  SafetensorsWriter()
      .add("x", counting<float>({4}))
      .metadata("format", "pt")
      .write_model(folder.path());
  CHECK(folder.listing() == "model.safetensors");
  for (const fs::path& path : {folder.path(), folder / "model.safetensors"}) {
    const SafetensorsModel model = SafetensorsModel::open(path);
    CHECK(model.names() == std::vector<std::string>{"x"});
    CHECK(model.contains("x"));
    CHECK(!model.contains("y"));
    CHECK(model.tensor<float>("x").data()[3] == 3);
    CHECK(model.shards()[0].metadata()[0].second == "pt");
  }
}

TEST_CASE("a model in shards, and what replaces it") {
  TempFolder folder;
  SafetensorsWriter writer;
  for (const char name : {'a', 'b', 'c', 'd'}) {
    writer.add(std::string(1, name), counting<float>({10}, static_cast<float>(name)));
  }
  writer.add("large", counting<float>({100}));
  writer.write_model(folder.path(), 80);
  CHECK(folder.listing() ==
        "model-00001-of-00003.safetensors model-00002-of-00003.safetensors "
        "model-00003-of-00003.safetensors model.safetensors.index.json");

  for (const fs::path& path : {folder.path(), folder / "model.safetensors.index.json"}) {
    const SafetensorsModel model = SafetensorsModel::open(path);
    CHECK(model.names() == std::vector<std::string>{"a", "b", "c", "d", "large"});
    CHECK(model.shards().size() == 3);
    CHECK(model.tensor<float>("c").data()[1] == 'c' + 1);
    CHECK(model.load<double>("large").data()[99] == 99);
    CHECK(model.info("d").shape == std::vector<std::int64_t>{10});
    CHECK(message_of([&] { (void)model.info("e"); }, folder.path()) ==
          "[safetensors] model.safetensors.index.json: no tensor \"e\"");
  }

  write_text(folder / "notes.txt", "mine");
  writer.write_model(folder.path(), 1000);  // one file now; the shards go, other files stay
  CHECK(folder.listing() == "model.safetensors notes.txt");
  writer.write_model(folder.path(), 400);
  CHECK(folder.listing() ==
        "model-00001-of-00002.safetensors model-00002-of-00002.safetensors "
        "model.safetensors.index.json notes.txt");
  CHECK(SafetensorsModel::open(folder.path()).names().size() == 5);
}

TEST_CASE("a killed write_model leaves the old model or the new one, never a mixture") {
  const auto write = [](const fs::path& folder, float value, std::size_t max_shard_bytes) {
    SafetensorsWriter()
        .add("a", counting<float>({10}, value))
        .add("b", counting<float>({10}, value))
        .add("c", counting<float>({10}, value))
        .write_model(folder, max_shard_bytes);
  };
  const std::size_t one_file = 1000, shards = 40;
  for (const auto& limits : {std::pair{one_file, one_file}, std::pair{one_file, shards},
                             std::pair{shards, one_file}, std::pair{shards, shards}}) {
    Killed killed = Killed::yes;
    for (int calls = 1; killed == Killed::yes; ++calls) {
      CAPTURE(calls);
      TempFolder folder;
      write(folder.path(), 1, limits.first);
      killed = run_until_system_call(calls, [&] { write(folder.path(), 2, limits.second); });
      if (killed == Killed::not_allowed) {
        MESSAGE("skipped: ptrace is not allowed here");
        return;
      }
      const SafetensorsModel model = SafetensorsModel::open(folder.path());
      const float first = model.tensor<float>("a").data()[0];
      REQUIRE((first == 2 || (first == 1 && killed == Killed::yes)));
      REQUIRE(model.tensor<float>("b").data()[0] == first);
      REQUIRE(model.tensor<float>("c").data()[0] == first);
    }
  }
}
