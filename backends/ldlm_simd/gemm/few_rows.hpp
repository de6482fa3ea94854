#pragma once
// Products with few rows, as in decoding: each element of B is used but a few times, so that
// reading B is most of the work. It is read in place, once, never packed.

#include <algorithm>
#include <cstdint>

#include <ldlm_simd/gemm/epilogue.hpp>
#include <ldlm_simd/gemm/few_rows_axpy.hpp>
#include <ldlm_simd/gemm/few_rows_dot.hpp>
#include <ldlm_simd/gemm/int8.hpp>
#include <ldlm_simd/gemm/operands.hpp>
#include <ldlm_simd/gemm/workspace.hpp>
#include <ldlm_simd/thread_pool.hpp>
#include <ldlm_simd/vector.hpp>

namespace ldlm::simd::detail {

/// sums (m, columns) = alpha A B for columns of integers from `first` on, where A may be rounded to
/// such too.
template <WeightFormat Format, class Arch>
void multiply_int8(const Gemm<float>& g, std::int64_t first, std::int64_t columns, float* sums,
                   std::int64_t sum_row, const GemmBlockKey& key) {
  using Int8 = GemmInt8<Format, Arch>;
  GemmWorkspace<float, Arch>& workspace = GemmWorkspace<float, Arch>::local();
  const std::int64_t size = Int8::packed_size(g.k);
  float* const packed = workspace.a.reserve(g.m * size);
  if (workspace.a_key != key) {
    workspace.a_key = key;
    workspace.a_first = workspace.a_last = 0;
    for (std::int64_t i = 0; i < g.m; ++i) {
      Int8::pack(g.a + i * g.a_row, g.a_col, g.k, packed + i * size);
    }
  }
  const auto by_rows = [&]<int R>(std::integral_constant<int, R>) {
    for (std::int64_t i = 0; i < g.m; i += R) {
      const float* rows[R];
      for (int r = 0; r < R; ++r) {
        rows[r] = packed + std::min(i + r, g.m - 1) * size;
      }
      Int8::template multiply<R>(g.b_packed, rows, first, columns, g.alpha, sums + i * sum_row,
                                 sum_row);
    }
  };
  g.m == 1   ? by_rows(std::integral_constant<int, 1>{})
  : g.m == 2 ? by_rows(std::integral_constant<int, 2>{})
             : by_rows(std::integral_constant<int, 4>{});
}

/// alpha A in strips of `height` rows, steps one after the other; a strip of 1 is a plain row.
template <class T, class Arch>
const T* pack_few_rows(const Gemm<T>& g, std::int64_t height, T alpha, const GemmBlockKey& key) {
  GemmWorkspace<T, Arch>& workspace = GemmWorkspace<T, Arch>::local();
  T* const packed = workspace.a.reserve(round_up(g.m, height) * g.k);
  if (workspace.a_key == key) {  // from this thread's task before
    return packed;
  }
  workspace.a_key = key;
  workspace.a_first = workspace.a_last = 0;
  T* to = packed;
  for (std::int64_t strip = 0; strip < g.m; strip += height) {
    for (std::int64_t step = 0; step < g.k; ++step) {
      for (std::int64_t i = strip; i < strip + height; ++i) {
        *to++ = i < g.m ? alpha * g.a[i * g.a_row + step * g.a_col] : T{};
      }
    }
  }
  return packed;
}

/// What the columns of one product have in common.
template <class T>
struct FewRows {
  Gemm<T> g;
  GemmLayout layout;
  GemmBlockKey key;  // of the product and its matrix
};

/// sums (m, columns) = alpha A B for the columns of B from `first` on; rows of sums lie sum_row
/// apart.
template <class T, class Arch>
void few_rows_sums(const FewRows<T>& product, std::int64_t first, std::int64_t columns, T* sums,
                   std::int64_t sum_row) {
  const Gemm<T>& g = product.g;
  const auto by_columns = [&]<int R>(std::integral_constant<int, R>, const auto& column_at) {
    const bool in_place = g.a_col == 1;
    const T* const a = in_place ? g.a : pack_few_rows<T, Arch>(g, 1, T{1}, product.key);
    dot_columns<R, T, Arch>(g, a, in_place ? g.a_row : g.k, column_at, columns, sums, sum_row);
  };
  const auto by_any_columns = [&](const auto& column_at) {
    if (g.m == 1) {
      return by_columns(std::integral_constant<int, 1>{}, column_at);
    }
    if constexpr (has_special_loops<T>) {
      if (g.m == 2) {
        return by_columns(std::integral_constant<int, 2>{}, column_at);
      }
    }
    by_columns(std::integral_constant<int, 4>{}, column_at);
  };
  const T* const b = g.b + first * g.b_col;
  if (product.layout == GemmLayout::weights) {
    if constexpr (std::is_same_v<T, float>) {
      with_format(g.b_packed.format, [&](auto format) {
        if constexpr (compiled_with_vnni<Arch> && group_size(format()) > 0) {
          if (g.allow_int8 && GemmInt8<format(), Arch>::available()) {
            return multiply_int8<format(), Arch>(g, first, columns, sums, sum_row, product.key);
          }
        }
        by_any_columns(
            [&](std::int64_t j) { return column_of<Arch, format()>(g.b_packed, first + j); });
      });
    }
    return;
  }
  if (product.layout == GemmLayout::columns) {
    return by_any_columns([&](std::int64_t j) { return PlainColumn<T, Arch>{b + j * g.b_col}; });
  }
  const auto by_rows = [&]<int R>(std::integral_constant<int, R>) {
    const T* const a = pack_few_rows<T, Arch>(g, R, g.alpha, product.key);
    axpy_rows<R, T, Arch>(g, a, b, columns, sums, sum_row);
  };
  if (g.m == 1) {
    return by_rows(std::integral_constant<int, 1>{});
  }
  if constexpr (has_special_loops<T>) {
    if (g.m == 2) {
      return by_rows(std::integral_constant<int, 2>{});
    }
    // (Up to 12 rows are three strips of 4: of two of 8 the second would be half empty.)
    if (g.m > 4 && (g.m <= 8 || g.m > 12)) {
      return by_rows(std::integral_constant<int, 8>{});
    }
  }
  by_rows(std::integral_constant<int, 4>{});
}

/// The columns [first, last) of a product.
template <class T, class Arch>
void few_rows_columns(const FewRows<T>& product, const FewRowsPlan& plan, std::int64_t first,
                      std::int64_t last) {
  constexpr std::int64_t W = width<T, Arch>;
  const Gemm<T>& g = product.g;
  for (; first < last; first += plan.columns) {
    const std::int64_t columns = std::min(plan.columns, last - first);
    const std::int64_t sum_row = round_up(columns, W) + W;
    T* const sums = GemmWorkspace<T, Arch>::local().sums.reserve((g.m + 8) * sum_row);
    few_rows_sums<T, Arch>(product, first, columns, sums, sum_row);
    finish_block<T, Arch>(g, 0, first, g.m, columns, sums, sum_row, g.beta);
  }
}

/// The whole product in parts of K, added up in their order.
template <class T, class Arch>
void few_rows_in_parts(const FewRows<T>& product, const FewRowsPlan& plan) {
  const Gemm<T>& g = product.g;
  const std::int64_t size = g.m * g.n;
  T* const sums = GemmWorkspace<T, Arch>::local().shared_b.reserve(plan.parts * size);
  parallel_for(0, plan.parts, divide_up(plan.parts, num_threads()),
               [&](std::int64_t lo, std::int64_t hi) {
                 for (std::int64_t part = lo; part < hi; ++part) {
                   FewRows<T> one = product;
                   one.key.batch = part;
                   one.g.a += part * plan.part_k * g.a_col;
                   one.g.b += part * plan.part_k * g.b_row;
                   one.g.k = std::min(plan.part_k, g.k - part * plan.part_k);
                   one.g.c = sums + part * size;
                   one.g.c_row = g.n;
                   one.g.beta = T{0};
                   one.g.bias = one.g.residual = nullptr;
                   one.g.pre_activation = nullptr;
                   one.g.activation = Activation::none;
                   few_rows_columns<T, Arch>(one, plan, 0, g.n);
                 }
               });
  for (std::int64_t part = 1; part < plan.parts; ++part) {
    transform<Arch>(
        size, [](const auto& x, const auto& y) { return x + y; }, sums, sums, sums + part * size);
  }
  finish_block<T, Arch>(g, 0, 0, g.m, g.n, sums, g.n, g.beta);
}

/// Whether a product is made here.
template <class T>
bool has_few_rows(const Gemm<T>& g, GemmLayout layout) {
  return g.m <= few_rows && g.k > 0 && layout != GemmLayout::other;
}

/// All products of a batch; `product` is the number of this call.
template <class T, class Arch>
void multiply_few_rows(const Gemm<T>& g, GemmLayout layout, std::int64_t batches,
                       std::uint64_t product) {
  const GemmSizes sizes{g.m, g.n, g.k, g.c_row, sizeof(T)};
  const FewRowsPlan plan = plan_few_rows(sizes, layout, g.b_row, width<T, Arch>, cache_sizes());
  if constexpr (has_special_loops<T>) {
    if (batches == 1 && plan.parts > 1) {
      return few_rows_in_parts<T, Arch>({matrix_of_batch<T, Arch>(g, 0), layout, {product, 0, 0}},
                                        plan);
    }
  }
  const std::int64_t units = divide_up(g.n, plan.unit);
  std::int64_t grain = plan.grain;
  if (plan.long_pieces) {
    grain = std::max(grain, divide_up(batches * units, num_threads()));
  }
  parallel_for(0, batches * units, grain, [&](std::int64_t lo, std::int64_t hi) {
    for (std::int64_t at = lo; at < hi;) {
      const std::int64_t batch = at / units;
      const std::int64_t end = std::min(hi, (batch + 1) * units);
      few_rows_columns<T, Arch>({matrix_of_batch<T, Arch>(g, batch), layout, {product, batch, 0}},
                                plan, (at - batch * units) * plan.unit,
                                std::min(g.n, (end - batch * units) * plan.unit));
      at = end;
    }
  });
}

}  // namespace ldlm::simd::detail
