#pragma once
// Multi-head attention (Vaswani et al., 2017), self and cross, with masks and a cache.

#include <ldlm/autograd/functions/shape.hpp>
#include <ldlm/nn/dropout.hpp>
#include <ldlm/nn/kv_cache.hpp>
#include <ldlm/nn/linear.hpp>

namespace ldlm {

/// What attention takes beside its inputs.
template <Floating T>
struct AttentionContext {
  /// Added to the scores; broadcasts to (B, H, Tq, Tk), -infinity hides a key. See padding_mask.
  Tensor<T> mask{};
  /// Query i sees keys j <= i + (Tk - Tq).
  bool causal = false;
  /// Self-attention appends its keys and values and attends to all in the cache. Cross-attention
  /// fills an empty cache from the memory, and later takes it as it is. Needs a NoGrad scope.
  KvCache<T>* cache = nullptr;
  /// With the cache of a self-attention: keys and values of one position go to this one (1), on the
  /// device, and are not counted. Queries see all until there.
  Tensor<std::int64_t> cache_position{};
};

/// The mask (B, 1, 1, Tk) that hides padding: real (B, Tk) is true (or not 0) where there is a
/// token. It broadcasts over heads and queries, so that no (Tq, Tk) matrix is made. It is made
/// where `real` is, and comes to `device`.
template <Floating T>
[[nodiscard]] Tensor<T> padding_mask(const Tensor<bool>& real, Device device) {
  const Device home = real.device("padding_mask");
  LDLM_CHECK_SHAPE(real.rank() == 2, "padding_mask", "needs (B, Tk), got ",
                   to_string(real.shape()));
  const Tensor<T> hidden = Tensor<T>::scalar(-std::numeric_limits<T>::infinity(), home);
  const Tensor<T> mask = where(real, Tensor<T>::scalar(0, home), hidden);
  return mask.to(device).unsqueeze(1).unsqueeze(1);
}
template <Floating T>
[[nodiscard]] Tensor<T> padding_mask(const Tensor<bool>& real) {
  return padding_mask<T>(real, real.device("padding_mask"));
}
template <Floating T>
[[nodiscard]] Tensor<T> padding_mask(const Tensor<std::int64_t>& real) {
  return padding_mask<T>(real.defined() ? cast<bool>(real) : Tensor<bool>());
}

/// (B, T, H D) -> (B, H, T, D), a view.
template <Floating T>
[[nodiscard]] Variable<T> split_heads(const Variable<T>& x, std::int64_t heads) {
  LDLM_CHECK_STATE(x.defined(), "attention", "an input is undefined");
  LDLM_CHECK_SHAPE(x.rank() == 3 && heads > 0 && x.size(2) % heads == 0, "attention", "input ",
                   to_string(x.shape()), " does not split into ", heads, " heads; needs (B, T, C)");
  return x.reshape({x.size(0), x.size(1), heads, x.size(2) / heads}).transpose(1, 2);
}

/// (B, H, T, D) -> (B, T, H D), a view of what scaled_dot_product_attention returns.
template <Floating T>
[[nodiscard]] Variable<T> merge_heads(const Variable<T>& x) {
  return x.transpose(1, 2).flatten(2);
}

namespace detail {

template <Floating T>
Variable<T> attend_heads(const Variable<T>& q, const Variable<T>& k, const Variable<T>& v,
                         const Dropout<T>& dropout, const AttentionContext<T>& context) {
  AttentionOptions<T> options;
  options.mask = context.mask;
  options.causal = context.causal;
  options.last_key = context.cache_position;
  if (Generator* const generator = dropout.active(q.requires_grad())) {
    options.dropout = dropout.p();
    options.stream = generator->take(q.size(0) * q.size(1) * q.size(2) * k.size(2));
  }
  return merge_heads(scaled_dot_product_attention(q, k, v, options));
}

}  // namespace detail

/// Attention over already projected inputs, for models with projections of their own: q (B, Tq, C),
/// k and v (B, Tk, C), which may be strided views of one packed projection -> (B, Tq, C). With a
/// cache, k and v are appended to it first.
template <class Q, class K, class V>
requires Operands<Q, K, V>
[[nodiscard]] Variable<element_t<Q>> attend(const Q& q, const K& k, const V& v, std::int64_t heads,
                                            const Dropout<element_t<Q>>& dropout,
                                            const AttentionContext<element_t<Q>>& context = {}) {
  using T = element_t<Q>;
  LDLM_CHECK(context.cache != nullptr || !context.cache_position.defined(), "attention",
             "cache_position needs a cache");
  Variable<T> keys = split_heads(as_variable(k), heads);
  Variable<T> values = split_heads(as_variable(v), heads);
  if (context.cache != nullptr) {
    LDLM_CHECK_STATE(!keys.requires_grad() && !values.requires_grad(), "KvCache",
                     "keeps no gradients; decode inside a NoGrad scope");
    if (context.cache_position.defined()) {
      context.cache->write(keys.value(), values.value(), context.cache_position);
      keys = Variable<T>(context.cache->reserved_keys());
      values = Variable<T>(context.cache->reserved_values());
    } else {
      context.cache->append(keys.value(), values.value());
      keys = Variable<T>(context.cache->keys());
      values = Variable<T>(context.cache->values());
    }
  }
  return detail::attend_heads(split_heads(as_variable(q), heads), keys, values, dropout, context);
}

/// Self-attention over one packed projection (B, T, 3 C) of queries, keys and values -> (B, T, C).
template <TensorOrVariable X>
[[nodiscard]] Variable<element_t<X>> attend_packed(
    const X& packed, std::int64_t heads, const Dropout<element_t<X>>& dropout,
    const AttentionContext<element_t<X>>& context = {}) {
  const Variable<element_t<X>>& qkv = as_variable(packed);
  LDLM_CHECK_STATE(qkv.defined(), "attention", "the packed queries, keys and values are undefined");
  LDLM_CHECK_SHAPE(qkv.rank() == 3 && qkv.size(2) % 3 == 0, "attention",
                   "needs packed queries, keys and values (B, T, 3 C), got ",
                   to_string(qkv.shape()));
  const auto parts = split(qkv, qkv.size(2) / 3, 2);
  return attend(parts[0], parts[1], parts[2], heads, dropout, context);
}

/// Cross-attention of q (B, Tq, C) to a memory whose packed keys and values (B, Tk, 2 C) project()
/// makes -> (B, Tq, C). With a cache it is called once, to fill it.
template <TensorOrVariable X, class Project>
[[nodiscard]] Variable<element_t<X>> attend_memory(
    const X& queries, Project&& project, std::int64_t heads, const Dropout<element_t<X>>& dropout,
    const AttentionContext<element_t<X>>& context = {}) {
  using T = element_t<X>;
  const Variable<T>& q = as_variable(queries);
  if (context.cache != nullptr && context.cache->size() > 0) {
    return detail::attend_heads(split_heads(q, heads), Variable<T>(context.cache->keys()),
                                Variable<T>(context.cache->values()), dropout, context);
  }
  const Variable<T> kv = project();
  LDLM_CHECK_STATE(q.defined() && kv.defined(), "attention", "an input is undefined");
  LDLM_CHECK_SHAPE(kv.rank() == 3 && kv.size(2) == 2 * q.size(-1), "attention",
                   "needs packed keys and values (B, Tk, 2 C) for queries ", to_string(q.shape()),
                   ", got ", to_string(kv.shape()));
  const auto parts = split(kv, kv.size(2) / 2, 2);
  return attend(q, parts[0], parts[1], heads, dropout, context);
}

/// Multi-head attention with the parameters of torch.nn.MultiheadAttention. All sequences are
/// (B, T, C).
template <Floating T = float>
struct MultiHeadAttention {
  using value_type = T;

