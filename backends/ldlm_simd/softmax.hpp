#pragma once
// Softmax, log-softmax and their backward passes over the last axis, of views of any strides: the
// axis that is summed over may be any axis of a tensor.

#include <ldlm_simd/math.hpp>
#include <ldlm_simd/panel.hpp>
#include <ldlm_simd/reduce.hpp>

namespace ldlm::simd {

namespace detail {

/// y = exp(x - shift); returns its sum. y may be x.
template <class T, class Arch>
T exp_and_sum(std::int64_t n, T shift, const T* x, T* y) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>;
  const B by(shift);
  B s0(T{0}), s1(T{0});
  std::int64_t i = 0;
  for (; i + 2 * W <= n; i += 2 * W) {
    const B a = simd::exp(load<T, Arch>(x + i) - by);
    const B b = simd::exp(load<T, Arch>(x + i + W) - by);
    a.store_unaligned(y + i);
    b.store_unaligned(y + i + W);
    s0 += a;
    s1 += b;
  }
  for (; i < n; i += W) {
    const std::int64_t count = std::min(W, n - i);
    const B v = count == W ? load<T, Arch>(x + i)
                           : load_first<T, Arch>(x + i, count, -std::numeric_limits<T>::infinity());
    const B e = simd::exp(v - by);
    s0 += e;
    count == W ? e.store_unaligned(y + i) : store_first<T, Arch>(y + i, e, count);
  }
  return sum_of_lanes<T, Arch>(s0 + s1);
}

/// Sum of exp(x - shift) over n contiguous elements. Asks for what comes 4 KiB later, since memory
/// would be idle while exp is computed.
template <class T, class Arch>
T sum_of_exp(std::int64_t n, T shift, const T* x) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t W = width<T, Arch>, ahead = 4096 / sizeof(T);
  const B by(shift);
  B s0(T{}), s1(T{});
  std::int64_t i = 0;
  for (; i + 2 * W <= n; i += 2 * W) {
    prefetch(x + i + ahead);
    prefetch(x + i + W + ahead);
    s0 += simd::exp(load<T, Arch>(x + i) - by);
    s1 += simd::exp(load<T, Arch>(x + i + W) - by);
  }
  for (; i < n; i += W) {
    const std::int64_t count = std::min(W, n - i);
    s0 += simd::exp(load_first<T, Arch>(x + i, count, -std::numeric_limits<T>::infinity()) - by);
  }
  return sum_of_lanes<T, Arch>(s0 + s1);
}

/// A function of rows of N operands, whatever its type, so that what finds the rows is compiled
/// once for all: row(out, in) and panel(lanes, in), as for_rows_of has them.
template <std::size_t N, class T>
struct RowFunction {
  const void* row_state;
  void (*row)(const void* state, T* out, const std::array<const T*, N>& in);
  const void* panel_state;
  void (*panel)(const void* state, std::int64_t lanes, const std::array<T*, N>& in);
};

