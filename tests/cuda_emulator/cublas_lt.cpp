// The stand-in for cuBLASLt: one product, D = alpha op(A) op(B) + beta C (+ bias), column-major, as
// its descriptors say, by one emulated thread.

#include <cublasLt.h>

#include <bit>
#include <cstring>

#include <ldlm/core/dtype.hpp>

#include "machine.hpp"

struct cublasLtContext {};
struct cublasLtMatmulDescOpaque {
  cublasComputeType_t compute;
  cublasOperation_t a = CUBLAS_OP_N, b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
};
struct cublasLtMatrixLayoutOpaque {
  cudaDataType_t type;
  std::int64_t rows, columns, pitch;
  std::int32_t batches = 1;
  std::int64_t step = 0;
};
struct cublasLtMatmulPreferenceOpaque {
  std::uint64_t workspace = 0;
  std::uint32_t alignment[4] = {256, 256, 256, 256};
};

namespace {

std::int64_t size_of(cudaDataType_t type) {
  return type == CUDA_R_16BF ? 2 : type == CUDA_R_32F ? 4 : 8;
}

template <class T>
cublasStatus_t read(T& to, const void* value, std::size_t bytes) {
  if (value == nullptr || bytes != sizeof to) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  std::memcpy(&to, value, sizeof to);
  return CUBLAS_STATUS_SUCCESS;
}

/// Whether the documentation allows a product of these.
cublasStatus_t check(const cublasLtMatmulDescOpaque& desc, const cublasLtMatrixLayoutOpaque& a,
                     const cublasLtMatrixLayoutOpaque& b, const cublasLtMatrixLayoutOpaque& c,
                     const cublasLtMatrixLayoutOpaque& d) {
  const bool plain = desc.compute == CUBLAS_COMPUTE_32F;
  if (a.type != b.type || a.type != c.type || a.type != d.type || a.type == CUDA_R_64F ||
      (a.type == CUDA_R_16BF && !plain)) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  for (const auto* layout : {&a, &b, &c, &d}) {
    if (layout->pitch < layout->rows || layout->rows <= 0 || layout->columns <= 0 ||
        layout->batches != d.batches) {
      return CUBLAS_STATUS_INVALID_VALUE;
    }
  }
  const bool a_turned = desc.a == CUBLAS_OP_T;
  const bool b_turned = desc.b == CUBLAS_OP_T;
  const bool fits = (a_turned ? a.columns : a.rows) == d.rows &&
                    (b_turned ? b.rows : b.columns) == d.columns &&
                    (a_turned ? a.rows : a.columns) == (b_turned ? b.columns : b.rows) &&
                    c.rows == d.rows && c.columns == d.columns;
  const bool has_bias = desc.epilogue == CUBLASLT_EPILOGUE_BIAS;
  return fits && has_bias == (desc.bias != nullptr) ? CUBLAS_STATUS_SUCCESS
                                                    : CUBLAS_STATUS_INVALID_VALUE;
}

float factor(cublasComputeType_t compute, float x) {
  if (compute == CUBLAS_COMPUTE_32F_FAST_16BF) {
    return ldlm::bf16(x);
  }
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const bool finite = (bits & 0x7f800000U) != 0x7f800000U;
  return compute == CUBLAS_COMPUTE_32F_FAST_TF32 && finite
             ? std::bit_cast<float>((bits + 0x1000U) & 0xffffe000U)
             : x;
}

template <class T>
void multiply(const cublasLtMatmulDescOpaque& desc, float alpha, const T* a,
              const cublasLtMatrixLayoutOpaque& a_layout, const T* b,
              const cublasLtMatrixLayoutOpaque& b_layout, float beta, const T* c,
              const cublasLtMatrixLayoutOpaque& c_layout, T* d,
              const cublasLtMatrixLayoutOpaque& d_layout) {
  const std::int64_t depth = desc.a == CUBLAS_OP_T ? a_layout.rows : a_layout.columns;
  const std::int64_t a_row = desc.a == CUBLAS_OP_T ? a_layout.pitch : 1;
  const std::int64_t a_step = desc.a == CUBLAS_OP_T ? 1 : a_layout.pitch;
  const std::int64_t b_column = desc.b == CUBLAS_OP_T ? 1 : b_layout.pitch;
  const std::int64_t b_step = desc.b == CUBLAS_OP_T ? b_layout.pitch : 1;
  for (std::int64_t batch = 0; batch < d_layout.batches; ++batch) {
    for (std::int64_t j = 0; j < d_layout.columns; ++j) {
      for (std::int64_t i = 0; i < d_layout.rows; ++i) {
        const T* x = a + batch * a_layout.step + i * a_row;
        const T* y = b + batch * b_layout.step + j * b_column;
        float sum = 0;
        for (std::int64_t k = 0; k < depth; ++k, x += a_step, y += b_step) {
          sum += factor(desc.compute, *x) * factor(desc.compute, *y);
        }
        float value = alpha * sum;
        if (beta != 0) {
          value += beta * float{c[batch * c_layout.step + j * c_layout.pitch + i]};
        }
        if (desc.bias != nullptr) {
          value += float{static_cast<const T*>(desc.bias)[i]};
        }
        d[batch * d_layout.step + j * d_layout.pitch + i] = T(value);
      }
    }
  }
}

}  // namespace

