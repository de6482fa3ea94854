// Tables with a row for each UnaryOp grow with it, or do not compile: nothing indexes past one.
// expect: every op has a row
#include <array>

#include <ldlm/core/visit_op.hpp>

constexpr std::array rows{
#ifndef LDLM_MUST_FAIL
    ldlm::UnaryOp::clamp,
#endif
    ldlm::UnaryOp::neg,        ldlm::UnaryOp::abs,        ldlm::UnaryOp::exp,
    ldlm::UnaryOp::log,        ldlm::UnaryOp::sqrt,       ldlm::UnaryOp::rsqrt,
    ldlm::UnaryOp::square,     ldlm::UnaryOp::reciprocal, ldlm::UnaryOp::sin,
    ldlm::UnaryOp::cos,        ldlm::UnaryOp::tanh,       ldlm::UnaryOp::sigmoid,
    ldlm::UnaryOp::erf,        ldlm::UnaryOp::relu,       ldlm::UnaryOp::silu,
    ldlm::UnaryOp::gelu,       ldlm::UnaryOp::gelu_tanh,  ldlm::UnaryOp::add_scalar,
    ldlm::UnaryOp::mul_scalar, ldlm::UnaryOp::pow_scalar,
};
static_assert(rows.size() == ldlm::op_count<ldlm::UnaryOp>, "every op has a row");
static_assert(ldlm::all_ops<ldlm::UnaryOp>.back() == ldlm::UnaryOp::clamp);

int main() {}
