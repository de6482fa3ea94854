#pragma once
// Attention, backward: weights are computed again from the scores and the forward pass'
// log-sum-exp.
//
// A task is one head and a chunk of its keys: it owns grad_k and grad_v of the chunk and its own
// part of grad_q; the parts are added up in order. Chunks follow from the shapes alone.

#include <ldlm_simd/attention_tile.hpp>

namespace ldlm::simd {

namespace detail {

template <class T, class Arch>
class AttentionGradient {
  using B = Batch<T, Arch>;
  static constexpr T infinity = std::numeric_limits<T>::infinity();

 public:
  AttentionGradient(const AttentionBackward<T>& args, const AttentionBlocks<T, Arch>& blocks,
                    std::int64_t chunk)
      : args_(args),
        f_(args.forward),
        n_(blocks),
        q_(n_.D * n_.queries),
        grad_out_(n_.D * n_.queries),
        weights_(n_.keys * n_.queries),
        grad_scores_(n_.keys * n_.queries),
        factors_(f_.dropout > T{0} ? n_.keys * n_.queries : 1),
        rows_(n_.D != n_.Dp ? 3 * std::max(n_.keys, n_.queries) * n_.Dp : 1),
        grad_q_(n_.queries * n_.Dp),
        grad_k_(chunk * n_.Dp),
        grad_v_(chunk * n_.Dp),
        lse_(n_.queries),
        dots_(n_.queries) {}

  /// Keys first .. last - 1 of a head. grad_q: the task's own (Tq, D) contiguous, or a row stride
  /// of the result.
  void run(std::int64_t b, std::int64_t h, std::int64_t first, std::int64_t last, T* grad_q,
           std::int64_t grad_q_row) {
    std::fill(grad_k_.data(), grad_k_.data() + (last - first) * n_.Dp, T{0});
    std::fill(grad_v_.data(), grad_v_.data() + (last - first) * n_.Dp, T{0});
    for (std::int64_t block = 0; block < n_.query_blocks; ++block) {
      BlockRange r{b, h, block * n_.queries, 0, 0, 0};
      r.queries = std::min(n_.queries, n_.Tq - r.query);
      load_queries(r);
      for (r.key = first; r.key < last; r.key += n_.keys) {
        r.keys = std::min(n_.keys, last - r.key);
        if (!is_hidden(f_, r)) {
          take_keys(r, (r.key - first) * n_.Dp);
        }
      }
      for (std::int64_t i = 0; i < r.queries; ++i) {
        copy_row(grad_q_.data() + i * n_.Dp, grad_q + (r.query + i) * grad_q_row);
      }
    }
    const Head<T> grad_k(args_.grad_k, b, h);
    const Head<T> grad_v(args_.grad_v, b, h);
    for (std::int64_t j = first; j < last; ++j) {
      copy_row(&grad_k_[(j - first) * n_.Dp], grad_k.at(j));
      copy_row(&grad_v_[(j - first) * n_.Dp], grad_v.at(j));
    }
  }

 private:
  void copy_row(const T* from, T* to) const {
    transform<Arch>(
        n_.D, [](const B& x) { return x; }, to, from);
  }

  void load_queries(const BlockRange& r) {
    const Head<const T> q(f_.q, r.b, r.h);
    const Head<const T> grad_out(args_.grad_out, r.b, r.h);
    const Head<T> out(f_.out, r.b, r.h);
    const Head<T> lse(f_.lse, r.b, r.h);
    pack_columns<T, Arch>(q, r.query, r.queries, n_.D, n_.queries, f_.scale, q_.data());
    pack_columns<T, Arch>(grad_out, r.query, r.queries, n_.D, n_.queries, T{1}, grad_out_.data());
    std::fill(grad_q_.data(), grad_q_.data() + n_.queries * n_.Dp, T{0});
    // Fully masked and absent queries get weights of 0.
    std::fill(lse_.data(), lse_.data() + n_.queries, infinity);
    std::fill(dots_.data(), dots_.data() + n_.queries, T{0});
    for (std::int64_t i = 0; i < r.queries; ++i) {
      const T value = *lse.at(r.query + i);
      lse_[i] = value == -infinity ? infinity : value;
      // sum(p dp) = grad_out . out, dropout or not.
      dots_[i] = sum_of<T, Arch>(
          n_.D, [](const B& x, const B& y) { return x * y; }, grad_out.at(r.query + i),
          static_cast<const T*>(out.at(r.query + i)));
    }
  }

  // Scores and grad_out v become weights and gradients of the scores.
  [[gnu::flatten]] void weigh(const BlockRange& r, const T* factors) {
    const std::int64_t columns = n_.queries;
    const B scale(f_.scale);
    for (std::int64_t j = 0; j < r.keys; ++j) {
      T* const weight = &weights_[j * columns];
      T* const grad = &grad_scores_[j * columns];
      for (std::int64_t i = 0; i < columns; i += width<T, Arch>) {
        const B p = simd::exp(B::load_aligned(weight + i) - B::load_aligned(&lse_[i]));
        const B f = factors != nullptr ? B::load_aligned(factors + j * columns + i) : B(T{1});
        const B dp = B::load_aligned(grad + i) * f;
        (p * scale * (dp - B::load_aligned(&dots_[i]))).store_aligned(grad + i);
        (p * f).store_aligned(weight + i);
      }
    }
  }

