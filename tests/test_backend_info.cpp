// backend_info: which kernels a program has, and what it could have.

#include <doctest/doctest.h>

#include <string>

#include <ldlm/core/devices.hpp>

namespace {

using namespace ldlm;

TEST_CASE("backend_info names the kernels and the threads") {
  const BackendInfo info = backend_info();
  CHECK(info.backend == "simd");
  CHECK_FALSE(info.instruction_set.empty());
  CHECK(info.threads == num_threads());
  const int before = num_threads();
  set_num_threads(3);
  CHECK(backend_info(cpu).threads == 3);
  set_num_threads(before);
  // Either they are the widest, or what is wider is named with a way to it.
  CHECK(info.wider.empty() == info.advice.empty());
  CHECK(info.wider != info.instruction_set);

  const BackendInfo plain = backend_info(reference_cpu);
  CHECK(plain.backend == "reference");
  CHECK(plain.instruction_set.empty());
  CHECK(plain.wider.empty());
  CHECK_THROWS_WITH_AS(static_cast<void>(backend_info(cuda)),
                       "[device] no cuda backend for f32 in this program; link the CMake target "
                       "ldlm::cuda",
                       Error);
}

TEST_CASE("backend_info in a line") {
  BackendInfo info{.backend = "simd", .instruction_set = "avx512", .threads = 1};
  CHECK(to_string(info) == "simd: avx512, 1 thread");
  info = {.backend = "simd",
          .instruction_set = "sse2",
          .threads = 2,
          .wider = "avx512",
          .advice = "link ldlm::ldlm or compile with -march=native"};
  CHECK(to_string(info) ==
        "simd: sse2, 2 threads; this processor has avx512: link ldlm::ldlm or compile with "
        "-march=native");
  CHECK(to_string(BackendInfo{.backend = "reference", .threads = 2}) == "reference: 2 threads");
}

TEST_CASE("a set is there only if the narrower ones are") {
  for (int set = static_cast<int>(InstructionSet::sse4_2);
       set <= static_cast<int>(InstructionSet::avx512); ++set) {
    if (processor_has(InstructionSet(set))) {
      CHECK(processor_has(InstructionSet(set - 1)));
    }
  }
}

}  // namespace

TEST_CASE("devices are told and named") {
  const auto found = ldlm::devices();
  REQUIRE(found.size() == 1);
  CHECK(found[0].device == cpu);
  CHECK(found[0].name == to_string(backend_info(cpu)));
  CHECK(ldlm::device_named("cpu") == cpu);
  CHECK(ldlm::device_named("cuda") == cuda);
  CHECK(ldlm::device_named("cuda:0") == cuda);
  CHECK_THROWS_WITH_AS((void)ldlm::device_named("gpu"),
                       "[device] 'gpu' is none of cpu, cuda and cuda:0", ldlm::ValueError);
  CHECK_THROWS_WITH_AS((void)ldlm::device_info(cuda),
                       "[device] no cuda backend in this program; link the CMake target ldlm::cuda",
                       ldlm::DeviceError);
}
