// Matrix products, functions of neural networks, losses.

#include <ldlm/autograd/functions/loss.hpp>
#include <ldlm/autograd/functions/matrix.hpp>
#include <ldlm/autograd/functions/nn.hpp>

#include "table.hpp"

namespace ldlm::test {

namespace {

Activation activation_option(const Call& call) {
  const auto name = call.option<std::string>("activation", "none");
  if (name == "relu") {
    return Activation::relu;
  }
  if (name == "silu") {
    return Activation::silu;
  }
  if (name == "gelu") {
    return Activation::gelu;
  }
  if (name == "gelu_tanh") {
    return Activation::gelu_tanh;
  }
  LDLM_CHECK(name == "none", "cases", "no activation is called ", name);
  return Activation::none;
}

PhiloxStream stream_option(const Call& call) {
  return {call.option<std::uint64_t>("seed"), call.option<std::uint64_t>("offset", 0)};
}

template <class T>
AttentionOptions<T> attention_options(const Call& call) {
  AttentionOptions<T> options;
  options.mask = call.optional<Tensor<T>>(3);
  options.causal = call.option<bool>("causal", false);
  options.scale = call.option<T>("scale", T{0});
  options.dropout = call.option<T>("dropout", T{0});
  if (call.has("seed")) {
    options.stream = stream_option(call);
  }
  return options;
}

template <class T>
CrossEntropyOptions<T> loss_options(const Call& call) {
  return {call.option<std::int64_t>("ignore", -100), call.option<T>("smoothing", T{0})};
}

const Tensor<std::int64_t>& targets_of(const Call& call, std::size_t i) {
  return call.as<Tensor<std::int64_t>>(i);
}

}  // namespace

void add_matrices(Table& table) {
  table.two("matmul", Of::both, FloatingValues(),
            [](const auto& x, const auto& y) { return matmul(x, y); });
  table.add("matmul_into", Of::tensors, [](Call& call) {
    visit_pair(call, FloatingTensors(), [&]<class V>(const V& a, const V& b) {
      using T = ElementType<V>;
      matmul_into(a, b, call.as<V>(2), call.option<T>("alpha", T{1}), call.option<T>("beta", T{0}));
    });
  });
  // x, weight, bias, residual; the last is for tensors, which also give what they had before the
  // activation.
  const auto fused = [](Call& call) {
    visit_argument(call, 0, FloatingTensors(), [&]<class V>(const V& x) {
      V before;
      call.give(fused_linear(
          x, call.as<V>(1),
          {call.optional<V>(2), activation_option(call), call.optional<V>(3), &before}));
      call.give(before);
    });
  };
  table.add("fused_linear", Of::tensors, fused);
  table.add("linear", Of::both, [fused](Call& call) {
    visit_argument(call, 0, FloatingValues(), [&]<class V>(const V& x) {
      if constexpr (is_variable<V>) {
        call.give(linear(x, call.as<V>(1), call.optional<V>(2), activation_option(call)));
      } else {
        fused(call);
      }
    });
  });
}

void add_networks(Table& table) {
  const FloatingValues floating;
  table.one("softmax", Of::both, floating,
            [](const auto& x, Call& call) { return softmax(x, call.option<int>("axis")); });
  table.one("log_softmax", Of::both, floating,
            [](const auto& x, Call& call) { return log_softmax(x, call.option<int>("axis")); });
  // x, gamma, beta, and for tensors a residual.
  table.add("layer_norm", Of::both, [](Call& call) {
    visit_argument(call, 0, FloatingValues(), [&]<class V>(const V& x) {
      const auto epsilon = call.option<ElementType<V>>("epsilon");
      const V gamma = call.optional<V>(1);
      const V beta = call.optional<V>(2);
      if constexpr (is_variable<V>) {
        call.give(layer_norm(x, gamma, beta, epsilon));
      } else {
        LayerNormState<ElementType<V>> state;
        call.give(detail::layer_norm_as("layer_norm", x, gamma, beta, epsilon, call.optional<V>(3),
                                        &state));
        call.give(state.sum);
        call.give(state.mean);
        call.give(state.rstd);
      }
    });
  });
  table.add("add_layer_norm", Of::both, [](Call& call) {
    visit_argument(call, 0, FloatingValues(), [&]<class V>(const V& x) {
      auto both = add_layer_norm(x, call.as<V>(1), call.optional<V>(2), call.optional<V>(3),
                                 call.option<ElementType<V>>("epsilon"));
      call.give(both.sum);
      call.give(both.normalized);
    });
  });
  table.one("rms_norm", Of::both, floating, []<class V>(const V& x, Call& call) {
    return rms_norm(x, call.optional<V>(1), call.option<ElementType<V>>("epsilon"));
  });
  table.one("dropout", Of::both, floating, []<class V>(const V& x, Call& call) {
    const auto p = call.option<ElementType<V>>("p");
    const PhiloxStream stream = stream_option(call);
    Generator generator(stream.seed, stream.offset);
    return dropout(x, p, generator);
  });
  table.one("scaled_dot_product_attention", Of::both, floating,
            []<class V>(const V& q, Call& call) {
              return scaled_dot_product_attention(q, call.as<V>(1), call.as<V>(2),
                                                  attention_options<ElementType<V>>(call));
            });
}

void add_losses(Table& table) {
  table.add("cross_entropy_rows", Of::tensors, [](Call& call) {
    visit_argument(call, 0, FloatingTensors(), [&]<class V>(const V& logits) {
      V lse;
      call.give(cross_entropy_rows(logits, targets_of(call, 1), loss_options<ElementType<V>>(call),
                                   &lse));
      call.give(lse);
    });
  });
  table.one("cross_entropy", Of::variables, Variables(), []<class V>(const V& x, Call& call) {
    return cross_entropy(x, targets_of(call, 1), loss_options<ElementType<V>>(call));
  });
  table.one("linear_cross_entropy", Of::variables, Variables(),
            []<class V>(const V& x, Call& call) {
              return linear_cross_entropy(x, call.as<V>(1), targets_of(call, 2),
                                          loss_options<ElementType<V>>(call));
            });
  table.add("mse_loss", Of::variables, [](Call& call) {
    visit_pair(call, FloatingValues(), [&]<class A, class B>(const A& a, const B& b) {
      if constexpr (is_variable<A> || is_variable<B>) {
        call.give(mse_loss(a, b));
      } else {
        call.refuse("needs a Variable");
      }
    });
  });
}

}  // namespace ldlm::test
