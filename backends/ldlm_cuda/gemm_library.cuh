#pragma once
// Products by cuBLASLt. LDLM_CUDA_BLAS=own in the environment leaves them all to the kernels of
// this backend.

#include <ldlm/core/kernel_table.hpp>

namespace ldlm::cuda_backend {

/// Hands the product to cuBLASLt, with what of its epilogue means the same there. False if that
/// cannot express it, or if it is of few rows, columns or steps.
template <class T>
bool multiply_by_library(const Gemm<T>& args);

}  // namespace ldlm::cuda_backend
