#pragma once
// The SIMD kernels as tables. They lie over a base table, which supplies what they lack; a unit
// that is compiled for a special instruction set takes the base from elsewhere, so that nothing
// but code templated on Arch comes from it.

#include <ldlm/core/registry.hpp>
#include <ldlm_simd/attention.hpp>
#include <ldlm_simd/attention_backward.hpp>
#include <ldlm_simd/cast.hpp>
#include <ldlm_simd/elementwise.hpp>
#include <ldlm_simd/gemm/gemm.hpp>
#include <ldlm_simd/index.hpp>
#include <ldlm_simd/isa.hpp>
#include <ldlm_simd/loss.hpp>
#include <ldlm_simd/optim.hpp>
#include <ldlm_simd/random.hpp>
#include <ldlm_simd/rows.hpp>
#include <ldlm_simd/softmax.hpp>
#include <ldlm_simd/top_k.hpp>

namespace ldlm::simd {

/// Whether the running processor has the instructions of Arch.
template <class Arch>
bool processor_has() {
#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
  constexpr bool needs_fma = std::is_base_of_v<xsimd::fma3<xsimd::avx>, Arch> ||
                             std::is_base_of_v<xsimd::fma3<xsimd::sse4_2>, Arch>;
  if (needs_fma && !__builtin_cpu_supports("fma")) {
    return false;
  }
  if (std::is_base_of_v<xsimd::fma4, Arch> && !__builtin_cpu_supports("fma4")) {
    return false;
  }
#endif
  return ldlm::processor_has<Arch>(instruction_set<Arch>());
}

/// `base` with every kernel replaced for which there is a vector one.
template <class T, class Arch>
KernelTable<T> make_table(const KernelTable<T>& base) {
  KernelTable<T> t = base;
  t.name = "simd";
  t.instruction_set = instruction_set<Arch>();
  t.copy = copy<T, Arch>;
  t.cast = cast<T, Arch>;
  t.gather_rows = gather_rows<T, Arch>;
  if constexpr (std::floating_point<T>) {
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
    t.top_k = top_k<T, Arch>;
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

/// Registers the tables of all element types for the CPU, if LDLM_ISA allows their instructions and
/// the processor has them; else the plain loops of the reference may not stand in for them. `base`
/// returns the base table for a std::type_identity<T>.
template <class Arch, class Base>
bool register_tables(const Base& base) {
  const auto refuse = [](int least, const char* reason) {
    visit_dtypes(
        [&]<class T>(std::type_identity<T>) { refuse_kernels<T>(DeviceType::cpu, least, reason); });
    return false;
  };
  if (!isa_is_valid()) {
    return refuse(std::numeric_limits<int>::max(), "LDLM_ISA must be baseline, avx2 or avx512");
  }
  if (!isa_allows<Arch>()) {
    return refuse(1, "this program's kernels need more instructions than LDLM_ISA allows");
  }
  if (!processor_has<Arch>()) {
    return refuse(1, "this program's kernels need instructions that the processor lacks");
  }
  visit_dtypes([&]<class T>(std::type_identity<T> element) {
    static const KernelTable<T> table = make_table<T, Arch>(base(element));
    register_kernels(DeviceType::cpu, table, static_cast<int>(instruction_set<Arch>()));
  });
  return true;
}

}  // namespace ldlm::simd