  Variable<T> in_proj_weight;  // (3 C, C): queries, keys, values; sliced, and so always dense
  Variable<T> in_proj_bias;    // (3 C)
  Linear<T> out_proj;          // (C, C)
  Dropout<T> dropout;          // of the attention weights
  std::int64_t heads = 1;

  MultiHeadAttention() = default;
  MultiHeadAttention(std::int64_t dim, std::int64_t num_heads, Generator& generator,
                     double dropout_p = 0)
      : out_proj(dim, dim, generator), dropout(dropout_p), heads(num_heads) {
    LDLM_CHECK(num_heads > 0 && dim % num_heads == 0, "MultiHeadAttention", dim,
               " channels do not split into ", num_heads, " heads");
    in_proj_weight = Variable<T>(Tensor<T>::empty({3 * dim, dim}), true);
    xavier_uniform_(in_proj_weight.value(), generator);
    in_proj_bias = Variable<T>(Tensor<T>::zeros({3 * dim}), true);
    out_proj.bias.value().zero_();
  }

  /// Self-attention: (B, T, C) -> (B, T, C).
  Variable<T> operator()(const Operand<T> auto& input,
                         const AttentionContext<T>& context = {}) const {
    const Variable<T> x = checked(as_variable(input));
    if (is_certain(x, x, context)) {
      return out_proj(project(x, 2, 3));
    }
    return out_proj(attend_packed(project(x, 0, 3), heads, dropout, context));
  }