const char* cublasLtGetStatusName(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS         ? "CUBLAS_STATUS_SUCCESS"
         : status == CUBLAS_STATUS_INVALID_VALUE ? "CUBLAS_STATUS_INVALID_VALUE"
         : status == CUBLAS_STATUS_NOT_SUPPORTED ? "CUBLAS_STATUS_NOT_SUPPORTED"
                                                 : "CUBLAS_STATUS_NOT_INITIALIZED";
}
const char* cublasLtGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS ? "success" : "the emulated library refuses this";
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  static cublasLtContext context;
  *handle = &context;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  if (scale != CUDA_R_32F) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  *desc = new cublasLtMatmulDescOpaque{compute};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
  delete desc;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, std::size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return read(desc->a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return read(desc->b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return read(desc->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return read(desc->bias, value, bytes);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType_t type,
                                          std::uint64_t rows, std::uint64_t columns,
                                          std::int64_t pitch) {
  *layout = new cublasLtMatrixLayoutOpaque{type, static_cast<std::int64_t>(rows),
                                           static_cast<std::int64_t>(columns), pitch};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete layout;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void* value, std::size_t bytes) {
  return attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT ? read(layout->batches, value, bytes)
                                                         : read(layout->step, value, bytes);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = new cublasLtMatmulPreferenceOpaque;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, std::size_t bytes) {
  if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) {
    return read(preference->workspace, value, bytes);
  }
  return read(preference->alignment[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value,
              bytes);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t /*handle*/,
                                              cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                              cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t* results,
                                              int* count) {
  *count = 0;
  if (const cublasStatus_t status = check(*desc, *a, *b, *c, *d);
      status != CUBLAS_STATUS_SUCCESS || wanted < 1) {
    return status;
  }
  // The algorithm says which alignments it was chosen for.
  results[0] = {};
  results[0].state = CUBLAS_STATUS_SUCCESS;
  for (int i = 0; i < 4; ++i) {
    results[0].algo.data[i] = preference->alignment[i];
  }
  results[0].workspaceSize = preference->workspace;
  results[0].algo.data[4] = preference->workspace;
  *count = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void* beta, const void* c,
                              cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo,
                              void* workspace, std::size_t workspace_bytes, cudaStream_t stream) {
  if (handle == nullptr || algo == nullptr || workspace_bytes < algo->data[4] ||
      (workspace == nullptr && workspace_bytes > 0)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (const cublasStatus_t status = check(*desc, *a_layout, *b_layout, *c_layout, *d_layout);
      status != CUBLAS_STATUS_SUCCESS) {
    return status;
  }
  const void* const matrices[] = {a, b, c, d};
  const cublasLtMatrixLayout_t layouts[] = {a_layout, b_layout, c_layout, d_layout};
  for (std::size_t i = 0; i < 4; ++i) {
    std::uint64_t begins = reinterpret_cast<std::uint64_t>(matrices[i]);
    if (layouts[i]->batches > 1) {
      begins |= static_cast<std::uint64_t>(layouts[i]->step * size_of(layouts[i]->type));
    }
    if (begins % algo->data[i] != 0) {
      return CUBLAS_STATUS_NOT_SUPPORTED;  // the algorithm was asked for with other alignments
    }
  }
  const float alpha_value = *static_cast<const float*>(alpha);
  const float beta_value = *static_cast<const float*>(beta);
  const auto run = [&]<class T>(T) {
    cuda_emulator::launch(
        nullptr, "cublasLtMatmul", dim3(1), dim3(1), 0, stream,
        [=, of = *desc, of_a = *a_layout, of_b = *b_layout, of_c = *c_layout, of_d = *d_layout] {
          multiply(of, alpha_value, static_cast<const T*>(a), of_a, static_cast<const T*>(b), of_b,
                   beta_value, static_cast<const T*>(c), of_c, static_cast<T*>(d), of_d);
        });
  };
  d_layout->type == CUDA_R_16BF ? run(ldlm::bf16{}) : run(0.0F);
  return CUBLAS_STATUS_SUCCESS;
}
