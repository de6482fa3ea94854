#pragma once
// Products of a warp on tensor cores: D (16, 8) += A (16, 16) B (16, 8), bf16 factors, float sums.
//
// Of lane 4g + t, a register holds two neighbours along k, the lower one in its lower half:
//   a[0]: row g, k = 2t       a[1]: row g + 8, k = 2t       b[0]: k = 2t, column g
//   a[2]: row g, k = 2t + 8   a[3]: row g + 8, k = 2t + 8   b[1]: k = 2t + 8, column g
//   d[0], d[1]: row g, columns 2t, 2t + 1                   d[2], d[3]: row g + 8
// (PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type".)

#include <ldlm/core/dtype.hpp>
#include <ldlm_cuda/launch.cuh>

namespace ldlm::cuda_backend {

#ifdef LDLM_CUDA_EMULATED

__device__ inline unsigned pack_bf16(float low, float high) {
  return unsigned{bf16(low).bits} | unsigned{bf16(high).bits} << 16;
}
__device__ inline void mma_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  cuda_emulator::mma_m16n8k16(d, a, b);
}

#else

/// Two floats, each rounded to the nearest bf16, in one register.
__device__ inline unsigned pack_bf16(float low, float high) {
  unsigned packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}
__device__ inline void mma_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#endif

}  // namespace ldlm::cuda_backend
