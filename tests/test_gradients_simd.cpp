// Gradients with the SIMD backend, over extents that fill vectors and leave rests: the functions
// whose backward passes work in place, or write into parts of a packed gradient.

#include <ldlm_simd/simd.hpp>

#include "gradcheck.hpp"

using namespace ldlm;
using IdTensor = Tensor<std::int64_t>;

TEST_CASE("this program computes with the SIMD backend") {
  CHECK(kernels<double>(cpu).name != std::string("reference"));
  CHECK(kernels<double>(reference_cpu).name == std::string("reference"));
}

TEST_CASE("SIMD gradients of elementwise functions in place") {
  for (const Shape& shape : {Shape{37}, {3, 17}, {5, 1}}) {
    gradcheck::check("chain", {shape}, [](const auto& in) {
      Generator generator(1);
      const auto x = gelu(silu(tanh(in[0] * 2) + relu(in[0])) - 0.3F);
      return dropout(gelu_tanh(sigmoid(x) / (square(x) + 1)), 0.3F, generator) * in[0];
    });
  }
}

TEST_CASE("SIMD gradients of a pre-norm transformer layer, packed heads, tied embedding") {
  constexpr std::int64_t B = 2, T = 5, H = 2, D = 9, C = H * D, V = 19;
  const IdTensor ids = IdTensor::from_values({B, T}, {0, 3, 18, 3, 7, 1, 1, 0, 5, 4});
  const IdTensor targets = IdTensor::from_values({B * T}, {3, 18, 3, 7, -100, 1, 0, 5, 4, 2});
  gradcheck::check(
      "layer", {{V, C}, {C}, {3 * C, C}, {3 * C}, {C, C}, {2 * C, C}, {2 * C}, {2 * C, C}},
      {-0.5, 0.5}, [&](const auto& in) {
        const auto heads = [&](const auto& x) { return x.reshape({B, T, H, D}).transpose(1, 2); };
        const auto x = embedding(in[0], ids);
        const auto qkv = split(linear(layer_norm(x, in[1], {}), in[2], in[3]), C, -1);
        const auto y =
            scaled_dot_product_attention(heads(qkv[0]), heads(qkv[1]), heads(qkv[2]), {{}, true});
        const auto merged = linear(y.transpose(1, 2).reshape({B, T, C}), in[4]);
        const auto h = add_layer_norm(merged, x, in[1], {});
        // The second matrix as GPT-2 stores it, transposed.
        const auto wide = linear(h.normalized, in[5], in[6], Activation::gelu);
        const auto out = h.sum + linear(wide, in[7].transpose(0, 1));
        const auto rows = out.reshape({B * T, C});
        return cross_entropy(linear(rows, in[0]), targets) +
               linear_cross_entropy(rows, in[0], targets);
      });
}

TEST_CASE("SIMD gradients of norms, softmax and reductions along odd rows") {
  gradcheck::check("rows", {{3, 21}, {21}}, [](const auto& in) {
    const auto p = softmax(in[0]) * log_softmax(in[0]) * rms_norm(in[0], in[1]);
    return sum(p, 1) + max(in[0], 1) * norm(in[0], 1) + var(in[0], 1);
  });
  gradcheck::check("columns", {{21, 3}}, [](const auto& in) {
    return mean(softmax(in[0], 0) * in[0], 0) + min(in[0], 0);
  });
}
