#pragma once
// What kernels are told to compute. A value that is added to one of these enumerations needs a case
// in visit_op.hpp, which does not compile without, and in every backend.

#include <cstdint>

namespace ldlm {

/// Elementwise functions of one argument; a and b are parameters of those that have any.
enum class UnaryOp : std::uint8_t {
  neg,
  abs,
  exp,
  log,
  sqrt,
  rsqrt,
  square,
  reciprocal,
  sin,
  cos,
  tanh,
  sigmoid,
  erf,
  relu,
  silu,
  gelu,        // x * Phi(x), by erf
  gelu_tanh,   // GPT-2's approximation
  add_scalar,  // x + a
  mul_scalar,  // x * a
  pow_scalar,  // x ^ a
  clamp,       // min(max(x, a), b); NaN stays NaN
};

enum class BinaryOp : std::uint8_t { add, sub, mul, div, pow, minimum, maximum };
enum class CompareOp : std::uint8_t { eq, ne, lt, le, gt, ge };
enum class ReduceOp : std::uint8_t { sum, sum_squares, max, min };

/// Fused into the store of a GEMM.
enum class Activation : std::uint8_t { none, relu, silu, gelu, gelu_tanh };

}  // namespace ldlm
