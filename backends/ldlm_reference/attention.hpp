#pragma once
// Scaled dot-product attention, one query at a time, and its backward pass.

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <ldlm_reference/walk.hpp>

namespace ldlm::reference {

/// The attention of one query row: what the forward and the backward pass both need of it.
template <std::floating_point T>
class AttentionRow {
  using W = Wide<T>;

 public:
  AttentionRow(const Attention<T>& args, std::int64_t b, std::int64_t h, std::int64_t i)
      : args_(args), b_(b), h_(h), i_(i) {}

  const T* query() const { return at(args_.q, i_); }
  const T* key(std::int64_t j) const { return at(args_.k, j); }
  const T* value(std::int64_t j) const { return at(args_.v, j); }
  /// Row i of another (B, H, Tq, D) view.
  template <class U>
  U* at(const View<U>& view, std::int64_t i) const {
    return view.data + b_ * view.stride(0) + h_ * view.stride(1) + i * view.stride(2);
  }

  static W dot(const T* x, const T* y, std::int64_t n) {
    W sum{};
    for (std::int64_t d = 0; d < n; ++d) {
      sum += W{x[d]} * y[d];
    }
    return sum;
  }

  /// scale * q k_j + mask, -infinity where the causal mask hides key j.
  W score(std::int64_t j) const {
    if (args_.causal && j > i_ + args_.k.size(2) - args_.q.size(2)) {
      return -std::numeric_limits<W>::infinity();
    }
    const W s = args_.scale * dot(query(), key(j), args_.q.size(3));
    return args_.mask.empty() ? s : s + at(args_.mask, i_)[j * args_.mask.stride(3)];
  }

  /// What dropout multiplies the weight of key j with.
  W dropout_factor(std::int64_t j) const {
    if (args_.dropout == T{0}) {
      return 1;
    }
    const std::int64_t element =
        ((b_ * args_.q.size(1) + h_) * args_.q.size(2) + i_) * args_.k.size(2) + j;
    const std::uint32_t word = philox_word(args_.stream, static_cast<std::uint64_t>(element));
    return static_cast<T>(uniform_from_bits(word)) >= args_.dropout ? 1 / (1 - W{args_.dropout})
                                                                    : W{0};
  }

 private:
  const Attention<T>& args_;
  std::int64_t b_, h_, i_;
};

/// out_i = sum_j dropout(softmax_j(score)) v_j; zeros where every key is masked.
template <std::floating_point T>
void attention(const Attention<T>& args) {
  using W = Wide<T>;
  const std::int64_t Tk = args.k.size(2);
  const std::int64_t D = args.q.size(3);
  std::vector<W> weights(static_cast<std::size_t>(Tk));
  std::vector<W> mixed(static_cast<std::size_t>(D));
  for (std::int64_t b = 0; b < args.q.size(0); ++b) {
    for (std::int64_t h = 0; h < args.q.size(1); ++h) {
      for (std::int64_t i = 0; i < args.q.size(2); ++i) {
        const AttentionRow<T> row(args, b, h, i);
        W largest = -std::numeric_limits<W>::infinity();
        for (std::int64_t j = 0; j < Tk; ++j) {
          W& s = weights[static_cast<std::size_t>(j)];
          s = row.score(j);
          largest = larger(s, largest) ? s : largest;
        }
        const bool all_masked = largest == -std::numeric_limits<W>::infinity();
        W sum{};
        for (W& weight : weights) {
          weight = all_masked ? W{0} : std::exp(weight - largest);
          sum += weight;
        }
        std::fill(mixed.begin(), mixed.end(), W{});
        for (std::int64_t j = 0; j < Tk && !all_masked; ++j) {
          const W p = weights[static_cast<std::size_t>(j)] / sum * row.dropout_factor(j);
          for (std::int64_t d = 0; d < D; ++d) {
            mixed[static_cast<std::size_t>(d)] += p * row.value(j)[d];
          }
        }
        for (std::int64_t d = 0; d < D; ++d) {
          row.at(args.out, i)[d] = static_cast<T>(mixed[static_cast<std::size_t>(d)]);
        }
        if (!args.lse.empty()) {
          *row.at(args.lse, i) = static_cast<T>(all_masked ? largest : largest + std::log(sum));
        }
      }
    }
  }
}

/// With p = softmax weights, f = dropout factors and dp_j = f_j grad_out v_j:
/// ds_j = p_j (dp_j - sum(p dp)); grad_q = scale sum_j ds_j k_j; grad_k_j = scale ds_j q;
/// grad_v_j = p_j f_j grad_out; the last two summed over the queries.
template <std::floating_point T>
void attention_backward(const AttentionBackward<T>& args) {
  using W = Wide<T>;
  const Attention<T>& forward = args.forward;
  const std::int64_t Tk = forward.k.size(2);
  const std::int64_t D = forward.q.size(3);
  const auto n = static_cast<std::size_t>(Tk * D);
  std::vector<W> p(static_cast<std::size_t>(Tk));
  std::vector<W> dp(static_cast<std::size_t>(Tk));
  for (std::int64_t b = 0; b < forward.q.size(0); ++b) {
    for (std::int64_t h = 0; h < forward.q.size(1); ++h) {
      std::vector<W> grad_k(n);
      std::vector<W> grad_v(n);
      for (std::int64_t i = 0; i < forward.q.size(2); ++i) {
        const AttentionRow<T> row(forward, b, h, i);
        const T* grad_out = row.at(args.grad_out, i);
        const W lse = *row.at(forward.lse, i);
        const bool all_masked = lse == -std::numeric_limits<W>::infinity();
        W dot{};
        for (std::int64_t j = 0; j < Tk; ++j) {
          W& weight = p[static_cast<std::size_t>(j)];
          weight = all_masked ? W{0} : std::exp(row.score(j) - lse);
          const W factor = row.dropout_factor(j);
          dp[static_cast<std::size_t>(j)] = factor * row.dot(grad_out, row.value(j), D);
          dot += weight * dp[static_cast<std::size_t>(j)];
          for (std::int64_t d = 0; d < D; ++d) {
            grad_v[static_cast<std::size_t>(j * D + d)] += weight * factor * grad_out[d];
          }
        }
        std::vector<W> grad_q(static_cast<std::size_t>(D));
        for (std::int64_t j = 0; j < Tk; ++j) {
          const auto at = static_cast<std::size_t>(j);
          const W ds = forward.scale * p[at] * (dp[at] - dot);
          for (std::int64_t d = 0; d < D; ++d) {
            grad_q[static_cast<std::size_t>(d)] += ds * row.key(j)[d];
            grad_k[static_cast<std::size_t>(j * D + d)] += ds * row.query()[d];
          }
        }
        for (std::int64_t d = 0; d < D; ++d) {
          row.at(args.grad_q, i)[d] = static_cast<T>(grad_q[static_cast<std::size_t>(d)]);
        }
      }
      const AttentionRow<T> head(forward, b, h, 0);
      for (std::int64_t j = 0; j < Tk; ++j) {
        for (std::int64_t d = 0; d < D; ++d) {
          const auto at = static_cast<std::size_t>(j * D + d);
          head.at(args.grad_k, j)[d] = static_cast<T>(grad_k[at]);
          head.at(args.grad_v, j)[d] = static_cast<T>(grad_v[at]);
        }
      }
    }
  }
}

}  // namespace ldlm::reference
