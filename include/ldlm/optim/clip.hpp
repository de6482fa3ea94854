#pragma once
// Clipping gradients by their common norm (Pascanu et al., 2013).

#include <algorithm>
#include <cmath>
#include <vector>

#include <ldlm/autograd/variable.hpp>
#include <ldlm/core/ops/reduce.hpp>

namespace ldlm {

/// Euclidean norm of all gradients together; parameters without one count nothing.
template <Floating T>
[[nodiscard]] double grad_norm(const std::vector<Variable<T>>& parameters) {
  double squares = 0;
  for (const Variable<T>& parameter : parameters) {
    if (parameter.grad().defined()) {
      const auto part = static_cast<double>(norm(parameter.grad()).item());
      squares += part * part;
    }
  }
  return std::sqrt(squares);
}

namespace detail {
inline double clip_factor_as(std::string_view op, double norm, double max_norm) {
  LDLM_CHECK(std::isfinite(norm), op, "the norm of the gradients is ", norm);
  LDLM_CHECK(max_norm > 0, op, "the largest norm must be positive, got ", max_norm);
  return std::min(1.0, max_norm / (norm + 1e-6));
}
}  // namespace detail

/// What to multiply the gradients by so that their norm is at most max_norm: the argument of an
/// optimiser's step. Throws on a norm that is infinite or NaN, which no factor mends.
[[nodiscard]] inline double clip_factor(double norm, double max_norm) {
  return detail::clip_factor_as("clip_factor", norm, max_norm);
}

/// Scales the gradients in place, if need be, and returns their norm before that.
template <Floating T>
double clip_grad_norm_(const std::vector<Variable<T>>& parameters, double max_norm) {
  const double norm = grad_norm(parameters);
  const double factor = detail::clip_factor_as("clip_grad_norm_", norm, max_norm);
  if (factor < 1) {
    for (const Variable<T>& parameter : parameters) {
      if (parameter.grad().defined()) {
        mul_(parameter.grad(), static_cast<T>(factor));
      }
    }
  }
  return norm;
}

}  // namespace ldlm