  void take_keys(const BlockRange& r, std::int64_t at) {
    const std::int64_t columns = n_.queries;
    const Head<const T> v(f_.v, r.b, r.h);
    block_scores<T, Arch>(f_, n_, r, q_.data(), weights_.data());
    block_product<T, Arch>(r.keys, columns, n_.D, {v.at(r.key), v.row, 1}, grad_out_.data(),
                           columns, grad_scores_.data(), columns, false);
    const bool dropout = f_.dropout > T{0};
    if (dropout) {
      block_dropout<T, Arch>(f_, n_, r, factors_.data());
    }
    weigh(r, dropout ? factors_.data() : nullptr);
    const std::int64_t padded = std::max(n_.keys, n_.queries) * n_.Dp;
    const PaddedRows<T, Arch> grad_out(Head<const T>(args_.grad_out, r.b, r.h), r.query, r.queries,
                                       n_.D, n_.Dp, rows_.data());
    const PaddedRows<T, Arch> q(Head<const T>(f_.q, r.b, r.h), r.query, r.queries, n_.D, n_.Dp,
                                rows_.data() + (n_.D != n_.Dp ? padded : 0));
    const PaddedRows<T, Arch> k(Head<const T>(f_.k, r.b, r.h), r.key, r.keys, n_.D, n_.Dp,
                                rows_.data() + (n_.D != n_.Dp ? 2 * padded : 0));
    block_product<T, Arch>(r.keys, n_.Dp, r.queries, {weights_.data(), columns, 1}, grad_out.data,
                           grad_out.row, &grad_v_[at], n_.Dp, true);
    block_product<T, Arch>(r.keys, n_.Dp, r.queries, {grad_scores_.data(), columns, 1}, q.data,
                           q.row, &grad_k_[at], n_.Dp, true);
    block_product<T, Arch>(r.queries, n_.Dp, r.keys, {grad_scores_.data(), 1, columns}, k.data,
                           k.row, grad_q_.data(), n_.Dp, true);
  }

  const AttentionBackward<T>& args_;
  const Attention<T>& f_;
  const AttentionBlocks<T, Arch>& n_;
  Scratch<T, Arch> q_, grad_out_;           // D x queries
  Scratch<T, Arch> weights_, grad_scores_;  // keys x queries
  Scratch<T, Arch> factors_;                // of dropout
  Scratch<T, Arch> rows_;                   // padded rows of grad_out, q and k
  Scratch<T, Arch> grad_q_;                 // queries x Dp
  Scratch<T, Arch> grad_k_, grad_v_;        // keys of the chunk x Dp
  Scratch<T, Arch> lse_, dots_;             // of each query
};

}  // namespace detail

template <class T, class Arch>
void attention_backward(const AttentionBackward<T>& args) {
  const detail::AttentionBlocks<T, Arch> n(args.forward);
  // Enough tasks for many threads where heads are few; chunks of whole blocks of keys.
  constexpr std::int64_t tasks_wanted = 64;
  const std::int64_t heads = n.B * n.H;
  const std::int64_t key_blocks = (n.Tk + n.keys - 1) / n.keys;
  const std::int64_t chunks_wanted =
      std::clamp<std::int64_t>(tasks_wanted / std::max<std::int64_t>(1, heads), 1,
                               std::max<std::int64_t>(1, key_blocks / 4));
  const std::int64_t chunk =
      std::max<std::int64_t>(1, (key_blocks + chunks_wanted - 1) / chunks_wanted) * n.keys;
  const std::int64_t chunks = std::max<std::int64_t>(1, (n.Tk + chunk - 1) / chunk);
  const std::int64_t head_size = n.Tq * n.D;
  const Scratch<T, Arch> parts(chunks > 1 ? heads * chunks * head_size : 1);
  const std::int64_t work = n.Tq * chunk * n.D;
  parallel_for(0, heads * chunks,
               std::max<std::int64_t>(1, 4 * cheap_grain / std::max<std::int64_t>(1, work)),
               [&](std::int64_t lo, std::int64_t hi) {
                 detail::AttentionGradient<T, Arch> gradient(args, n, chunk);
                 for (std::int64_t i = lo; i < hi; ++i) {
                   const std::int64_t b = i / chunks / n.H;
                   const std::int64_t h = i / chunks % n.H;
                   const std::int64_t first = i % chunks * chunk;
                   const detail::Head<T> grad_q(args.grad_q, b, h);
                   const bool whole = chunks == 1;
                   gradient.run(b, h, first, std::min(n.Tk, first + chunk),
                                whole ? grad_q.data : parts.data() + i * head_size,
                                whole ? grad_q.row : n.D);
                 }
               });
  if (chunks > 1) {
    parallel_for(0, heads * n.Tq, std::max<std::int64_t>(1, cheap_grain / (chunks * n.D)),
                 [&](std::int64_t lo, std::int64_t hi) {
                   for (std::int64_t i = lo; i < hi; ++i) {
                     const std::int64_t head = i / n.Tq;
                     const detail::Head<T> grad_q(args.grad_q, head / n.H, head % n.H);
                     T* const to = grad_q.at(i % n.Tq);
                     const T* const from =
                         parts.data() + head * chunks * head_size + i % n.Tq * n.D;
                     std::copy(from, from + n.D, to);
                     for (std::int64_t c = 1; c < chunks; ++c) {
                       transform<Arch>(
                           n.D, [](const auto& x, const auto& y) { return x + y; }, to,
                           static_cast<const T*>(to), from + c * head_size);
                     }
                   }
                 });
  }
}

}  // namespace ldlm::simd
