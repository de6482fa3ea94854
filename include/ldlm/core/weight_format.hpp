#pragma once
// WeightFormat: how a matrix of weights (n, k) is laid out for products, mostly in fewer bits than
// floats have. Each format is described by one struct:
//
//   name              as files and commands spell it
//   exact             whether it holds every float as it is, also those that are not finite
//   in_files          whether models are saved in it
//   panel             rows that lie side by side, element by element; 1: each row by itself
//   group             consecutive elements of a row that share a scale, of which the last group may
//                     have fewer; 0: there are no scales
//   bytes(k)          bytes that k elements of a row take
//   decode(at, j)     element j of the group at `at`, to be multiplied by its scale
//   encode(x, count, at, scale)   writes a group of `count` elements, and its scale if it has one
//
// Without scales a group is one element. A format more is such a struct, its case in visit_format,
// its place in weight_formats and its enumerator in core/packed_view.hpp; the reference kernel then
// multiplies with it, and ldlm_simd/gemm/columns.hpp does not compile until it can.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ldlm/core/enumeration.hpp>
#include <ldlm/core/packed_view.hpp>

namespace ldlm {

/// All of them.
inline constexpr WeightFormat weight_formats[] = {WeightFormat::f32, WeightFormat::bf16,
                                                  WeightFormat::int8, WeightFormat::int4};

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

/// Floats as they were, in panels of 32 rows (the last filled up with zeros) that are transposed:
/// element j of the 32 rows, then their element j + 1, ...
struct F32Format {
  static constexpr std::string_view name = "f32";
  static constexpr bool exact = true, in_files = false;
  static constexpr std::int64_t panel = panel_rows, group = 0;
  static constexpr std::int64_t bytes(std::int64_t k) { return 4 * k; }
  static constexpr float decode(const std::uint8_t* at, std::int64_t /*j*/) {
    return std::bit_cast<float>(at[0] | std::uint32_t{at[1]} << 8 | std::uint32_t{at[2]} << 16 |
                                std::uint32_t{at[3]} << 24);
  }
  static void encode(const float* x, std::int64_t /*count*/, std::uint8_t* at, bf16* /*scale*/) {
    std::memcpy(at, x, sizeof *x);
  }
};

/// The upper 16 bits of a float, rounded; the lower byte first.
struct Bf16Format {
  static constexpr std::string_view name = "bf16";
  static constexpr bool exact = false, in_files = true;
  static constexpr std::int64_t panel = 1, group = 0;
  static constexpr std::int64_t bytes(std::int64_t k) { return 2 * k; }
  static constexpr float decode(const std::uint8_t* at, std::int64_t /*j*/) {
    bf16 value;
    value.bits = static_cast<std::uint16_t>(at[0] | (at[1] << 8));
    return value;
  }
  static void encode(const float* x, std::int64_t /*count*/, std::uint8_t* at, bf16* /*scale*/) {
    const bf16 value(*x);
    at[0] = static_cast<std::uint8_t>(value.bits & 255);
    at[1] = static_cast<std::uint8_t>(value.bits >> 8);
  }
};

/// Quantized: a signed byte q stands for q * scale.
struct Int8Format {
  static constexpr std::string_view name = "int8";
  static constexpr bool exact = false, in_files = true;
  static constexpr std::int64_t panel = 1, group = 128;
  static constexpr std::int64_t bytes(std::int64_t k) { return k; }
  static constexpr float decode(const std::uint8_t* at, std::int64_t j) {
    return static_cast<float>(static_cast<std::int8_t>(at[j]));
  }
  static void encode(const float* x, std::int64_t count, std::uint8_t* at, bf16* scale) {
    int q[group];
    *scale = choose_scale(x, count, -127, 127, q);
    for (std::int64_t j = 0; j < count; ++j) {
      at[j] = static_cast<std::uint8_t>(q[j]);
    }
  }
};

/// Quantized: a nibble q of 0 to 15 stands for (q - 8) * scale. Byte i of a group's 16 holds
/// element i in its lower half and element 16 + i in its upper; a short group takes 16 too.
struct Int4Format {
  static constexpr std::string_view name = "int4";
  static constexpr bool exact = false, in_files = true;
  static constexpr std::int64_t panel = 1, group = 32;
  static constexpr std::int64_t bytes(std::int64_t k) { return (k + group - 1) / group * 16; }
  static constexpr float decode(const std::uint8_t* at, std::int64_t j) {
    const std::uint8_t pair = at[j % 16];
    const int q = j < 16 ? pair & 15 : pair >> 4;
    return static_cast<float>(q - 8);
  }
  static void encode(const float* x, std::int64_t count, std::uint8_t* at, bf16* scale) {
    int q[group] = {};
    *scale = choose_scale(x, count, -8, 7, q);
    for (std::int64_t j = 0; j < 16; ++j) {
      at[j] = static_cast<std::uint8_t>((q[j] + 8) | ((q[j + 16] + 8) << 4));
    }
  }
};

LDLM_COMPLETE_SWITCHES
/// f(description of the format). Throws for a value that is none.
template <class F>
constexpr decltype(auto) visit_format(WeightFormat format, F&& f) {
  switch (format) {
    case WeightFormat::f32:
      return f(F32Format{});
    case WeightFormat::bf16:
      return f(Bf16Format{});
    case WeightFormat::int8:
      return f(Int8Format{});
    case WeightFormat::int4:
      return f(Int4Format{});
  }
  fail_unknown("WeightFormat", format);
}
LDLM_END_COMPLETE_SWITCHES

}  // namespace detail

