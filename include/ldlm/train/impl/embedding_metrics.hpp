#pragma once
// Bodies of train/embedding_metrics.hpp.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include <ldlm/core/ops.hpp>
#include <ldlm/train/embedding_metrics.hpp>

namespace ldlm {

LDLM_BODY void MauveOptions::validate() const {
  LDLM_CHECK(clusters == 0 || clusters >= 2, "mauve", "needs two clusters at least, got ",
             clusters);
  LDLM_CHECK(explained > 0 && explained <= 1, "mauve", "explained must lie in (0, 1], got ",
             explained);
  LDLM_CHECK(scale > 0 && std::isfinite(scale), "mauve", "scale must be a positive number, got ",
             scale);
  LDLM_CHECK(restarts > 0 && iterations > 0, "mauve",
             "restarts and iterations must be positive, got ", restarts, " and ", iterations);
}

LDLM_BODY SymmetricEigen symmetric_eigen(const Tensor<double>& matrix) {
  LDLM_CHECK_STATE(matrix.defined(), "symmetric_eigen", "the matrix is undefined");
  LDLM_CHECK_SHAPE(matrix.rank() == 2 && matrix.size(0) == matrix.size(1), "symmetric_eigen",
                   "needs a square matrix, got ", to_string(matrix.shape()));
  const std::int64_t n = matrix.size(0);
  // Rotations of rows until they are orthogonal: they are then eigenvectors times eigenvalues.
  const Tensor<double> rows = matrix.to(cpu).clone();
  const auto row = [&](std::int64_t i) {
    return std::span<double>(rows.data() + i * n, static_cast<std::size_t>(n));
  };
  const auto dot = [](std::span<const double> a, std::span<const double> b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  };
  constexpr double small = 1e-12;
  constexpr int most_sweeps = 60;
  double largest = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    largest = std::max(largest, dot(row(i), row(i)));
  }
  bool rotated = true;
  for (int sweep = 0; rotated && sweep < most_sweeps; ++sweep) {
    rotated = false;
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = i + 1; j < n; ++j) {
        const auto a = row(i);
        const auto b = row(j);
        const double aa = dot(a, a);
        const double bb = dot(b, b);
        const double ab = dot(a, b);
        if (std::abs(ab) <= small * std::sqrt(aa * bb) || std::abs(ab) <= 1e-30 * largest) {
          continue;
        }
        rotated = true;
        const double zeta = (bb - aa) / (2 * ab);
        const double t = std::copysign(1.0, zeta) / (std::abs(zeta) + std::sqrt(1 + zeta * zeta));
        const double c = 1 / std::sqrt(1 + t * t);
        const double s = c * t;
        for (std::size_t k = 0; k < a.size(); ++k) {
          const double left = a[k];
          a[k] = c * left - s * b[k];
          b[k] = s * left + c * b[k];
        }
      }
    }
  }
  LDLM_CHECK(!rotated, "symmetric_eigen", "no eigenvalues found: is an element no number?");
  std::vector<double> lengths;
  for (std::int64_t i = 0; i < n; ++i) {
    lengths.push_back(std::sqrt(dot(row(i), row(i))));
  }
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    const double x = lengths[static_cast<std::size_t>(a)];
    const double y = lengths[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  });
  SymmetricEigen out{Tensor<double>::empty({n}), Tensor<double>::zeros({n, n})};
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t from = order[static_cast<std::size_t>(i)];
    const double length = lengths[static_cast<std::size_t>(from)];
    out.values.data()[i] = length;
    for (std::int64_t k = 0; length > 0 && k < n; ++k) {
      out.vectors.data()[i * n + k] = row(from)[static_cast<std::size_t>(k)] / length;
    }
  }
  return out;
}

}  // namespace ldlm

