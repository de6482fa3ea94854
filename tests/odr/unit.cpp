// Compiled twice into one program, for two instruction sets; LDLM_ODR_UNIT names the unit.
#include "unit.hpp"

#include <ldlm/core/tensor.hpp>
#include <ldlm_simd/simd.hpp>

namespace odr {

namespace {

using ldlm::KernelTable;
using ldlm::Tensor;

Results compute() {
  static const KernelTable<float> k =
      ldlm::simd::make_table<float, ldlm::simd::NativeArch>(ldlm::reference::table<float>());
  constexpr std::int64_t rows = 37, columns = 53, inner = 29;  // no multiples of a vector
  const auto a = Tensor<float>::linspace(-2.0F, 3.0F, rows * inner).reshape({rows, inner});
  const auto b = Tensor<float>::linspace(1.5F, -1.0F, inner * columns).reshape({inner, columns});
  const auto ones = Tensor<float>::ones({inner});
  Results results;
  const auto keep = [&](const char* name, const Tensor<float>& out) {
    results.emplace_back(name, out.to_vector());
  };

  const auto y = Tensor<float>::empty(a.shape());
  for (const auto& [name, op] :
       {std::pair("exp", ldlm::UnaryOp::exp), std::pair("tanh", ldlm::UnaryOp::tanh),
        std::pair("erf", ldlm::UnaryOp::erf), std::pair("gelu", ldlm::UnaryOp::gelu)}) {
    k.unary(op, a.view(), y.view(), 0.0F, 0.0F);
    keep(name, y);
  }
  k.binary(ldlm::BinaryOp::mul, a.view(), a.view(), y.view());
  keep("mul", y);
  k.softmax(a.view(), y.view());
  keep("softmax", y);
  k.layer_norm(a.view(), {}, ones.view(), {}, 1e-5F, {}, y.view(), {}, {});
  keep("layer_norm", y);

  const auto sums = Tensor<float>::empty({rows, 1});
  k.reduce(ldlm::ReduceOp::sum, a.view(), sums.view());
  keep("sum", sums);

  const auto c = Tensor<float>::empty({rows, columns});
  k.gemm({.m = rows,
          .n = columns,
          .k = inner,
          .a = a.data(),
          .a_row = inner,
          .a_col = 1,
          .b = b.data(),
          .b_row = columns,
          .b_col = 1,
          .c = c.data(),
          .c_row = columns});
  keep("gemm", c);
  return results;
}

}  // namespace

Unit LDLM_ODR_UNIT() {
  using Arch = ldlm::simd::NativeArch;
  return {ldlm::simd::instruction_set<Arch>(), ldlm::simd::processor_has<Arch>(), compute};
}

}  // namespace odr
