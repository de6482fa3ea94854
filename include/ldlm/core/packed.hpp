#pragma once
// PackedMatrix: a weight laid out beforehand for products, in fewer bits or as the floats that it
// was. Products with few bits read a half, a quarter or an eighth of the memory, which is what the
// time of generating text goes into; with f32 they are those of the plain weight, only faster.
//
//   auto w = ldlm::pack(weight, ldlm::WeightFormat::int8);   // weight (N, K)
//   auto y = ldlm::linear(x, w);                             // (..., K) -> (..., N)

#include <algorithm>
#include <cmath>
#include <utility>

#include <ldlm/core/ops/index.hpp>
#include <ldlm/core/ops/matrix.hpp>
#include <ldlm/core/weight_format.hpp>

namespace ldlm {

/// A matrix (n, k) in a format. Copies share the memory.
struct PackedMatrix {
  WeightFormat format = WeightFormat::bf16;
  std::int64_t n = 0, k = 0;
  Tensor<std::uint8_t> data{};  // (rows_stored, bytes_per_row)
  Tensor<bf16> scales{};        // (n, groups_per_row)

  [[nodiscard]] PackedView view() const { return {format, n, k, data.data(), scales.data()}; }
  [[nodiscard]] Device device() const { return data.device("packed"); }
  [[nodiscard]] PackedMatrix to(Device target) const {
    return {format, n, k, data.to(target), scales.to(target)};
  }
  /// Bytes of elements and scales.
  [[nodiscard]] std::int64_t bytes() const { return data.numel() + 2 * scales.numel(); }
};

/// The matrix (N, K) in a format. Throws for one that is not on the CPU or, unless the format is
/// exact, has an element that is not finite. `name`, if any, is how errors call it.
inline PackedMatrix pack(const Tensor<float>& weight, WeightFormat format,
                         std::string_view name = {}) {
  const std::string_view colon = name.empty() ? "" : ": ";
  LDLM_CHECK_SHAPE(weight.rank() == 2, "pack", name, colon, "needs a matrix, got ",
                   to_string(weight.shape()));
  LDLM_CHECK_DEVICE(weight.device() == cpu, "pack", name, colon, "the matrix is on ",
                    weight.device(), "; move it to the CPU first");
  const std::int64_t n = weight.size(0);
  const std::int64_t k = weight.size(1);
  PackedMatrix out{format, n, k,
                   Tensor<std::uint8_t>::zeros({rows_stored(format, n), bytes_per_row(format, k)}),
                   Tensor<bf16>::empty({n, groups_per_row(format, k)})};
  const Tensor<float> rows = weight.contiguous();
  detail::visit_format(format, [&](auto description) {
    using Format = decltype(description);
    constexpr std::int64_t group = detail::group_of<Format>;
    bf16* scale = out.scales.data();
    for (std::int64_t i = 0; i < n; ++i) {
      const float* const x = rows.data() + i * k;
      LDLM_CHECK(
          Format::exact || std::all_of(x, x + k, [](float value) { return std::isfinite(value); }),
          "pack", name, colon, "row ", i, " has an element that is not finite");
      for (std::int64_t j = 0; j < k; j += group) {
        Format::encode(x + j, std::min(group, k - j),
                       out.data.data() + detail::group_offset<Format>(i, j / group, k), scale);
        scale += Format::group > 0 ? 1 : 0;
      }
    }
  });
  return out;
}

/// The matrix (N, K) that a packed one stands for, on the CPU.
inline Tensor<float> unpack(const PackedMatrix& packed) {
  const PackedMatrix matrix = packed.to(cpu);
  Tensor<float> out = Tensor<float>::empty({matrix.n, matrix.k});
  const PackedView view = matrix.view();
  for (std::int64_t i = 0; i < matrix.n; ++i) {
    for (std::int64_t j = 0; j < matrix.k; ++j) {
      out.data()[i * matrix.k + j] = element(view, i, j);
    }
  }
  return out;
}

inline Tensor<float> fused_linear(const Tensor<float>& x, const PackedMatrix& weight,
                                  const LinearEpilogue<float>& epilogue);

namespace detail {

/// Rows of a packed table on a device: the chosen rows are a packed matrix R of their own, and the
/// product of the identity with it is R transposed, exactly.
inline Tensor<float> packed_rows_on_device(const PackedMatrix& table,
                                           const Tensor<std::int64_t>& ids, const Shape& shape) {
  LDLM_CHECK(rows_stored(table.format, table.n) == table.n && table.format != WeightFormat::f32,
             "embedding", "tables packed as ", name_of(table.format), " are for the CPU");
  const Tensor<std::int64_t> flat = ids.reshape({-1});
  const PackedMatrix rows{table.format, flat.numel(), table.k, index_select(table.data, 0, flat),
                          index_select(table.scales, 0, flat)};
  const Device device = table.device();
  Tensor<float> identity = Tensor<float>::zeros({table.k, table.k}, device);
  const Tensor<float> diagonal(identity.storage(), Layout({table.k}, {table.k + 1}, 0));
  diagonal.fill_(1);
  return fused_linear(identity, rows, {}).transpose(0, 1).reshape(shape);
}

}  // namespace detail

/// Rows `ids` (...) of a packed table (N, K): (..., K). Throws for an id outside [0, N).
inline Tensor<float> embedding(const PackedMatrix& table, const Tensor<std::int64_t>& ids) {
  Shape shape = ids.shape();
  shape.push_back(table.k);
  if (!is_host_memory(table.device())) {
    return detail::packed_rows_on_device(table, ids, shape);
  }
  Tensor<float> out = Tensor<float>::empty(shape);
  const Tensor<std::int64_t> flat = ids.contiguous();
  const PackedView view = table.view();
  for (std::int64_t i = 0; i < ids.numel(); ++i) {
    const std::int64_t row = flat.data()[i];
    LDLM_CHECK_INDEX(row >= 0 && row < table.n, "embedding", "index ", row, " is outside [0, ",
                     table.n, ')');
    for (std::int64_t j = 0; j < table.k; ++j) {
      out.data()[i * table.k + j] = element(view, row, j);
    }
  }
  return out;
}

/// act(x W^T + bias) + residual with a packed W (N, K). x (..., K), result (..., N). Where the
/// processor is faster so, x is rounded too: to bf16 if it has many rows and the format is not
/// exact, to 8 bits in groups of 32 if it has few and the weights are int8 or int4.
inline Tensor<float> fused_linear(const Tensor<float>& x, const PackedMatrix& weight,
                                  const LinearEpilogue<float>& epilogue) {
  detail::common_device("linear", x, weight.data);
  return detail::linear(x, {weight.n, weight.k}, epilogue, [&](Gemm<float>& args) {
    args.b_packed = weight.view();
    // The weights have lost more already.
    args.allow_bf16 = args.allow_bf16 || !is_exact(weight.format);
    args.allow_int8 = true;
  });
}
/// The same without a residual, as linear() of a plain weight.
inline Tensor<float> linear(const Tensor<float>& x, const PackedMatrix& weight,
                            const Tensor<float>& bias = {},
                            Activation activation = Activation::none) {
  return fused_linear(x, weight, {.bias = bias, .activation = activation});
}

}  // namespace ldlm
