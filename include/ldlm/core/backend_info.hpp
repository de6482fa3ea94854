#pragma once
// backend_info: which kernels serve a device, and whether the processor has better to offer.

#include <cstdlib>
#include <string>

#include <ldlm/core/instruction_set.hpp>
#include <ldlm/core/registry.hpp>
#include <ldlm/core/threads.hpp>

namespace ldlm {

struct BackendInfo {
  std::string backend{};          // "simd", or "reference": plain loops, many times slower
  std::string instruction_set{};  // "sse2", "avx2", "avx512", ...; empty for plain loops
  int threads = 1;                // that a kernel may use: num_threads()
  std::string wider{};            // a wider set that the processor has, or empty
  std::string advice{};           // how to use that one, or empty
};

/// The kernels that compute tensors of floats on a device. A program that is compiled for any
/// x86-64 processor, and does not link ldlm::ldlm, has kernels for SSE2 alone, a tenth as fast as
/// those for AVX-512. Throws Error if the device has no kernels.
inline BackendInfo backend_info(Device device = cpu) {
  const KernelTable<float>& table = kernels<float>(device);
  BackendInfo info{.backend = table.name, .threads = num_threads()};
  if (table.instruction_set != InstructionSet::none) {
    info.instruction_set = name_of(table.instruction_set);
  }
  if (device != cpu) {
    return info;
  }
  InstructionSet widest = InstructionSet::none;
  for (auto set = static_cast<int>(InstructionSet::sse2);
       set <= static_cast<int>(InstructionSet::avx512); ++set) {
    widest = processor_has(InstructionSet(set)) ? InstructionSet(set) : widest;
  }
  if (widest > table.instruction_set) {
    const char* const set = std::getenv("LDLM_ISA");
    const std::string held = set == nullptr ? "" : set;
    info.wider = name_of(widest);
    info.advice = held.empty() ? "link ldlm::ldlm or compile with -march=native"
                               : "LDLM_ISA=" + held + " holds it back";
  }
  return info;
}

/// In a line, such as "simd: sse2, 2 threads; this processor has avx512: link ldlm::ldlm or
/// compile with -march=native".
inline std::string to_string(const BackendInfo& info) {
  std::string text = info.backend + ": ";
  if (!info.instruction_set.empty()) {
    text += info.instruction_set + ", ";
  }
  text += std::to_string(info.threads) + (info.threads == 1 ? " thread" : " threads");
  if (!info.wider.empty()) {
    text += "; this processor has " + info.wider + ": " + info.advice;
  }
  return text;
}

}  // namespace ldlm
