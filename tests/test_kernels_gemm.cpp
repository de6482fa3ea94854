#include <array>

#include <ldlm/core/kernel_table.hpp>

#include "kernel_harness.hpp"

// Matrix products of every device against the reference: strides, batches, epilogues.

using namespace ldlm;
using namespace ldlm::test;

namespace {

struct GemmCase {
  std::int64_t m, n, k;
  Shape batch;
  double alpha = 1, beta = 0;
  bool bias = false;
  Activation activation = Activation::none;
  bool pre_activation = false;
  bool residual = false;
};

const std::vector<GemmCase> gemm_cases = {
    {1, 1, 1, {}},
    {1, 40, 33, {}},
    {7, 5, 3, {}},
    {40, 70, 65, {}},
    {16, 200, 300, {}},
    {150, 170, 90, {}},
    {3, 4, 0, {}, 1, 0, true},
    {0, 4, 3, {}},
    {5, 6, 7, {2, 3}},
    {17, 33, 20, {4}, 0.5, 1},
    {40, 32, 40, {2, 1, 3, 2}, 2, -0.5},
    {20, 30, 40, {}, 1, 0, true, Activation::relu},
    {20, 30, 40, {}, 1, 0, true, Activation::gelu, true},
    {33, 65, 17, {3}, 1, 0, true, Activation::gelu_tanh, true, true},
    {9, 31, 8, {}, 1, 1, false, Activation::silu, true, true},
    {1, 100, 50, {}, 1, 0, true, Activation::none, false, true},
    {130, 129, 33, {2}, 0.5, 1, true, Activation::gelu, true, true},
    {1100, 48, 5, {}, 1, 0, true},
    {8, 64, 100, {3}, 1, 0, true, Activation::relu},
};

TEST_CASE("gemm kernels") {
  int number = 0;
  for (const GemmCase& c : gemm_cases) {
    check_kernel("gemm case " + std::to_string(number++), {4e-6, 6e-5},
                 [&]<class T>(const KernelTable<T>& k, Context<T>& t) {
                   const auto with = [&](std::int64_t rows, std::int64_t columns) {
                     Shape shape = c.batch;
                     shape.push_back(rows);
                     shape.push_back(columns);
                     return shape;
                   };
                   const int r = c.batch.rank();
                   const View<const T> a = t.in(with(c.m, c.k));
                   const View<const T> b = t.in(with(c.k, c.n));
                   const View<T> out = t.rows_in_out(with(c.m, c.n));
                   Gemm<T> g;
                   g.m = c.m;
                   g.n = c.n;
                   g.k = c.k;
                   g.alpha = static_cast<ComputeType<T>>(c.alpha);
                   g.beta = static_cast<ComputeType<T>>(c.beta);
                   g.a = a.data;
                   g.a_row = a.stride(r);
                   g.a_col = a.stride(r + 1);
                   g.b = b.data;
                   g.b_row = b.stride(r);
                   g.b_col = b.stride(r + 1);
                   g.c = out.data;
                   g.c_row = out.stride(r);
                   g.batch_rank = r;
                   for (int i = 0; i < r; ++i) {
                     g.batch_shape[i] = c.batch[i];
                     g.a_batch[i] = a.stride(i);
                     g.b_batch[i] = b.stride(i);
                     g.c_batch[i] = out.stride(i);
                   }
                   g.activation = c.activation;
                   if (c.bias) {
                     g.bias = t.plain({c.n}).data;
                   }
                   // These have C's strides, whatever they are.
                   if (c.pre_activation) {
                     g.pre_activation = t.rows_in_out_again(out.shape()).data;
                   }
                   if (c.residual) {
                     g.residual = t.rows_in_out_again(out.shape()).data;
                   }
                   k.gemm(g);
                 });
  }
}

TEST_CASE("gemm kernels of factors that may be rounded") {
  int number = 0;
  for (const auto& [m, n, k] :
       {std::array<std::int64_t, 3>{130, 129, 65}, {64, 300, 40}, {49, 48, 7}, {150, 60, 33}}) {
    // With factors that are bf16 already nothing is lost but in the order of the sums.
    const bool to_bf16 = number % 2 == 0;
    check_kernel("rounded gemm case " + std::to_string(number++), {4e-6, 6e-5, 0, 0.02},
                 [&]<class T>(const KernelTable<T>& table, Context<T>& t) {
                   const auto rounded = [](std::int64_t, T value) {
                     return convert<T>(convert<bf16>(value));
                   };
                   Gemm<T> g;
                   g.m = m;
                   g.n = n;
                   g.k = k;
                   (to_bf16 ? g.allow_bf16 : g.allow_tf32) = true;
                   const View<const T> a = t.made({m, k}, {-1, 1}, rounded);
                   const View<const T> b = t.made({k, n}, {-1, 1}, rounded);
                   const View<T> out = t.rows_in_out({m, n});
                   g.a = a.data;
                   g.a_row = a.stride(0);
                   g.a_col = a.stride(1);
                   g.b = b.data;
                   g.b_row = b.stride(0);
                   g.b_col = b.stride(1);
                   g.beta = 1;
                   g.bias = t.plain({n}).data;
                   g.activation = Activation::gelu;
                   g.c = out.data;
                   g.c_row = out.stride(0);
                   table.gemm(g);
                 });
  }
}

}  // namespace