constexpr std::string_view name_of(WeightFormat format) {
  for (const WeightFormat known : weight_formats) {
    if (known == format) {
      return detail::visit_format(format, [](auto f) { return f.name; });
    }
  }
  return "unknown";
}

/// The format of that name, if there is one.
constexpr std::optional<WeightFormat> weight_format_named(std::string_view name) {
  for (const WeightFormat format : weight_formats) {
    if (name_of(format) == name) {
      return format;
    }
  }
  return std::nullopt;
}

/// Whether it holds every float as it is.
constexpr bool is_exact(WeightFormat format) {
  return detail::visit_format(format, [](auto f) { return f.exact; });
}
/// Whether models are saved in it.
constexpr bool is_in_files(WeightFormat format) {
  return detail::visit_format(format, [](auto f) { return f.in_files; });
}
/// The names of those, in their order.
inline std::vector<std::string> names_in_files() {
  std::vector<std::string> names;
  for (const WeightFormat format : weight_formats) {
    if (is_in_files(format)) {
      names.emplace_back(name_of(format));
    }
  }
  return names;
}
/// The same in a sentence: "bf16, int8 and int4".
inline std::string list_names_in_files(std::string_view conjunction) {
  const std::vector<std::string> names = names_in_files();
  std::string list = names.front();
  for (std::size_t i = 1; i < names.size(); ++i) {
    list += i + 1 < names.size() ? ", " : ' ' + std::string(conjunction) + ' ';
    list += names[i];
  }
  return list;
}
/// Rows of elements that are stored for a matrix of n rows.
constexpr std::int64_t rows_stored(WeightFormat format, std::int64_t n) {
  return detail::visit_format(format,
                              [n](auto f) { return (n + f.panel - 1) / f.panel * f.panel; });
}
/// Elements that share a scale; 0: there are no scales.
constexpr std::int64_t group_size(WeightFormat format) {
  return detail::visit_format(format, [](auto f) { return f.group; });
}
/// Scales of a row of k elements.
constexpr std::int64_t groups_per_row(WeightFormat format, std::int64_t k) {
  return detail::visit_format(format, [k](auto f) {
    return f.group == 0 ? 0 : (k + f.group - 1) / std::max<std::int64_t>(1, f.group);
  });
}
/// Bytes of a row of k elements.
constexpr std::int64_t bytes_per_row(WeightFormat format, std::int64_t k) {
  return detail::visit_format(format, [k](auto f) { return f.bytes(k); });
}

namespace detail {

/// Elements that a format encodes together.
template <class Format>
inline constexpr std::int64_t group_of = std::max<std::int64_t>(1, Format::group);

/// Bytes from the first to group g of row i, in rows of k elements.
template <class Format>
constexpr std::int64_t group_offset(std::int64_t i, std::int64_t g, std::int64_t k) {
  const std::int64_t in_panel = i % Format::panel;
  return (i - in_panel) * Format::bytes(k) + Format::bytes(g * group_of<Format>) * Format::panel +
         in_panel * Format::bytes(group_of<Format>);
}

}  // namespace detail

/// Element (i, j): what the formats mean.
inline float element(const PackedView& w, std::int64_t i, std::int64_t j) {
  return detail::visit_format(w.format, [&](auto format) {
    using Format = decltype(format);
    constexpr std::int64_t group = detail::group_of<Format>;
    const float value =
        Format::decode(w.data + detail::group_offset<Format>(i, j / group, w.k), j % group);
    if constexpr (Format::group > 0) {
      return value * w.scales[i * groups_per_row(w.format, w.k) + j / group];
    } else {
      return value;
    }
  });
}

}  // namespace ldlm
