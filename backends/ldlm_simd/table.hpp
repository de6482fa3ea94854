#pragma once
// The SIMD kernels as tables. They lie over a base table, which supplies what they lack; a unit
// that is compiled for a special instruction set takes the base from elsewhere, so that nothing
// but code templated on Arch comes from it.

#include <ldlm/core/registry.hpp>
#include <ldlm_simd/attention.hpp>
#include <ldlm_simd/attention_backward.hpp>
#include <ldlm_simd/elementwise.hpp>
#include <ldlm_simd/gemm.hpp>
#include <ldlm_simd/index.hpp>
#include <ldlm_simd/loss.hpp>
#include <ldlm_simd/optim.hpp>
#include <ldlm_simd/random.hpp>

namespace ldlm::simd {

/// Whether the running processor has the instructions of Arch.
template <class Arch>
bool processor_has() {
#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
  const auto needs = []<class Part>(std::type_identity<Part>) {
    return std::is_base_of_v<Part, Arch>;
  };
  const auto has = [&](auto part, bool there) { return !needs(part) || there; };
  return has(std::type_identity<xsimd::sse4_2>{}, __builtin_cpu_supports("sse4.2")) &&
         has(std::type_identity<xsimd::avx>{}, __builtin_cpu_supports("avx")) &&
         has(std::type_identity<xsimd::avx2>{}, __builtin_cpu_supports("avx2")) &&
         has(std::type_identity<xsimd::fma3<xsimd::avx2>>{}, __builtin_cpu_supports("fma")) &&
         has(std::type_identity<xsimd::avx512f>{}, __builtin_cpu_supports("avx512f")) &&
         has(std::type_identity<xsimd::avx512cd>{}, __builtin_cpu_supports("avx512cd")) &&
         has(std::type_identity<xsimd::avx512dq>{}, __builtin_cpu_supports("avx512dq")) &&
         has(std::type_identity<xsimd::avx512bw>{}, __builtin_cpu_supports("avx512bw"));
#else
  return true;  // NEON and the like are part of their architecture
#endif
}

/// `base` with every kernel replaced for which there is a vector one.
template <class T, class Arch>
KernelTable<T> make_table(const KernelTable<T>& base) {
  KernelTable<T> t = base;
  t.name = Arch::name();
  t.copy = copy<T, Arch>;
  t.gather_rows = gather_rows<T, Arch>;
  if constexpr (Floating<T>) {
    t.gemm = gemm<T, Arch>;
    t.fill = fill<T, Arch>;
    t.unary = unary<T, Arch>;
    t.unary_backward = unary_backward<T, Arch>;
    t.binary = binary<T, Arch>;
    t.compare = compare<T, Arch>;
    t.where = where<T, Arch>;
    t.axpy = axpy<T, Arch>;
    t.reduce = reduce<T, Arch>;
    t.arg_reduce = arg_reduce<T, Arch>;
    t.softmax = softmax<T, Arch>;
    t.softmax_backward = softmax_backward<T, Arch>;
    t.log_softmax = log_softmax<T, Arch>;
    t.log_softmax_backward = log_softmax_backward<T, Arch>;
    t.layer_norm = layer_norm<T, Arch>;
    t.layer_norm_backward = layer_norm_backward<T, Arch>;
    t.rms_norm = rms_norm<T, Arch>;
    t.rms_norm_backward = rms_norm_backward<T, Arch>;
    t.attention = attention<T, Arch>;
    t.attention_backward = attention_backward<T, Arch>;
    t.scatter_add_rows = scatter_add_rows<T, Arch>;
    t.gather = gather<T, Arch>;
    t.cross_entropy = cross_entropy<T, Arch>;
    t.cross_entropy_backward = cross_entropy_backward<T, Arch>;
    t.uniform = uniform<T, Arch>;
    t.normal = normal<T, Arch>;
    t.bernoulli = bernoulli<T, Arch>;
    t.dropout = dropout<T, Arch>;
    t.adam = adam<T, Arch>;
  }
  return t;
}

/// Registers the tables of all element types for the CPU, if the processor has the instructions.
/// `base` returns the base table for a std::type_identity<T>.
template <class Arch, class Base>
bool register_tables(const Base& base) {
  if (!processor_has<Arch>()) {
    return false;
  }
  constexpr DType types[] = {DType::f64, DType::f32, DType::f16,    DType::bf16, DType::i64,
                             DType::i32, DType::i16, DType::i8,     DType::u64,  DType::u32,
                             DType::u16, DType::u8,  DType::boolean};
  for (const DType type : types) {
    visit_dtype(type, [&]<class T>(std::type_identity<T> element) {
      static const KernelTable<T> table = make_table<T, Arch>(base(element));
      register_kernels(DeviceType::cpu, table, 1 + static_cast<int>(Arch::version()));
    });
  }
  return true;
}

}  // namespace ldlm::simd
