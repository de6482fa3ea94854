#pragma once
// What kernels are told to compute. A value that is added to one of these enumerations needs a case
// in visit_op.hpp, which does not compile without, and in every backend.

#include <cstdint>

namespace ldlm {

// clang-format off
/// The elementwise functions of one argument, X(name, saved): `saved` is what their backward pass is
/// made of. An entry here is a value of UnaryOp and a function of Tensors and of Variables.
#define LDLM_UNARY_FUNCTIONS(X)                                                                   \
  X(abs, input)                                                                                   \
  /* e^x. A value below 2^-125.5 (1.7e-38) of floats, or 2^-1021.5 (3.1e-308) of doubles, may be  \
     0, as in all functions that need one: sigmoid, silu, softmax, attention. */                  \
  X(exp, output)                                                                                  \
  X(log, input)                                                                                   \
  X(sqrt, output)                                                                                 \
  X(rsqrt, output)                                                                                \
  X(square, input)                                                                                \
  X(reciprocal, output)                                                                           \
  X(sin, input)                                                                                   \
  X(cos, input)                                                                                   \
  X(tanh, output)                                                                                 \
  X(sigmoid, output)                                                                              \
  X(erf, input)                                                                                   \
  X(relu, output)                                                                                 \
  /* x * sigmoid(x) */                                                                            \
  X(silu, input)                                                                                  \
  /* x * Phi(x), by erf */                                                                        \
  X(gelu, input)                                                                                  \
  /* 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), GPT-2's approximation */                  \
  X(gelu_tanh, input)
// clang-format on

/// Elementwise functions of one argument; a and b are parameters of those that have any.
enum class UnaryOp : std::uint8_t {
  neg,
#define LDLM_VALUE(name, saved) name,
  LDLM_UNARY_FUNCTIONS(LDLM_VALUE)
#undef LDLM_VALUE
      add_scalar,  // x + a
  mul_scalar,      // x * a
  pow_scalar,      // x ^ a
  clamp,           // min(max(x, a), b); NaN stays NaN
};

enum class BinaryOp : std::uint8_t { add, sub, mul, div, pow, minimum, maximum };
enum class CompareOp : std::uint8_t { eq, ne, lt, le, gt, ge };
enum class ReduceOp : std::uint8_t { sum, sum_squares, max, min };

/// Fused into the store of a GEMM.
enum class Activation : std::uint8_t { none, relu, silu, gelu, gelu_tanh };

}  // namespace ldlm
