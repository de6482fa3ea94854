#pragma once
// Reductions of float and double over any axes. Sums run in blocks of fixed size whose results are
// added in order, so they don't depend on the number of threads and lose few digits.

#include <limits>

#include <ldlm/core/kernel_table.hpp>
#include <ldlm_simd/elementwise.hpp>

namespace ldlm::simd {

namespace detail {

/// What the four reductions differ in: the value of no elements, and how one more is taken in.
template <ReduceOp Op, class T, class Arch>
struct Reducer {
  static_assert(Op == ReduceOp::sum || Op == ReduceOp::sum_squares || Op == ReduceOp::max ||
                Op == ReduceOp::min);
  using B = Batch<T, Arch>;
  static constexpr T identity = Op == ReduceOp::max   ? -std::numeric_limits<T>::infinity()
                                : Op == ReduceOp::min ? std::numeric_limits<T>::infinity()
                                                      : T{0};

  static B take(const B& total, const B& x) {
    if constexpr (Op == ReduceOp::sum) {
      return total + x;
    } else if constexpr (Op == ReduceOp::sum_squares) {
      return simd::fma(x, x, total);
    } else {
      return join(total, x);
    }
  }
  /// Of two partial results.
  static B join(const B& a, const B& b) {
    if constexpr (Op == ReduceOp::max) {
      return xsimd::select((b > a) || xsimd::isnan(b), b, a);  // NaN stays
    } else if constexpr (Op == ReduceOp::min) {
      return xsimd::select((b < a) || xsimd::isnan(b), b, a);
    } else {
      return a + b;
    }
  }
  static T join(T a, T b) {
    if constexpr (Op == ReduceOp::max) {
      return b > a || b != b ? b : a;
    } else if constexpr (Op == ReduceOp::min) {
      return b < a || b != b ? b : a;
    } else {
      return a + b;
    }
  }