namespace ldlm::detail {

struct Moments {
  Tensor<double> mean, covariance;  // (1, C), (C, C)
};
LDLM_BODY Moments moments_of(const Tensor<double>& rows) {
  const Tensor<double> mean = ldlm::mean(rows, 0, true);
  const Tensor<double> centred = rows - mean;
  return {mean, matmul(centred.transpose(0, 1), centred) / static_cast<double>(rows.size(0) - 1)};
}

LDLM_BODY void check_sets(std::string_view op, const Tensor<float>& a, const Tensor<float>& b) {
  LDLM_CHECK_STATE(a.defined() && b.defined(), op, "a set of vectors is undefined");
  LDLM_CHECK_SHAPE(a.rank() == 2 && b.rank() == 2 && a.size(1) == b.size(1) && a.size(0) > 1 &&
                       b.size(0) > 1 && a.size(1) > 0,
                   op, "needs two rows at least of each set, (N, C) and (M, C), got ",
                   to_string(a.shape()), " and ", to_string(b.shape()));
  for (const Tensor<float>& set : {a, b}) {
    LDLM_CHECK(std::isfinite(max(abs(set)).item()), op, "an element is no finite number");
  }
}

/// One run of k-means (Lloyd, 1957) from centres that k-means++ chooses (Arthur and Vassilvitskii,
/// 2007).
struct Clusters {
  std::vector<std::int64_t> of_row;
  double squares = 0;  // of the distances to the centres
};
LDLM_BODY Clusters find_clusters(const Tensor<double>& rows, std::int64_t count,
                                 std::int64_t iterations, Generator& generator) {
  const std::int64_t n = rows.size(0);
  const std::int64_t width = rows.size(1);
  const Tensor<double> centres = Tensor<double>::empty({count, width});
  const auto take = [&](std::int64_t centre, std::int64_t row) {
    centres.select(0, centre).copy_(rows.select(0, row));
  };
  take(0, generator.below(n));
  std::vector<double> nearest(static_cast<std::size_t>(n), std::numeric_limits<double>::infinity());
  for (std::int64_t c = 1; c < count; ++c) {
    const std::vector<double> squares =
        sum(square(rows - centres.slice(0, c - 1, c)), 1).to_vector();
    double total = 0;
    for (std::size_t i = 0; i < nearest.size(); ++i) {
      nearest[i] = std::min(nearest[i], squares[i]);
      total += nearest[i];
    }
    double left = generator.uniform() * total;
    std::int64_t chosen = n - 1;
    for (std::int64_t i = 0; i < n; ++i) {
      left -= nearest[static_cast<std::size_t>(i)];
      if (left < 0) {
        chosen = i;
        break;
      }
    }
    take(c, chosen);
  }
  const Tensor<double> lengths = sum(square(rows), 1, true);
  Clusters out;
  for (std::int64_t iteration = 0; iteration <= iterations; ++iteration) {
    const Tensor<double> distances =
        lengths - matmul(rows, centres.transpose(0, 1)) * 2 + sum(square(centres), 1).unsqueeze(0);
    std::vector<std::int64_t> of_row = argmin(distances, 1).to_vector();
    out.squares = sum(min(distances, 1)).item();
    const bool settled = of_row == out.of_row;
    out.of_row = std::move(of_row);
    if (settled || iteration == iterations) {
      break;
    }
    const Tensor<double> sums = Tensor<double>::zeros({count, width});
    const Tensor<double> sizes = Tensor<double>::zeros({count, 1});
    const auto ids = Tensor<std::int64_t>::from_values({n}, out.of_row);
    index_add_(sums, ids, rows);
    index_add_(sizes, ids, Tensor<double>::ones({n, 1}));
    // A cluster that lost its rows stays where it was.
    centres.copy_(where(gt(sizes, 0), sums / maximum(sizes, Tensor<double>::scalar(1)), centres));
  }
  return out;
}

/// Sum of p log(p / r) over the classes that p has.
LDLM_BODY double divergence(const std::vector<double>& p, const std::vector<double>& r) {
  double out = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    out += p[i] > 0 ? p[i] * std::log(p[i] / r[i]) : 0.0;
  }
  return out;
}

/// The area under points, by trapezoids along the first coordinate.
LDLM_BODY double area_under(std::vector<std::pair<double, double>> points) {
  std::sort(points.begin(), points.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : a.second > b.second;
  });
  double out = 0;
  for (std::size_t i = 1; i < points.size(); ++i) {
    out += (points[i].first - points[i - 1].first) * (points[i].second + points[i - 1].second) / 2;
  }
  return out;
}

}  // namespace ldlm::detail