  /// Cross-attention: queries from the first (B, Tq, C), keys and values from the other (B, Tk, C).
  Variable<T> operator()(const Operand<T> auto& queries, const Operand<T> auto& keys,
                         const AttentionContext<T>& context = {}) const {
    const Variable<T> x = checked(as_variable(queries));
    const Variable<T> memory = checked(as_variable(keys));
    if (!x.requires_grad() && is_certain(x, memory, context)) {
      return out_proj(project(memory, 2, 3)).expand(x.shape());
    }
    return out_proj(attend_memory(
        project(x, 0, 1), [&] { return project(memory, 1, 3); }, heads, dropout, context));
  }

  template <class V>
  void visit(V&& v) {
    v("in_proj_weight", in_proj_weight);
    v("in_proj_bias", in_proj_bias);
    v("out_proj", out_proj);
    v("dropout", dropout);
  }

 private:
  Variable<T> checked(Variable<T> x) const {
    LDLM_CHECK_STATE(in_proj_weight.defined(), "MultiHeadAttention",
                     "has no parameters: it was default-constructed");
    LDLM_CHECK_STATE(x.defined(), "MultiHeadAttention", "an input is undefined");
    return x;
  }
  // Whether there is but one key: its weight is 1, whatever queries and keys are, and the gradients
  // of those are zero.
  bool is_certain(const Variable<T>& x, const Variable<T>& memory,
                  const AttentionContext<T>& context) const {
    const bool fits = x.rank() == 3 && memory.rank() == 3 && x.size(0) == memory.size(0) &&
                      x.size(2) == in_proj_weight.size(1);
    return fits && memory.size(1) == 1 && !(context.causal && x.size(1) > 1) &&
           !context.mask.defined() && context.cache == nullptr &&
           !context.cache_position.defined() && dropout.active() == nullptr;
  }
  // The parts [first, last) of queries, keys and values, side by side.
  Variable<T> project(const Variable<T>& x, std::int64_t first, std::int64_t last) const {
    const std::int64_t dim = in_proj_weight.size(1);
    if (first == 0 && last == 3) {
      return linear(x, in_proj_weight, in_proj_bias);
    }
    return linear(x, in_proj_weight.slice(0, first * dim, last * dim),
                  in_proj_bias.slice(0, first * dim, last * dim));
  }
};

}  // namespace ldlm
