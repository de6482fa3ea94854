#pragma once
// QuantizedMatrix: a weight laid out for inference, in few bits or as the floats that it was.
// Products with few bits read a half, a quarter or an eighth of the memory, which is what the time
// of generating text goes into; with f32 they are those of the plain weight, only faster.
//
//   auto w = ldlm::quantize(weight, ldlm::QuantizedFormat::int8);   // weight (N, K)
//   auto y = ldlm::linear(x, w);                                    // (..., K) -> (..., N)

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include <ldlm/core/ops/matrix.hpp>
#include <ldlm/core/quantized_view.hpp>

namespace ldlm {

/// A matrix (n, k) in one of the formats of core/quantized_view.hpp. Copies share the memory.
struct QuantizedMatrix {
  QuantizedFormat format = QuantizedFormat::bf16;
  std::int64_t n = 0, k = 0;
  Tensor<std::uint8_t> data{};  // (rows_stored, bytes_per_row)
  Tensor<bf16> scales{};        // (n, groups_per_row)

  [[nodiscard]] QuantizedView view() const { return {format, n, k, data.data(), scales.data()}; }
  /// Bytes of elements and scales.
  [[nodiscard]] std::int64_t bytes() const { return data.numel() + 2 * scales.numel(); }
};

namespace detail {

/// x to the nearest integer in [least, most], halves to even.
inline float round_between(float x, int least, int most) {
  constexpr float ulp_is_one = 12582912.0F;  // 1.5 * 2^23
  x = std::clamp(x, static_cast<float>(least), static_cast<float>(most));
  return (x + ulp_is_one) - ulp_is_one;
}

/// The scale of a group x of `count` elements, for integers in [least, most]; q receives them.
///
/// The range is one longer below zero, so the largest element should lie there. Of 8 bits, the
/// scale that just reaches it is as good as any. Of 4 bits, scales near it are tried: with the
/// integers q that one gives, the least squared error is had by the scale (x . q) / (q . q), and is
/// lower by (x . q)^2 / (q . q) than with all zeros.
inline bf16 choose_scale(const float* x, std::int64_t count, int least, int most, int* q) {
  float largest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    largest = std::abs(x[i]) > std::abs(largest) ? x[i] : largest;
  }
  constexpr float smallest = std::numeric_limits<float>::min();  // whose inverse is finite
  float best = largest / static_cast<float>(least);
  if (most < 16 && std::abs(largest) >= smallest) {
    const float unit = 1 / largest;
    float most_gained = 0;
    for (int i = -5; i <= 18; ++i) {
      const float steps = static_cast<float>(least) + 0.12F * static_cast<float>(i);
      float xq = 0, qq = 0;
      for (std::int64_t j = 0; j < count; ++j) {
        const float y = x[j] * unit;
        const float rounded = round_between(y * steps, least, most);
        xq += y * rounded;
        qq += rounded * rounded;
      }
      if (xq * xq > most_gained * qq) {
        most_gained = xq * xq / qq;
        best = xq / qq * largest;
      }
    }
  }
  const bf16 scale(best);
  const float step = scale;
  const float inverse = std::abs(step) >= smallest ? 1 / step : 0;
  for (std::int64_t i = 0; i < count; ++i) {
    q[i] = static_cast<int>(round_between(x[i] * inverse, least, most));
  }
  return scale;
}

}  // namespace detail