  /// What partial results are collected in: sums of floats in double.
  using Total = std::conditional_t<identity == T{0}, double, T>;
  static void add(Total& total, T x) {
    if constexpr (identity == T{0}) {
      total += x;
    } else {
      total = join(total, x);
    }
  }
  /// Of n partial results, `step` apart, in their order.
  static T ordered(const T* x, std::int64_t step, std::int64_t n) {
    Total total = identity;
    for (std::int64_t i = 0; i < n; ++i) {
      add(total, x[i * step]);
    }
    return static_cast<T>(total);
  }
  /// Of n contiguous elements. (Out of line: several loops call it.)
  [[gnu::noinline]] static T run(const T* x, std::int64_t n) {
    constexpr std::int64_t W = width<T, Arch>;
    B total[4] = {B(identity), B(identity), B(identity), B(identity)};
    B nan(identity);
    const auto more = [&](B& sum, const B& v) {
      if constexpr (Op == ReduceOp::max || Op == ReduceOp::min) {
        // The processor's own maximum passes NaN by, so NaN is kept apart.
        sum = Op == ReduceOp::max ? simd::max(v, sum) : simd::min(v, sum);
        nan = xsimd::select(v == v, nan, v);
      } else {
        sum = take(sum, v);
      }
    };
    std::int64_t i = 0;
    for (; i + 4 * W <= n; i += 4 * W) {
      for (int k = 0; k < 4; ++k) {
        more(total[k], load<T, Arch>(x + i + k * W));
      }
    }
    for (; i + W <= n; i += W) {
      more(total[0], load<T, Arch>(x + i));
    }
    if (i < n) {
      more(total[1], load_first<T, Arch>(x + i, n - i, identity));
    }
    const B all = join(join(total[0], total[1]), join(total[2], total[3]));
    return join_lanes<T, Arch>(
        Op == ReduceOp::sum || Op == ReduceOp::sum_squares ? all : join(all, nan),
        [](const B& a, const B& b) { return join(a, b); });
  }
  /// Of n elements, `step` apart.
  static T run(const T* x, std::int64_t n, std::int64_t step) {
    if (step == 1) {
      return run(x, n);
    }
    constexpr std::int64_t capacity = 1024;
    alignas(64) T buffer[capacity];
    T result = identity;
    for (std::int64_t i = 0; i < n; i += capacity) {
      const std::int64_t count = std::min(capacity, n - i);
      pack<T, Arch>(x + i * step, step, buffer, count);
      result = join(result, run(buffer, count));
    }
    return result;
  }
};

}  // namespace detail

/// The largest of n contiguous elements, -infinity for none; NaN if one is NaN.
template <class T, class Arch>
T max_of(std::int64_t n, const T* x) {
  return detail::Reducer<ReduceOp::max, T, Arch>::run(x, n);
}

namespace detail {

/// Position of the first of n elements, `step` apart, that equals `value` (both may be NaN). There
/// must be one.
template <class T, class Arch>
std::int64_t find_first(const T* x, std::int64_t n, std::int64_t step, T value) {
  using B = Batch<T, Arch>;
  const bool nan = value != value;
  std::int64_t i = 0;
  for (; step == 1 && i + width<T, Arch> <= n; i += width<T, Arch>) {
    const B v = load<T, Arch>(x + i);
    if (xsimd::any(nan ? xsimd::isnan(v) : v == B(value))) {
      break;
    }
  }
  while (i < n && !(nan ? x[i * step] != x[i * step] : x[i * step] == value)) {
    ++i;
  }
  return i;
}

template <class T, class Arch>
class Reduction;

/// What a reduction calls, its op a matter of the table that it is given.
template <class T, class Arch>
struct ReduceLoops {
  T (*partial)(const Reduction<T, Arch>&, const T* x, std::int64_t block);
  T (*ordered)(const T* x, std::int64_t step, std::int64_t n);
  void (*add_rows)(const Reduction<T, Arch>&, const T* x, std::int64_t first, std::int64_t last,
                   T* total, std::int64_t n);
  void (*take_one)(std::int64_t n, T* y, const T* x);  // each the only element of its sum
};

/// One reduction: outputs are walked by `kept`, the elements of each by `reduced`. Each walks its
/// longest axis inside if the innermost one is short.
template <class T, class Arch>
class Reduction {
  using Loop = ReduceLoops<T, Arch>;
  using Kept = Loops<2, Arch>;
  using Reduced = Loops<1, Arch>;
  static constexpr std::int64_t block = 16384;  // elements whose sum is one partial result
  static constexpr std::int64_t columns = 512;  // that are summed side by side

 public:
  Reduction(const Loop& loop, const View<const T>& in, const View<T>& out)
      : loop_(loop),
        in_(in.data),
        out_(out.data),
        kept_(out.shape(), {in.layout.strides, out.layout.strides}, 0),
        reduced_(reduced_shape(in, out), {in.layout.strides}, 0) {
    kept_.lengthen();
    reduced_.lengthen();
    line_cost() <= column_cost() ? reduce_lines() : reduce_columns();
  }

  /// The sum of block number b of the elements of an output, which starts at x.
  template <ReduceOp Op>
  static T partial(const Reduction& r, const T* x, std::int64_t b) {
    using R = Reducer<Op, T, Arch>;
    const Reduced& reduced = r.reduced_;
    const std::int64_t pieces = r.pieces();
    if (pieces > 1) {
      const std::int64_t first = b % pieces * block;
      return R::run(x + reduced.at(b / pieces).offsets[0] + first * reduced.step[0],
                    std::min(block, reduced.length - first), reduced.step[0]);
    }
    auto cursor = reduced.at(b * r.group());
    const std::int64_t last = std::min(reduced.lines, (b + 1) * r.group());
    typename R::Total total = R::identity;
    for (std::int64_t line = b * r.group(); line < last; ++line, reduced.advance(cursor)) {
      R::add(total, R::run(x + cursor.offsets[0], reduced.length, reduced.step[0]));
    }
    return static_cast<T>(total);
  }

