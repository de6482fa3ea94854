// Any bytes are either refused with an Error or describe tensors that can all be read.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <ldlm/io/safetensors.hpp>

namespace {

template <class Action>
void allow_error(Action&& action) {
  try {
    action();
  } catch (const ldlm::Error&) {  // as documented
  }
}

void require(bool condition) {
  if (!condition) {
    __builtin_trap();
  }
}

void read_all(const ldlm::SafetensorsFile& file, std::size_t size) {
  std::size_t total = 0;
  for (const ldlm::TensorInfo& info : file.tensors()) {
    require(info.begin <= info.end && info.end <= size);
    require(&file.info(info.name) == &info);
    total += file.bytes(info.name).size();
    allow_error([&] { (void)file.load<float>(info.name); });
    allow_error([&] { (void)file.load<std::int32_t>(info.name); });
    allow_error([&] { (void)file.load<ldlm::bf16>(info.name); });
    if (const auto dtype = to_dtype(info.dtype)) {
      allow_error([&] {
        visit_dtype(*dtype, [&]<class T>(std::type_identity<T>) {
          const ldlm::Tensor<T> tensor = file.tensor<T>(info.name);
          require(static_cast<std::size_t>(tensor.numel()) * sizeof(T) == info.end - info.begin);
        });
      });
    }
  }
  require(total <= size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto* const first = reinterpret_cast<const std::byte*>(data);
  const auto bytes = std::make_shared<std::vector<std::byte>>(first, first + size);
  allow_error([&] { read_all(ldlm::SafetensorsFile::from_bytes(*bytes, bytes, "fuzz"), size); });
  return 0;
}