namespace ldlm {

LDLM_BODY double frechet_distance(const Tensor<float>& a, const Tensor<float>& b) {
  detail::check_sets("frechet_distance", a, b);
  const detail::Moments left = detail::moments_of(cast<double>(a.to(cpu)));
  const detail::Moments right = detail::moments_of(cast<double>(b.to(cpu)));
  // tr (A B)^(1/2) is the sum of the roots of the eigenvalues of A^(1/2) B A^(1/2).
  const SymmetricEigen eigen = symmetric_eigen(left.covariance);
  const Tensor<double> root =
      matmul(eigen.vectors.transpose(0, 1) * sqrt(eigen.values), eigen.vectors);
  const Tensor<double> between =
      symmetric_eigen(matmul(matmul(root, right.covariance), root)).values;
  const auto trace = [](const Tensor<double>& matrix) {
    double out = 0;
    for (std::int64_t i = 0; i < matrix.size(0); ++i) {
      out += matrix.at({i, i});
    }
    return out;
  };
  return sum(square(left.mean - right.mean)).item() + trace(left.covariance) +
         trace(right.covariance) - 2 * sum(sqrt(between)).item();
}

LDLM_BODY double mauve_of_histograms(const std::vector<double>& p, const std::vector<double>& q,
                                     double scale) {
  LDLM_CHECK(p.size() == q.size() && !p.empty(), "mauve", "histograms of ", p.size(), " and ",
             q.size(), " classes");
  constexpr int weights = 25;
  constexpr double margin = 1e-6;
  std::vector<std::pair<double, double>> curve{{1, 0}, {0, 1}};
  for (int i = 0; i < weights; ++i) {
    const double w = margin + (1 - 2 * margin) * i / (weights - 1);
    std::vector<double> mixture;
    for (std::size_t k = 0; k < p.size(); ++k) {
      mixture.push_back(w * p[k] + (1 - w) * q[k]);
    }
    curve.emplace_back(std::exp(-scale * detail::divergence(q, mixture)),
                       std::exp(-scale * detail::divergence(p, mixture)));
  }
  std::vector<std::pair<double, double>> turned = curve;
  for (auto& [x, y] : turned) {
    std::swap(x, y);
  }
  return (detail::area_under(curve) + detail::area_under(turned)) / 2;
}

LDLM_BODY double mauve(const Tensor<float>& p, const Tensor<float>& q, Generator& generator,
                       const MauveOptions& options) {
  options.validate();
  detail::check_sets("mauve", p, q);
  const std::int64_t smaller = std::min(p.size(0), q.size(0));
  const std::int64_t clusters =
      options.clusters > 0 ? options.clusters : std::max<std::int64_t>(2, (smaller + 5) / 10);
  LDLM_CHECK(clusters <= p.size(0) + q.size(0), "mauve", clusters, " clusters of ",
             p.size(0) + q.size(0), " rows");
  Tensor<double> rows = cast<double>(concat({p.to(cpu), q.to(cpu)}, 0));
  rows = rows / maximum(norm(rows, 1, true), Tensor<double>::scalar(1e-12));
  const detail::Moments moments = detail::moments_of(rows);
  const SymmetricEigen eigen = symmetric_eigen(moments.covariance);
  const double wanted = options.explained * sum(eigen.values).item();
  std::int64_t kept = 0;
  for (double covered = 0; kept < eigen.values.numel() && (kept == 0 || covered < wanted); ++kept) {
    covered += eigen.values.at({kept});
  }
  rows = matmul(rows - moments.mean, eigen.vectors.slice(0, 0, kept).transpose(0, 1));
  detail::Clusters best;
  for (std::int64_t i = 0; i < options.restarts; ++i) {
    detail::Clusters found = detail::find_clusters(rows, clusters, options.iterations, generator);
    if (i == 0 || found.squares < best.squares) {
      best = std::move(found);
    }
  }
  std::vector<double> of_p(static_cast<std::size_t>(clusters));
  std::vector<double> of_q(of_p.size());
  for (std::size_t i = 0; i < best.of_row.size(); ++i) {
    const bool is_p = static_cast<std::int64_t>(i) < p.size(0);
    (is_p ? of_p : of_q)[static_cast<std::size_t>(best.of_row[i])] +=
        1.0 / static_cast<double>(is_p ? p.size(0) : q.size(0));
  }
  return mauve_of_histograms(of_p, of_q, options.scale);
}

}  // namespace ldlm
