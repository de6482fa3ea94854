#pragma once
// Bodies of latent_diffusion/linear_denoiser.hpp.

#include <cmath>
#include <vector>

#include <ldlm/core/ops/matrix.hpp>
#include <ldlm/core/ops/reduce.hpp>
#include <ldlm/latent_diffusion/linear_denoiser.hpp>

namespace ldlm {

LDLM_BODY Cholesky::Cholesky(const Tensor<double>& a) : lower_(a.clone()) {
  LDLM_CHECK_SHAPE(a.rank() == 2 && a.size(0) == a.size(1), "cholesky",
                   "needs a square matrix, got ", to_string(a.shape()));
  const std::int64_t n = a.size(0);
  for (std::int64_t j = 0; j < n; ++j) {
    double* const row_j = lower_.data() + j * n;
    for (std::int64_t i = 0; i < j; ++i) {
      const double* const row_i = lower_.data() + i * n;
      row_j[i] = (row_j[i] - dot(row_j, row_i, i)) / row_i[i];
    }
    const double pivot = row_j[j] - dot(row_j, row_j, j);
    LDLM_CHECK(pivot > 0.0, "cholesky", "the matrix is not positive definite: pivot ", j, " is ",
               pivot);
    row_j[j] = std::sqrt(pivot);
  }
}

LDLM_BODY void Cholesky::solve_rows_(const Tensor<double>& rows) const {
  const std::int64_t n = lower_.size(0);
  LDLM_CHECK_SHAPE(rows.rank() == 2 && rows.size(1) == n && rows.is_contiguous(), "cholesky",
                   "right-hand sides ", to_string(rows.shape()), " do not fit a matrix of ", n);
  for (std::int64_t r = 0; r < rows.size(0); ++r) {
    double* const x = rows.data() + r * n;
    for (std::int64_t i = 0; i < n; ++i) {
      const double* const row = lower_.data() + i * n;
      x[i] = (x[i] - dot(row, x, i)) / row[i];
    }
    for (std::int64_t i = n - 1; i >= 0; --i) {  // L^T by columns of L^T: rows of L
      const double* const row = lower_.data() + i * n;
      x[i] /= row[i];
      for (std::int64_t k = 0; k < i; ++k) {
        x[k] -= row[k] * x[i];
      }
    }
  }
}

LDLM_BODY double Cholesky::dot(const double* x, const double* y, std::int64_t n) {
  constexpr std::int64_t lanes = 16;
  double partial[lanes] = {};
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (std::int64_t k = 0; k < lanes; ++k) {
      partial[k] += x[i + k] * y[i + k];
    }
  }
  double total = 0.0;
  for (const double value : partial) {
    total += value;
  }
  for (; i < n; ++i) {
    total += x[i] * y[i];
  }
  return total;
}

LDLM_BODY LinearDenoiser::LinearDenoiser(std::int64_t dimension)
    : sum_(Tensor<double>::zeros({dimension})),
      products_(Tensor<double>::zeros({dimension, dimension})) {}

LDLM_BODY Tensor<double> LinearDenoiser::mean() const {
  LDLM_CHECK(count_ > 1, "linear_denoiser", "needs at least two latents, has ", count_);
  return mul(sum_, 1.0 / static_cast<double>(count_));
}

}  // namespace ldlm