  // total = rows first .. last - 1 of n columns from x on. Short sums of rows are added up rather
  // than single rows: fewer digits are lost, and the short sum stays in L1.
  template <ReduceOp Op>
  static void add_rows(const Reduction& r, const T* x, std::int64_t first, std::int64_t last,
                       T* total, std::int64_t n) {
    using B = Batch<T, Arch>;
    using R = Reducer<Op, T, Arch>;
    constexpr std::int64_t group = 4;
    alignas(64) T part[columns];
    alignas(64) T buffer[group][columns];
    std::fill(total, total + n, R::identity);
    auto cursor = r.reduced_.at(first / r.reduced_.length);
    std::int64_t i = first % r.reduced_.length;
    for (std::int64_t row = first; row < last;) {
      std::fill(part, part + n, R::identity);
      const std::int64_t end = std::min(last, row + 64);
      while (row < end) {
        const std::int64_t count = end - row < group ? 1 : group;
        const T* rows[group];
        for (std::int64_t k = 0; k < count; ++k) {
          rows[k] = x + cursor.offsets[0] + i * r.reduced_.step[0];
          if (r.kept_.step[0] != 1) {
            pack<T, Arch>(rows[k], r.kept_.step[0], buffer[k], n);
            rows[k] = buffer[k];
          }
          if (++i == r.reduced_.length) {
            i = 0;
            r.reduced_.advance(cursor);
          }
        }
        row += count;
        const T* const before = part;
        if (count == group) {
          transform<Arch>(
              n,
              [](const B& p, const B& u, const B& v, const B& w, const B& z) {
                return R::take(R::take(R::take(R::take(p, u), v), w), z);
              },
              part, before, rows[0], rows[1], rows[2], rows[3]);
        } else {
          transform<Arch>(
              n, [](const B& p, const B& v) { return R::take(p, v); }, part, before, rows[0]);
        }
      }
      transform<Arch>(
          n, [](const B& t, const B& p) { return R::join(t, p); }, total,
          static_cast<const T*>(total), static_cast<const T*>(part));
    }
  }

 private:
  static Shape reduced_shape(const View<const T>& in, const View<T>& out) {
    Shape shape = in.shape();
    for (int axis = 0; axis < shape.rank(); ++axis) {
      shape[axis] = out.size(axis) == in.size(axis) ? 1 : shape[axis];
    }
    return shape;
  }

  // About what an output costs either way, in tenths of a nanosecond: elements that lie apart are
  // packed first, and each run of either kind has a price of its own.
  [[nodiscard]] std::int64_t line_cost() const {
    return reduced_.lines * (200 + reduced_.length * (reduced_.step[0] == 1 ? 1 : 6));
  }
  [[nodiscard]] std::int64_t column_cost() const {
    return reduced_.lines * reduced_.length *
           ((kept_.step[0] == 1 ? 1 : 7) + 300 / std::min(columns, kept_.length));
  }

  // ---- The reduced elements lie together: each output is a few runs. ----

  /// Blocks of a line.
  [[nodiscard]] std::int64_t pieces() const { return (reduced_.length + block - 1) / block; }
  /// Short lines of a block.
  [[nodiscard]] std::int64_t group() const {
    return std::max<std::int64_t>(1, block / std::max<std::int64_t>(1, reduced_.length));
  }

  void reduce_lines() {
    const std::int64_t outputs = kept_.lines * kept_.length;
    const std::int64_t blocks =
        pieces() > 1 ? reduced_.lines * pieces() : (reduced_.lines + group() - 1) / group();
    if (blocks <= 1) {
      const std::int64_t elements = std::max<std::int64_t>(1, reduced_.lines * reduced_.length);
      parallel_for(0, outputs, std::max<std::int64_t>(1, block / elements),
                   [&](std::int64_t lo, std::int64_t hi) {
                     for (std::int64_t i = lo; i < hi; ++i) {
                       const auto at = output(i);
                       out_[at[1]] = loop_.partial(*this, in_ + at[0], 0);
                     }
                   });
      return;
    }
    const Scratch<T, Arch> partials(outputs * blocks);
    parallel_for(0, outputs * blocks, 1, [&](std::int64_t lo, std::int64_t hi) {
      for (std::int64_t i = lo; i < hi; ++i) {
        partials[i] = loop_.partial(*this, in_ + output(i / blocks)[0], i % blocks);
      }
    });
    for (std::int64_t i = 0; i < outputs; ++i) {
      out_[output(i)[1]] = loop_.ordered(partials.data() + i * blocks, 1, blocks);
    }
  }

