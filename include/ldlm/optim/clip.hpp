#pragma once
// Clipping gradients by their common norm (Pascanu et al., 2013).

#include <algorithm>
#include <cmath>
#include <vector>

#include <ldlm/autograd/variable.hpp>
#include <ldlm/core/ops/reduce.hpp>
#include <ldlm/core/ops/shape.hpp>

namespace ldlm {

/// Euclidean norm of all gradients together; parameters without one count nothing.
template <Floating T>
[[nodiscard]] double grad_norm(const std::vector<Variable<T>>& parameters) {
  using C = ComputeType<T>;
  std::vector<Tensor<C>> norms;
  for (const Variable<T>& parameter : parameters) {
    if (parameter.grad().defined()) {
      norms.push_back(norm(cast<C>(parameter.grad())));
    }
  }
  double squares = 0;
  const auto add = [&squares](C part) {
    squares += static_cast<double>(part) * static_cast<double>(part);
  };
  if (!norms.empty() && !is_host_memory(norms.front().device())) {
    const std::vector<C> parts = stack(norms).to_vector();  // waits once for all
    std::for_each(parts.begin(), parts.end(), add);
  } else {
    std::for_each(norms.begin(), norms.end(), [&](const Tensor<C>& part) { add(part.item()); });
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
        mul_(parameter.grad(), factor);
      }
    }
  }
  return norm;
}

}  // namespace ldlm
