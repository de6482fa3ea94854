#pragma once
// Distances between two sets of vectors, such as those of generated and of real sentences: the
// Frechet distance, and MAUVE.
//
//   const Tensor<float> samples = encoder.encode(texts), real = encoder.encode(held_out);
//   frechet_distance(samples, real);                     // 0 of equal sets
//   Generator generator(1);
//   mauve(samples, real, generator);                     // 1 of equal sets, towards 0
//
// Figures are comparable where vectors are of one encoder and sets of one size.

#include <cstdint>
#include <vector>

#include <ldlm/core/linkage.hpp>
#include <ldlm/core/random.hpp>
#include <ldlm/core/tensor.hpp>

namespace ldlm {

/// Eigenvalues (C), the largest first, and the vectors (C, C) that belong to them, a row each.
struct SymmetricEigen {
  Tensor<double> values, vectors;
};
/// Of a symmetric matrix (C, C) without negative eigenvalues, by one-sided Jacobi rotations
/// (Hestenes, 1958). Vectors of eigenvalues near 0 are unit vectors or 0.
[[nodiscard]] SymmetricEigen symmetric_eigen(const Tensor<double>& matrix);

/// The squared Frechet distance of two normal distributions fitted to rows a (N, C) and b (M, C):
/// |mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)) (Dowson and Landau, 1982). Covariances divide by
/// N - 1. Throws ShapeError unless there are two rows each, of one width.
[[nodiscard]] double frechet_distance(const Tensor<float>& a, const Tensor<float>& b);

struct MauveOptions {
  std::int64_t clusters = 0;      // 0: a tenth of the smaller set, two at least
  double explained = 0.9;         // share of the variance that principal components must keep
  double scale = 5;               // of divergences, see mauve
  std::int64_t restarts = 5;      // of k-means, of which the closest counts
  std::int64_t iterations = 100;  // of k-means, at most

  /// Throws ValueError for an option that is out of range.
  void validate() const;
};

/// MAUVE (Pillutla et al., 2021) of rows p (N, C) and q (M, C): both are normalised, projected to
/// principal components and clustered together; of the two histograms P and Q the area under the
/// curve of (exp(-s KL(Q, R)), exp(-s KL(P, R))) for R = w P + (1 - w) Q. The generator chooses
/// k-means' first centres.
[[nodiscard]] double mauve(const Tensor<float>& p, const Tensor<float>& q, Generator& generator,
                           const MauveOptions& options = {});

/// The last step of it: of two histograms that sum to 1.
[[nodiscard]] double mauve_of_histograms(const std::vector<double>& p, const std::vector<double>& q,
                                         double scale = 5);

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/train/impl/embedding_metrics.hpp>
#endif
