#pragma once
// What tests set and read of the emulated runtime.

#include <cstdint>

#include "include/cuda_runtime.h"

namespace cuda_emulator {

/// From now on so many cards are there, or none for `reason`; their compute capability.
void set_devices(int count, cudaError_t reason = cudaErrorNoDevice, int compute_major = 9);
/// Forgets a fault, after which a card needs a new process.
void reset_errors();
/// How often the host has waited for the card.
std::uint64_t synchronizations();
/// How often graphs were launched.
std::uint64_t graph_launches();

}  // namespace cuda_emulator