  [[nodiscard]] typename Kept::Offsets output(std::int64_t i) const {
    auto at = kept_.at(i / kept_.length).offsets;
    at[0] += i % kept_.length * kept_.step[0];
    at[1] += i % kept_.length * kept_.step[1];
    return at;
  }

  // ---- The outputs lie together: rows are added up, in blocks of rows. ----

  void reduce_columns() {
    const std::int64_t chunks = (kept_.length + columns - 1) / columns;
    const std::int64_t chunk_width = std::min(columns, kept_.length);
    const std::int64_t rows = reduced_.lines * reduced_.length;
    const std::int64_t block_rows = std::max<std::int64_t>(32, 4 * block / chunk_width);
    const std::int64_t blocks = std::max<std::int64_t>(1, (rows + block_rows - 1) / block_rows);
    const std::int64_t outputs = kept_.lines * kept_.length;
    const std::int64_t grain = std::max<std::int64_t>(
        1, block / (chunk_width * std::max<std::int64_t>(1, std::min(rows, block_rows))));
    if (blocks == 1) {
      parallel_for(0, kept_.lines * chunks, grain, [&](std::int64_t lo, std::int64_t hi) {
        alignas(64) T sums[columns];
        for (std::int64_t task = lo; task < hi; ++task) {
          const auto at = kept_.at(task / chunks).offsets;
          const std::int64_t first = task % chunks * columns;
          const std::int64_t n = std::min(columns, kept_.length - first);
          T* const to = out_ + at[1] + first * kept_.step[1];
          T* const total = kept_.step[1] == 1 ? to : sums;
          loop_.add_rows(*this, in_ + at[0] + first * kept_.step[0], 0, rows, total, n);
          if (total != to) {
            unpack<T, Arch>(sums, to, kept_.step[1], n);
          }
        }
      });
      return;
    }
    const Scratch<T, Arch> partials(outputs * blocks);
    parallel_for(0, kept_.lines * chunks * blocks, grain, [&](std::int64_t lo, std::int64_t hi) {
      for (std::int64_t task = lo; task < hi; ++task) {
        const std::int64_t b = task % blocks;
        const std::int64_t line = task / blocks / chunks;
        const std::int64_t first = task / blocks % chunks * columns;
        const std::int64_t n = std::min(columns, kept_.length - first);
        loop_.add_rows(*this, in_ + kept_.at(line).offsets[0] + first * kept_.step[0],
                       b * block_rows, std::min(rows, (b + 1) * block_rows),
                       partials.data() + b * outputs + line * kept_.length + first, n);
      }
    });
    parallel_for(0, kept_.lines, std::max<std::int64_t>(1, block / (blocks * kept_.length)),
                 [&](std::int64_t lo, std::int64_t hi) {
                   for (std::int64_t line = lo; line < hi; ++line) {
                     const auto at = kept_.at(line).offsets;
                     const T* sums = partials.data() + line * kept_.length;
                     for (std::int64_t i = 0; i < kept_.length; ++i) {
                       out_[at[1] + i * kept_.step[1]] = loop_.ordered(sums + i, outputs, blocks);
                     }
                   }
                 });
  }

