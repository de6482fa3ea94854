// The unit that every processor of the architecture runs, and the reference kernels under all
// units.

#include <ldlm_reference/reference.hpp>
#include <ldlm_simd/bf16.hpp>
#include <ldlm_simd/units/unit.hpp>

namespace ldlm::simd::units {

template <class T>
const KernelTable<T>& base_table() {
  if constexpr (std::same_as<T, bf16>) {
    static constexpr KernelTable<T> kernels =
        bf16_backend::make_table<detail::Bf16Tables>(reference::detail::make_table<T>());
    return kernels;
  } else {
    return reference::table<T>();
  }
}
template const KernelTable<double>& base_table<double>();
template const KernelTable<float>& base_table<float>();
template const KernelTable<f16>& base_table<f16>();
template const KernelTable<bf16>& base_table<bf16>();
template const KernelTable<std::int64_t>& base_table<std::int64_t>();
template const KernelTable<std::int32_t>& base_table<std::int32_t>();
template const KernelTable<std::int16_t>& base_table<std::int16_t>();
template const KernelTable<std::int8_t>& base_table<std::int8_t>();
template const KernelTable<std::uint64_t>& base_table<std::uint64_t>();
template const KernelTable<std::uint32_t>& base_table<std::uint32_t>();
template const KernelTable<std::uint16_t>& base_table<std::uint16_t>();
template const KernelTable<std::uint8_t>& base_table<std::uint8_t>();
template const KernelTable<bool>& base_table<bool>();

[[maybe_unused]] static const bool registered = register_tables<NativeArch>(base);

}  // namespace ldlm::simd::units
