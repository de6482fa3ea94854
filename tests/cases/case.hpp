#pragma once
// A file of cases: programs of a few ops with their inputs and the values that PyTorch gives.
//
// A safetensors file whose metadata's "cases" is a JSON array of objects:
//
// - id: a word.
// - inputs: names; tensor "<id>.<name>" of the file is the value.
// - steps: arrays of four: names of the results, an op of the table (table.hpp), names of the
//   arguments ("" for one that is absent), an object of options.
// - wants: names of results, each with tensor "<id>.<name>:want". ":slack", if it is there, is by
//   how much each element may differ; ":peer" is another right value of each element.
// - throws: if true, the steps must end with an ldlm::Error.
//
// Without a slack values are equal. NaN is only equal to NaN. The sign of zero is counted apart:
// PyTorch's own kernels differ in it.

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include <ldlm/core/device.hpp>

namespace ldlm::test {

struct CaseCounts {
  int run = 0, failed = 0, zeros = 0;  // zeros: cases that differ in the sign of a zero alone
};

/// Runs the cases of a file on a device; `report` gets a line for each failure ("FAIL id: why") and
/// for each case whose zeros have other signs ("ZERO id: where"), and "RUN id" before each case.
CaseCounts run_cases(const std::filesystem::path& path,
                     const std::function<void(std::string_view)>& report, Device device = cpu);

}  // namespace ldlm::test
