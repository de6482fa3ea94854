// Which kernels LDLM_ISA picks; the kernels' own tests are linked in beside this one.

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include <ldlm/core/backend_info.hpp>

namespace {

/// The kernels that a program of ldlm::ldlm should use with this LDLM_ISA.
std::string_view expected(std::string_view isa) {
#if defined(__x86_64__)
  const bool has_avx2 = ldlm::processor_has(ldlm::InstructionSet::avx2_fma);
  const bool has_avx512 = ldlm::processor_has(ldlm::InstructionSet::avx512);
  if ((isa == "avx512" || isa.empty()) && has_avx512) {
    return "avx512";
  }
  if (isa != "baseline" && has_avx2) {
    return "avx2";
  }
  return "sse2";
#else
  static_cast<void>(isa);
  return name_of(ldlm::kernels<float>(ldlm::cpu).instruction_set);
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
  const ldlm::BackendInfo info = ldlm::backend_info();
  CHECK(info.backend == "simd");
  CHECK(info.instruction_set == expected(isa));
  // What LDLM_ISA holds back is said.
  CHECK(info.wider == (expected(isa) == expected("avx512") ? "" : expected("avx512")));
  CHECK(info.advice ==
        (info.wider.empty() ? "" : "LDLM_ISA=" + std::string(isa) + " holds it back"));
}

}  // namespace