template <class Arch, std::size_t N, class T>
void for_rows_or_panels(const View<T>& out, std::int64_t cost, const RowFunction<N, T>& f,
                        const std::array<View<const T>, N>& in) {
  constexpr std::int64_t W = width<T, Arch>;
  constexpr auto each = std::make_index_sequence<N>{};
  if (out.numel() == 0) {
    return;
  }
  const std::int64_t C = out.shape().back();
  const int last = out.rank() - 1;
  const Shape rows = row_shape<Arch>(out.shape());
  std::array<std::int64_t, N + 1> step{out.stride(last)};
  std::array<Strides, N + 1> strides{out.layout.strides};
  for (std::size_t k = 0; k < N; ++k) {
    step[k + 1] = in[k].stride(last);
    strides[k + 1] = in[k].layout.strides;
  }
  Loops<N + 1, Arch> loops(rows, strides, 0);
  loops.lengthen();
  bool unit = true, repeats = false;  // in every row; the same element, in some operand's
  for (const std::int64_t s : step) {
    unit = unit && (s == 1 || C == 1);
    repeats = repeats || (s == 0 && C > short_row);
  }
  const bool many = loops.length >= W / 2 && !(repeats && step[0] == 1);
  const std::int64_t grain = rows_grain<Arch>(C, cost);
  if (unit && !(many && C <= short_row)) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      for_rows<Arch>(
          rows, grain, [&](T* y, auto... x) { f.row(f.row_state, y, {x...}); }, out, in[I]...);
    }
    (each);
    return;
  }
  if (many) {
    const PanelLayout<T, Arch> layout(C);
    for_panels<Arch>(loops, layout.lanes, grain, [&](const auto& at, std::int64_t count) {
      const Scratch<T, Arch> memory(static_cast<std::int64_t>(N) * layout.size());
      std::array<T*, N> panel;
      for (std::size_t k = 0; k < N; ++k) {
        panel[k] = memory.data() + static_cast<std::int64_t>(k) * layout.size();
        layout.read(in[k].data + at[k + 1], loops.step[k + 1], step[k + 1], count, panel[k]);
      }
      for (std::int64_t i = 0; i < count; i += W) {
        std::array<T*, N> lane = panel;
        for (T*& first : lane) {
          first += i;
        }
        f.panel(f.panel_state, layout.lanes, lane);
      }
      layout.write(panel[0], out.data + at[0], loops.step[0], step[0], count);
    });
    return;
  }
  for_panels<Arch>(loops, 1, grain, [&](const auto& at, std::int64_t) {
    const Scratch<T, Arch> memory(static_cast<std::int64_t>(N + 1) * C);
    std::array<const T*, N> x;
    for (std::size_t k = 0; k < N; ++k) {
      x[k] = in[k].data + at[k + 1];
      if (step[k + 1] != 1) {
        T* const line = memory.data() + static_cast<std::int64_t>(k + 1) * C;
        pack<T, Arch>(x[k], step[k + 1], line, C);
        x[k] = line;
      }
    }
    T* const target = out.data + at[0];
    T* const result = step[0] == 1 ? target : memory.data();
    f.row(f.row_state, result, x);
    if (result != target) {
      unpack<T, Arch>(result, target, step[0], C);
    }
  });
}

/// Calls row(out, in...) for every row of views (..., C) whose elements follow each other. Few long
/// rows whose elements lie apart are copied for it; other such rows, and short ones, go through
/// panel(lanes, inputs...), which computes one vector of lanes and leaves the result in the first
/// input. Elements cost about `cost` times a copy.
template <class Arch, class T, class Row, class Panel, class... In>
void for_rows_of(const View<T>& out, std::int64_t cost, const Row& row, const Panel& panel,
                 const In&... in) {
  constexpr std::size_t N = sizeof...(In);
  const RowFunction<N, T> f{
      &row,
      [](const void* state, T* y, const std::array<const T*, N>& x) {
        std::apply([&](auto... each) { (*static_cast<const Row*>(state))(y, each...); }, x);
      },
      &panel,
      [](const void* state, std::int64_t lanes, const std::array<T*, N>& x) {
        std::apply([&](auto... each) { (*static_cast<const Panel*>(state))(lanes, each...); }, x);
      }};
  for_rows_or_panels<Arch, N, T>(out, cost, f, {in...});
}

/// The largest of C elements in each lane: rows side by side, `lanes` apart.
template <class T, class Arch>
Batch<T, Arch> max_of_lanes(std::int64_t C, std::int64_t lanes, const T* e) {
  Batch<T, Arch> largest = load<T, Arch>(e);
  for (std::int64_t c = 1; c < C; ++c) {
    largest = simd::max(largest, load<T, Arch>(e + c * lanes));
  }
  return largest;
}

}  // namespace detail

/// y = exp(x) / sum(exp(x)); y may be x.
template <class T, class Arch>
void softmax(View<const T> x, View<T> y) {
  using B = Batch<T, Arch>;
  const std::int64_t C = x.shape().back();
  constexpr std::int64_t most_streamed = 2048;  // elements of a row that is held in L1 meanwhile
  const bool past_caches = C <= most_streamed && rows_go_past_caches<Arch>(y, x);
  detail::for_rows_of<Arch>(
      y, 8,
      [C, past_caches](T* out, const T* in) {
        alignas(64) T own[most_streamed];
        T* const e = past_caches ? own : out;
        const T sum = detail::exp_and_sum<T, Arch>(C, max_of<T, Arch>(C, in), in, e);
        transform_row<Arch>(
            past_caches, in + C, C,
            [f = Batch<T, Arch>(T{1} / sum)](const auto& v) { return v * f; }, out,
            static_cast<const T*>(e));
      },
      [C](std::int64_t lanes, T* e) {
        const B largest = detail::max_of_lanes<T, Arch>(C, lanes, e);
        B sum(T{0});
        for (std::int64_t c = 0; c < C; ++c) {
          const B v = simd::exp(load<T, Arch>(e + c * lanes) - largest);
          v.store_unaligned(e + c * lanes);
          sum += v;
        }
        const B factor = B(T{1}) / sum;
        for (std::int64_t c = 0; c < C; ++c) {
          (load<T, Arch>(e + c * lanes) * factor).store_unaligned(e + c * lanes);
        }
      },
      x);
}

