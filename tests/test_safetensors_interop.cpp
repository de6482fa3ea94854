// Our files, read by Python's safetensors: needs a Python that has it (LDLM_PYTHON, or python3).

#include <cstdint>
#include <cstdlib>
#include <string>
#include <type_traits>

#include <sys/wait.h>

#include <doctest/doctest.h>

#include <ldlm/io/safetensors_writer.hpp>

#include "io_support.hpp"
#include "paths.hpp"

using namespace io_support;
using ldlm::SafetensorsWriter;
using ldlm::Tensor;

namespace {

void write_files(const fs::path& folder) {
  SafetensorsWriter dtypes;
  for (int i = 0; i <= static_cast<int>(ldlm::DType::boolean); ++i) {
    const auto dtype = static_cast<ldlm::DType>(i);
    ldlm::visit_dtype(dtype, [&]<class T>(std::type_identity<T>) {
      Tensor<T> tensor = counting<T>({3, 4}, std::is_unsigned_v<T> ? 0.0F : -4.0F);
      if constexpr (std::is_same_v<T, bool>) {
        for (std::int64_t j = 0; j < 12; ++j) {
          tensor.data()[j] = j % 2 == 1;
        }
      }
      dtypes.add(std::string(ldlm::name_of(dtype)), tensor);
    });
  }
  dtypes.write(folder / "dtypes.safetensors");

  SafetensorsWriter()
      .add("scalar", counting<float>({}, 2.5F))
      .add("empty", Tensor<float>::empty({0, 3}))
      .add("transposed", counting<double>({2, 3}, 0).transpose(0, 1))
      .add("größe \"\\", counting<std::int16_t>({1}, 0))
      .metadata("format", "pt")
      .metadata("note", "a \"b\"\n☃")
      .write(folder / "shapes.safetensors");
  SafetensorsWriter().write(folder / "none.safetensors");

  fs::create_directory(folder / "model");
  SafetensorsWriter model;
  for (int i = 0; i < 5; ++i) {
    model.add("layer." + std::to_string(i), counting<float>({10}, static_cast<float>(i)));
  }
  model.write_model(folder / "model", 80);
}

}  // namespace

TEST_CASE("Python's safetensors reads our files") {
  TempFolder folder;
  write_files(folder.path());
  const char* const chosen = std::getenv("LDLM_PYTHON");
  const std::string python = chosen != nullptr ? chosen : "python3";
  const std::string command = "'" + python + "' '" + ldlm_test::data_dir() +
                              "/interop/check_safetensors.py' '" + folder.path().native() + "'";
  const int status = std::system(command.c_str());
  REQUIRE(WIFEXITED(status));
  const int code = WEXITSTATUS(status);
  if (code == 77 || code == 127) {
    const std::string reason = code == 77 ? " has no safetensors" : " is not installed";
    MESSAGE("skipped: ", python, reason, "; name one that has it in LDLM_PYTHON");
    return;
  }
  CHECK(code == 0);
}