/// The matrix (N, K) in another format. Throws for one that is not on the CPU or, but for f32, has
/// an element that is not finite.
inline QuantizedMatrix quantize(const Tensor<float>& weight, QuantizedFormat format) {
  LDLM_CHECK_SHAPE(weight.rank() == 2, "quantize", "needs a matrix, got ",
                   to_string(weight.shape()));
  LDLM_CHECK_DEVICE(weight.device() == cpu, "quantize", "the matrix is on ", weight.device(),
                    "; move it to the CPU first");
  if (format > QuantizedFormat::int4) {
    detail::fail_unknown("QuantizedFormat", format);
  }
  QuantizedMatrix out;
  out.format = format;
  out.n = weight.size(0);
  out.k = weight.size(1);
  out.data =
      Tensor<std::uint8_t>::zeros({rows_stored(format, out.n), bytes_per_row(format, out.k)});
  out.scales = Tensor<bf16>::empty({out.n, groups_per_row(format, out.k)});
  const Tensor<float> rows = weight.contiguous();
  if (format == QuantizedFormat::f32) {
    float* to = reinterpret_cast<float*>(out.data.data());
    for (std::int64_t panel = 0; panel < out.n; panel += panel_rows) {
      const std::int64_t count = std::min(panel_rows, out.n - panel);
      for (std::int64_t j = 0; j < out.k; ++j, to += panel_rows) {
        for (std::int64_t i = 0; i < count; ++i) {
          to[i] = rows.data()[(panel + i) * out.k + j];
        }
      }
    }
    return out;
  }
  const std::int64_t group = std::max<std::int64_t>(1, group_size(format));
  std::array<int, 128> q{};
  for (std::int64_t i = 0; i < out.n; ++i) {
    const float* const x = rows.data() + i * out.k;
    LDLM_CHECK(std::all_of(x, x + out.k, [](float value) { return std::isfinite(value); }),
               "quantize", "row ", i, " has an element that is not finite");
    std::uint8_t* const to = out.data.data() + i * bytes_per_row(format, out.k);
    bf16* const scales = out.scales.data() + i * groups_per_row(format, out.k);
    for (std::int64_t j = 0; j < out.k; j += group) {
      const std::int64_t count = std::min(group, out.k - j);
      switch (format) {
        case QuantizedFormat::f32:  // above
          break;
        case QuantizedFormat::bf16: {
          const bf16 value(x[j]);
          to[2 * j] = static_cast<std::uint8_t>(value.bits & 255);
          to[2 * j + 1] = static_cast<std::uint8_t>(value.bits >> 8);
          break;
        }
        case QuantizedFormat::int8:
          scales[j / group] = detail::choose_scale(x + j, count, -127, 127, q.data());
          for (std::int64_t l = 0; l < count; ++l) {
            to[j + l] = static_cast<std::uint8_t>(q[static_cast<std::size_t>(l)]);
          }
          break;
        case QuantizedFormat::int4:
          std::fill(q.begin(), q.end(), 0);
          scales[j / group] = detail::choose_scale(x + j, count, -8, 7, q.data());
          for (std::size_t l = 0; l < 16; ++l) {
            to[j / 2 + static_cast<std::int64_t>(l)] =
                static_cast<std::uint8_t>((q[l] + 8) | ((q[l + 16] + 8) << 4));
          }
          break;
      }
    }
  }
  return out;
}

/// The matrix (N, K) that a quantized one stands for.
inline Tensor<float> dequantize(const QuantizedMatrix& matrix) {
  Tensor<float> out = Tensor<float>::empty({matrix.n, matrix.k});
  const QuantizedView view = matrix.view();
  for (std::int64_t i = 0; i < matrix.n; ++i) {
    for (std::int64_t j = 0; j < matrix.k; ++j) {
      out.data()[i * matrix.k + j] = element(view, i, j);
    }
  }
  return out;
}

/// Rows `ids` (...) of a quantized matrix, as an embedding: (..., K). Throws for an id outside
/// [0, N).
inline Tensor<float> quantized_rows(const QuantizedMatrix& matrix,
                                    const Tensor<std::int64_t>& ids) {
  Shape shape = ids.shape();
  shape.push_back(matrix.k);
  Tensor<float> out = Tensor<float>::empty(shape);
  const Tensor<std::int64_t> flat = ids.contiguous();
  const QuantizedView view = matrix.view();
  for (std::int64_t i = 0; i < ids.numel(); ++i) {
    const std::int64_t row = flat.data()[i];
    LDLM_CHECK_INDEX(row >= 0 && row < matrix.n, "quantized_rows", "index ", row,
                     " is outside [0, ", matrix.n, ')');
    for (std::int64_t j = 0; j < matrix.k; ++j) {
      out.data()[i * matrix.k + j] = element(view, row, j);
    }
  }
  return out;
}

/// act(x W^T + bias) + residual with a quantized W (N, K). x (..., K), result (..., N). Where the
/// processor is faster so, x is rounded too: to bf16 if it has many rows, to 8 bits in groups of 32
/// if it has few and the weights are int8 or int4.
inline Tensor<float> fused_linear(const Tensor<float>& x, const QuantizedMatrix& weight,
                                  const LinearEpilogue<float>& epilogue) {
  return detail::linear(x, {weight.n, weight.k}, epilogue, [&](Gemm<float>& args) {
    args.b_quantized = weight.view();
    // The weights have lost more already.
    args.allow_bf16 = args.allow_bf16 || weight.format != QuantizedFormat::f32;
    args.allow_int8 = true;
  });
}
/// The same without a residual, as linear() of a plain weight.
inline Tensor<float> linear(const Tensor<float>& x, const QuantizedMatrix& weight,
                            const Tensor<float>& bias = {},
                            Activation activation = Activation::none) {
  return fused_linear(x, weight, {.bias = bias, .activation = activation});
}

}  // namespace ldlm