/// dx = y (dy - sum(y dy)); dx may be dy.
template <class T, class Arch>
void softmax_backward(View<const T> y, View<const T> dy, View<T> dx) {
  using B = Batch<T, Arch>;
  const std::int64_t C = y.shape().back();
  detail::for_rows_of<Arch>(
      dx, 2,
      [C](T* out, const T* p, const T* g) {
        const T dot = sum_of<T, Arch>(
            C, [](const auto& a, const auto& b) { return a * b; }, p, g);
        transform<Arch>(
            C, [d = Batch<T, Arch>(dot)](const auto& a, const auto& b) { return a * (b - d); }, out,
            p, g);
      },
      [C](std::int64_t lanes, T* p, const T* g) {
        B dot(T{0});
        for (std::int64_t c = 0; c < C; ++c) {
          dot = simd::fma(load<T, Arch>(p + c * lanes), load<T, Arch>(g + c * lanes), dot);
        }
        for (std::int64_t c = 0; c < C; ++c) {
          const B v = load<T, Arch>(p + c * lanes) * (load<T, Arch>(g + c * lanes) - dot);
          v.store_unaligned(p + c * lanes);
        }
      },
      y, dy);
}

/// y = x - log(sum(exp(x)))
template <class T, class Arch>
void log_softmax(View<const T> x, View<T> y) {
  using B = Batch<T, Arch>;
  const std::int64_t C = x.shape().back();
  detail::for_rows_of<Arch>(
      y, 8,
      [C, past_caches = rows_go_past_caches<Arch>(y, x)](T* out, const T* in) {
        const T largest = max_of<T, Arch>(C, in);
        const T log_sum = std::log(detail::sum_of_exp<T, Arch>(C, largest, in));
        // In this order, so that a row of large equal logits keeps its digits.
        transform_row<Arch>(
            past_caches, in + C, C,
            [m = B(largest), l = B(log_sum)](const B& v) { return (v - m) - l; }, out, in);
      },
      [C](std::int64_t lanes, T* e) {
        const B largest = detail::max_of_lanes<T, Arch>(C, lanes, e);
        B sum(T{0});
        for (std::int64_t c = 0; c < C; ++c) {
          sum += simd::exp(load<T, Arch>(e + c * lanes) - largest);
        }
        const B log_sum = simd::log_of_normal(sum);
        for (std::int64_t c = 0; c < C; ++c) {
          ((load<T, Arch>(e + c * lanes) - largest) - log_sum).store_unaligned(e + c * lanes);
        }
      },
      x);
}

/// dx = dy - exp(y) sum(dy)
template <class T, class Arch>
void log_softmax_backward(View<const T> y, View<const T> dy, View<T> dx) {
  using B = Batch<T, Arch>;
  const std::int64_t C = y.shape().back();
  detail::for_rows_of<Arch>(
      dx, 8,
      [C](T* out, const T* log_p, const T* g) {
        const T total = sum_of<T, Arch>(
            C, [](const B& v) { return v; }, g);
        transform<Arch>(
            C, [t = B(total)](const B& a, const B& b) { return simd::fnma(simd::exp(a), t, b); },
            out, log_p, g);
      },
      [C](std::int64_t lanes, T* log_p, const T* g) {
        B total(T{0});
        for (std::int64_t c = 0; c < C; ++c) {
          total += load<T, Arch>(g + c * lanes);
        }
        for (std::int64_t c = 0; c < C; ++c) {
          const B p = simd::exp(load<T, Arch>(log_p + c * lanes));
          simd::fnma(p, total, load<T, Arch>(g + c * lanes)).store_unaligned(log_p + c * lanes);
        }
      },
      y, dy);
}

}  // namespace ldlm::simd