  Loop loop_;
  const T* in_;
  T* out_;
  Kept kept_;
  Reduced reduced_;
};

template <ReduceOp Op, class T, class Arch>
constexpr ReduceLoops<T, Arch> reduce_loops() {
  using B = Batch<T, Arch>;
  using R = Reducer<Op, T, Arch>;
  return {Reduction<T, Arch>::template partial<Op>, R::ordered,
          Reduction<T, Arch>::template add_rows<Op>, [](std::int64_t n, T* y, const T* x) {
            transform<Arch>(
                n, [](const B& v) { return R::take(B(R::identity), v); }, y, x);
          }};
}

}  // namespace detail

template <class T, class Arch>
void reduce(ReduceOp op, View<const T> in, View<T> out) {
  if (in.numel() == 0) {
    fill<T, Arch>(out, T{0});  // only sums are taken of nothing
    return;
  }
  const auto loop =
      visit_op(op, [](auto constant) { return detail::reduce_loops<constant(), T, Arch>(); });
  if (in.numel() > out.numel()) {
    detail::Reduction<T, Arch>(loop, in, out);
  } else {
    map<Arch>(cheap_grain, loop.take_one, out, in);
  }
}

namespace detail {

/// arg_reduce of many runs side by side: of chunks of them, the best value and its position so far.
template <class T, class Arch>
void arg_reduce_columns(bool largest, const Loops<2, Arch>& runs, const T* in, std::int64_t n,
                        std::int64_t step, std::int64_t* out) {
  using B = Batch<T, Arch>;
  constexpr std::int64_t columns = 256, W = width<T, Arch>;
  const std::int64_t chunks = (runs.length + columns - 1) / columns;
  const std::int64_t grain = std::max<std::int64_t>(1, cheap_grain / (n * columns));
  parallel_for(0, runs.lines * chunks, grain, [&](std::int64_t lo, std::int64_t hi) {
    alignas(64) T best[columns], position[columns], row[columns] = {};
    for (std::int64_t task = lo; task < hi; ++task) {
      const auto at = runs.at(task / chunks).offsets;
      const std::int64_t first = task % chunks * columns;
      const std::int64_t count = std::min(columns, runs.length - first);
      for (std::int64_t j = 0; j < n; ++j) {
        pack<T, Arch>(in + at[0] + first * runs.step[0] + j * step, runs.step[0], row, count);
        const B here(static_cast<T>(j));
        for (std::int64_t i = 0; i < count; i += W) {
          const B v = B::load_aligned(row + i);
          const B old = B::load_aligned(best + i);
          const auto more = largest ? v > old : v < old;
          const auto better = more || (xsimd::isnan(v) && !xsimd::isnan(old));
          const B place = B::load_aligned(position + i);
          (j == 0 ? v : xsimd::select(better, v, old)).store_aligned(best + i);
          (j == 0 ? here : xsimd::select(better, here, place)).store_aligned(position + i);
        }
      }
      for (std::int64_t i = 0; i < count; ++i) {
        out[at[1] + (first + i) * runs.step[1]] = static_cast<std::int64_t>(position[i]);
      }
    }
  });
}

}  // namespace detail

/// Position of the first largest (or smallest) element along `axis`; the first NaN if there is one.
template <class T, class Arch>
void arg_reduce(bool largest, View<const T> in, int axis, View<std::int64_t> out) {
  if (out.numel() == 0) {
    return;
  }
  const std::int64_t n = in.size(axis);
  const std::int64_t step = in.stride(axis);
  View<const T> starts = in;  // of the runs along the axis: the view without it
  for (int i = axis; i + 1 < in.rank(); ++i) {
    starts.layout.strides[static_cast<std::size_t>(i)] = in.stride(i + 1);
  }
  // Short runs, and those whose elements lie apart, go side by side. (Positions are kept as T.)
  Loops<2, Arch> runs(out.shape(), {starts.layout.strides, out.layout.strides}, 0);
  runs.lengthen();
  constexpr std::int64_t short_run = 32, exact = std::int64_t{1} << 24;
  if (runs.length >= 8 && n <= exact && (n <= short_run || step > runs.step[0])) {
    return detail::arg_reduce_columns(largest, runs, in.data, n, step, out.data);
  }
  for_rows<Arch>(
      out.shape(), std::max<std::int64_t>(1, cheap_grain / n),
      [&](const T* x, std::int64_t* position) {
        const T best = largest ? detail::Reducer<ReduceOp::max, T, Arch>::run(x, n, step)
                               : detail::Reducer<ReduceOp::min, T, Arch>::run(x, n, step);
        *position = detail::find_first<T, Arch>(x, n, step, best);
      },
      starts, out);
}

}  // namespace ldlm::simd
