#pragma once
// What each unit of the mixed-flags test offers: its instruction set, and results of kernels that
// were compiled for it.

#include <string>
#include <utility>
#include <vector>
#include <ldlm/core/instruction_set.hpp>

namespace odr {

/// Names of kernels with their results, in a fixed order.
using Results = std::vector<std::pair<std::string, std::vector<float>>>;

struct Unit {
  ldlm::InstructionSet isa;
  bool runs;             // the processor has it
  Results (*compute)();  // with this unit's kernels, whatever the registry holds
};

Unit portable();
Unit wide();

}  // namespace odr
