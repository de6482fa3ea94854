#pragma once
// Attention, forward: blocks of queries against blocks of keys with a running softmax (Milakov &
// Gimelshein, 2018; Dao et al., 2022). Memory does not grow with Tq x Tk.

#include <ldlm_simd/attention_tile.hpp>

namespace ldlm::simd {

namespace detail {

/// The attention of one block of queries; one of these per thread and run of blocks.
template <class T, class Arch>
class AttentionForward {
  using B = Batch<T, Arch>;
  static constexpr std::int64_t W = width<T, Arch>;
  static constexpr T infinity = std::numeric_limits<T>::infinity();

 public:
  AttentionForward(const Attention<T>& args, const AttentionBlocks<T, Arch>& blocks)
      : args_(args),
        n_(blocks),
        q_(n_.D * n_.queries),
        scores_(n_.keys * n_.queries),
        factors_(args.dropout > T{0} ? n_.keys * n_.queries : 1),
        values_(n_.D != n_.Dp ? n_.keys * n_.Dp : 1),
        mixed_(n_.queries * n_.Dp),
        largest_(n_.queries),
        sum_(n_.queries),
        fade_(n_.queries) {}

  /// Task number i: a block of queries of a head.
  void run(std::int64_t task) {
    BlockRange r = range_of(task);
    pack_columns<T, Arch>(Head<const T>(args_.q, r.b, r.h), r.query, r.queries, n_.D, n_.queries,
                          args_.scale, q_.data());
    std::fill(largest_.data(), largest_.data() + n_.queries, -infinity);
    std::fill(sum_.data(), sum_.data() + n_.queries, T{0});
    std::fill(mixed_.data(), mixed_.data() + r.queries * n_.Dp, T{0});
    while (r.key < n_.Tk) {
      r.keys = std::min(n_.keys, n_.Tk - r.key);
      if (!is_hidden(args_, r)) {
        take_keys(r);
      }
      r.key += r.keys;
    }
    finish(r);
  }

 private:
  [[nodiscard]] BlockRange range_of(std::int64_t task) const {
    const std::int64_t head = task / n_.query_blocks;
    const std::int64_t query = task % n_.query_blocks * n_.queries;
    return {head / n_.H, head % n_.H, query, std::min(n_.queries, n_.Tq - query), 0, 0};
  }

  void take_keys(const BlockRange& r) {
    block_scores<T, Arch>(args_, n_, r, q_.data(), scores_.data());
    update_softmax(r);
    if (args_.dropout > T{0}) {
      block_dropout<T, Arch>(args_, n_, r, factors_.data());
      transform<Arch>(
          r.keys * n_.queries, [](const B& p, const B& f) { return p * f; }, scores_.data(),
          static_cast<const T*>(scores_.data()), static_cast<const T*>(factors_.data()));
    }
    const PaddedRows<T, Arch> v(Head<const T>(args_.v, r.b, r.h), r.key, r.keys, n_.D, n_.Dp,
                                values_.data());
    block_product<T, Arch>(r.queries, n_.Dp, r.keys, {scores_.data(), 1, n_.queries}, v.data, v.row,
                           mixed_.data(), n_.Dp, true);
  }

  // Scores become exp(score - largest so far); what was summed under an older maximum fades.
  [[gnu::flatten]] void update_softmax(const BlockRange& r) {
    bool faded = false;
    const std::int64_t step = n_.queries;
    for (std::int64_t i = 0; i < r.queries; i += W) {
      T* const column = scores_.data() + i;
      const B before = B::load_aligned(&largest_[i]);
      B top = before, top2 = before;
      std::int64_t j = 0;
      for (; j + 2 <= r.keys; j += 2) {
        top = simd::max(top, B::load_aligned(column + j * step));
        top2 = simd::max(top2, B::load_aligned(column + (j + 1) * step));
      }
      if (j < r.keys) {
        top = simd::max(top, B::load_aligned(column + j * step));
      }
      top = simd::max(top, top2);
      // While all keys are masked the shift is 0, so that exp gives 0 and not NaN.
      const B shift = xsimd::select(top == B(-infinity), B(T{0}), top);
      const B fade = simd::exp(before - shift);
      B total = B::load_aligned(&sum_[i]) * fade;
      for (j = 0; j < r.keys; ++j) {
        const B p = simd::exp(B::load_aligned(column + j * step) - shift);
        p.store_aligned(column + j * step);
        total += p;
      }
      top.store_aligned(&largest_[i]);
      total.store_aligned(&sum_[i]);
      fade.store_aligned(&fade_[i]);
      faded = faded || any_differs(fade, B(T{1}));
    }
    for (std::int64_t i = 0; i < r.queries && faded; ++i) {
      T* const row = mixed_.data() + i * n_.Dp;
      transform<Arch>(
          n_.Dp, [f = B(fade_[i])](const B& x) { return x * f; }, row, static_cast<const T*>(row));
    }
  }

  void finish(const BlockRange& r) {
    const Head<T> out(args_.out, r.b, r.h);
    T* const factor = fade_.data();
    transform<Arch>(
        n_.queries,
        [](const B& sum) { return xsimd::select(sum == B(T{0}), B(T{0}), B(T{1}) / sum); }, factor,
        static_cast<const T*>(sum_.data()));
    for (std::int64_t i = 0; i < r.queries; ++i) {
      transform<Arch>(
          n_.D, [f = B(factor[i])](const B& x) { return x * f; }, out.at(r.query + i),
          static_cast<const T*>(mixed_.data() + i * n_.Dp));
    }
    if (!args_.lse.empty()) {
      T* const lse = sum_.data();
      transform<Arch>(
          n_.queries, [](const B& top, const B& sum) { return top + simd::log_of_normal(sum); },
          lse, static_cast<const T*>(largest_.data()), static_cast<const T*>(lse));
      unpack<T, Arch>(lse, Head<T>(args_.lse, r.b, r.h).at(r.query), args_.lse.stride(2),
                      r.queries);
    }
  }

  const Attention<T>& args_;
  const AttentionBlocks<T, Arch>& n_;
  Scratch<T, Arch> q_;                     // D x queries
  Scratch<T, Arch> scores_;                // keys x queries
  Scratch<T, Arch> factors_;               // of dropout
  Scratch<T, Arch> values_;                // padded rows of v
  Scratch<T, Arch> mixed_;                 // queries x Dp: the sum of weighted values so far
  Scratch<T, Arch> largest_, sum_, fade_;  // of each query
};

}  // namespace detail

template <class T, class Arch>
void attention(const Attention<T>& args) {
  const detail::AttentionBlocks<T, Arch> n(args);
  const std::int64_t work = std::max<std::int64_t>(1, n.queries * n.Tk * n.D);
  const std::int64_t grain = std::max<std::int64_t>(1, 8 * cheap_grain / work);
  parallel_for(0, n.B * n.H * n.query_blocks, grain, [&](std::int64_t lo, std::int64_t hi) {
    detail::AttentionForward<T, Arch> forward(args, n);
    for (std::int64_t i = lo; i < hi; ++i) {
      forward.run(i);
    }
  });
}

}  // namespace ldlm::simd
