#pragma once
// The device that tests of kernels and models run on.

#include <cstdlib>
#include <string_view>

#include <ldlm/core/device.hpp>

namespace ldlm_test {

/// The CPU, or the card with LDLM_TEST_DEVICE=cuda in the environment.
inline ldlm::Device device_under_test() {
  const char* const name = std::getenv("LDLM_TEST_DEVICE");
  return name != nullptr && std::string_view(name) == "cuda" ? ldlm::cuda : ldlm::cpu;
}

/// With LDLM_TEST_SAMPLE=1, for devices that take long, tests of kernels run a part of their cases.
inline bool takes_sample() {
  const char* const value = std::getenv("LDLM_TEST_SAMPLE");
  return value != nullptr && std::string_view(value) == "1";
}

}  // namespace ldlm_test
