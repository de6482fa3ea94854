#pragma once
// Ids in order: the numbers of equal ids side by side, and rising among them.

#include <cstdint>

namespace ldlm::cuda_backend {

/// Writes the numbers 0 .. count - 1, count below 2^31, such that ids[out[i] * step] rises, and the
/// numbers of one id do. `spare` has room for as many; ids lie in [0, bound).
void sort_numbers(const std::int64_t* ids, std::int64_t step, std::int64_t count,
                  std::int64_t bound, int* out, int* spare);

}  // namespace ldlm::cuda_backend
