#pragma once
// The best linear denoiser (Wiener filter): the baseline that any denoising network must beat.
//
// For z_t = a z_0 + s eps with z_0 of mean m and covariance S, the linear estimate of least squared
// error is m + a S (a^2 S + s^2 I)^-1 (z_t - a m) (Wiener, 1949).

#include <cmath>
#include <vector>

#include <ldlm/core/linkage.hpp>
#include <ldlm/core/ops/matrix.hpp>
#include <ldlm/core/ops/reduce.hpp>

namespace ldlm {

/// Solves A x = b for several right-hand sides with A symmetric and positive definite.
class Cholesky {
 public:
  /// A (D, D). Throws when A is not positive definite.
  explicit Cholesky(const Tensor<double>& a);

  /// Overwrites each row b of (N, D) with A^-1 b.
  void solve_rows_(const Tensor<double>& rows) const;

 private:
  // Sixteen partial sums in a fixed order, which the compiler can keep in vector registers.
  static double dot(const double* x, const double* y, std::int64_t n);

  Tensor<double> lower_;
};

/// Mean and covariance of latents, gathered in batches, and the linear denoiser they define. It
/// computes on the CPU, wherever the latents are.
class LinearDenoiser {
 public:
  /// `dimension` numbers per latent.
  explicit LinearDenoiser(std::int64_t dimension);

  /// Adds latents (B, ...) to the statistics.
  template <Floating T>
  void observe(const Tensor<T>& latents) {
    const Tensor<double> rows = flat_rows(latents);
    add_(sum_, sum(rows, 0));
    matmul_into(rows.transpose(0, 1), rows, products_, 1.0, 1.0);
    count_ += rows.size(0);
  }

  [[nodiscard]] std::int64_t count() const { return count_; }
  /// Mean latent (D).
  [[nodiscard]] Tensor<double> mean() const;

  /// The least-squares linear estimates of z_0 for z_t (B, ...), all at one noise level.
  template <Floating T>
  Tensor<T> denoise(const Tensor<T>& zt, double alpha_bar) const {
    LDLM_CHECK(alpha_bar > 0.0 && alpha_bar < 1.0, "linear_denoiser",
               "abar must lie in (0, 1), got ", alpha_bar);
    const Tensor<double> centre = mean();
    const std::int64_t d = centre.numel();
    Tensor<double> covariance = mul(products_, 1.0 / static_cast<double>(count_));
    matmul_into(centre.reshape({d, 1}), centre.reshape({1, d}), covariance, -1.0, 1.0);

    Tensor<double> system = mul(covariance, alpha_bar);
    for (std::int64_t i = 0; i < d; ++i) {
      system.data()[i * d + i] += 1.0 - alpha_bar;
    }
    const double a = std::sqrt(alpha_bar);
    Tensor<double> rows = sub(flat_rows(zt), mul(centre, a));
    Cholesky(system).solve_rows_(rows);
    Tensor<double> estimate = mul(matmul(rows, covariance), a);
    add_(estimate, centre);
    return cast<T>(estimate).reshape(zt.shape()).to(zt.device());
  }

 private:
  template <Floating T>
  [[nodiscard]] Tensor<double> flat_rows(const Tensor<T>& latents) const {
    LDLM_CHECK_SHAPE(latents.rank() >= 1 && latents.numel() == latents.size(0) * sum_.numel(),
                     "linear_denoiser", "latents ", to_string(latents.shape()), " do not have ",
                     sum_.numel(), " numbers each");
    return cast<double>(latents.to(cpu).reshape({latents.size(0), sum_.numel()}));
  }

  Tensor<double> sum_;
  Tensor<double> products_;
  std::int64_t count_ = 0;
};

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/latent_diffusion/impl/linear_denoiser.hpp>
#endif
