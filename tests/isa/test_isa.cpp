// Which kernels LDLM_ISA picks; the kernels' own tests are linked in beside this one.

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include <ldlm/core/registry.hpp>

namespace {

/// The kernels that a program of ldlm::simd should use with this LDLM_ISA.
std::string_view expected(std::string_view isa) {
#if defined(__x86_64__)
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
  if (isa == "avx512" && has_avx512) {
    return "avx512bw";
  }
  if ((isa == "avx512" || isa == "avx2") && has_avx2) {
    return "fma3+avx2";
  }
  return "sse2";
#else
  static_cast<void>(isa);
  return ldlm::kernels<float>(ldlm::cpu).name;
#endif
}

TEST_CASE("LDLM_ISA picks the widest kernels that it allows and the processor has") {
  const char* const isa = std::getenv("LDLM_ISA");
  REQUIRE(isa != nullptr);
  if (std::string_view(isa) == "avx1024") {
    CHECK_THROWS_WITH_AS(static_cast<void>(ldlm::kernels<float>(ldlm::cpu)),
                         "[device] LDLM_ISA must be baseline, avx2 or avx512", ldlm::Error);
    return;
  }
  CHECK(std::string(ldlm::kernels<float>(ldlm::cpu).name) == expected(isa));
}

}  // namespace
