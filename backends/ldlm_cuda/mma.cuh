#pragma once
// Products of a warp on tensor cores: D (16, 8) += A (16, 8 words) B (8 words, 8), with sums of
// float. A word is a register: two factors of bf16 that are neighbours along k, the lower one in
// its lower half, or one of tf32, a float without the last 13 bits of its mantissa.
//
// Of lane 4g + t:
//   a[0]: row g, word t       a[1]: row g + 8, word t       b[0]: word t, column g
//   a[2]: row g, word t + 4   a[3]: row g + 8, word t + 4   b[1]: word t + 4, column g
//   d[0], d[1]: row g, columns 2t, 2t + 1                   d[2], d[3]: row g + 8
// (PTX ISA, the fragments of mma.m16n8k16 of .bf16 and of mma.m16n8k8 of .tf32.)
//
// And what brings their factors: copies to shared memory that do not wait, and matrices from there.

#include <bit>

#include <ldlm/core/dtype.hpp>
#include <ldlm_cuda/launch.cuh>

namespace ldlm::cuda_backend {

/// Four matrices of 8 rows of 4 words from shared memory; lane 8 m + r names row r of matrix m,
/// aligned to 16 bytes. Of lane 4g + t, out[m] is row g, word t of matrix m; or if `transposed`, of
/// its transpose, as a matrix of 8 x 8 bf16. (PTX ISA, ldmatrix.)
template <bool transposed>
__device__ void load_matrices(unsigned (&out)[4], const void* row) {
#ifdef LDLM_CUDA_EMULATED
  cuda_emulator::load_matrices(out, row, transposed);
#else
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  if constexpr (transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(address)
                 : "memory");
  }
#endif
}

/// Starts a copy of 16 bytes from global to shared memory, or writes zeros if not `there`. It is
/// done, for this thread, when wait_copies() says so. Both addresses are aligned to 16 bytes.
__device__ inline void copy_async(void* to, const void* from, bool there) {
#ifdef LDLM_CUDA_EMULATED
  cuda_emulator::copy_async(to, from, there ? 16 : 0, {__FILE__, __LINE__});
#else
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                   static_cast<unsigned>(__cvta_generic_to_shared(to))),
               "l"(from), "r"(there ? 16 : 0)
               : "memory");
#endif
}
/// The copies since the last call are a group.
__device__ inline void commit_copies() {
#ifdef LDLM_CUDA_EMULATED
  cuda_emulator::commit_copies();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
/// Waits until no more than so many groups are under way: the last ones.
template <int groups_left>
__device__ void wait_copies() {
#ifdef LDLM_CUDA_EMULATED
  cuda_emulator::wait_copies(groups_left);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(groups_left) : "memory");
#endif
}

struct Bf16Factors {
  static constexpr int per_word = 2;

  /// Each is rounded to the nearest bf16.
  __device__ static unsigned pack(const float (&values)[2]) {
#ifdef LDLM_CUDA_EMULATED
    return unsigned{bf16(values[0]).bits} | unsigned{bf16(values[1]).bits} << 16;
#else
    unsigned word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(values[1]), "f"(values[0]));
    return word;
#endif
  }
  __device__ static void multiply(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#ifdef LDLM_CUDA_EMULATED
    cuda_emulator::mma_m16n8(d, a, b, 2);
#else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
  }
};

struct Tf32Factors {
  static constexpr int per_word = 1;

  /// Rounded to the nearest, halves away from zero.
  __device__ static unsigned pack(const float (&values)[1]) {
#ifdef LDLM_CUDA_EMULATED
    const auto bits = std::bit_cast<unsigned>(values[0]);
    const bool finite = (bits & 0x7f800000U) != 0x7f800000U;
    return (finite ? bits + 0x1000U : bits) & 0xffffe000U;
#else
    unsigned word;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(word) : "f"(values[0]));
    return word;
#endif
  }
  __device__ static void multiply(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#ifdef LDLM_CUDA_EMULATED
    cuda_emulator::mma_m16n8(d, a, b, 1);
#else
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
  }
};

}  // namespace ldlm::cuda_backend
