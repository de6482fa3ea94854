#pragma once
// Gradient checkpointing (Chen et al., 2016): a block that keeps only its inputs, and computes the
// rest again in the backward pass.

#include <ldlm/autograd/variable.hpp>
#include <ldlm/core/random.hpp>

namespace ldlm {

/// function(inputs), whose intermediate values are not kept but recomputed when the backward pass
/// comes to it. `function` maps `const std::vector<Variable<T>>&` to a Variable<T>; it must compute
/// the same both times, so dropout in it draws from `generator` alone, which is rewound for the
/// recomputation (and must live until then). A copy of `function` is kept. Parameters (leaves) may
/// be captured and get their gradients; results of other functions must be passed as inputs, else
/// backward throws.
template <Floating T, class Function>
[[nodiscard]] Variable<T> checkpoint(Function function, const std::vector<Variable<T>>& inputs,
                                     Generator* generator = nullptr) {
  if (!grad_enabled()) {
    return function(inputs);
  }
  const Generator start = generator != nullptr ? *generator : Generator();
  std::vector<Saved<T>> values;
  std::vector<Node*> nodes;
  for (const Variable<T>& input : inputs) {
    values.emplace_back("checkpoint", input.value());
    nodes.push_back(input.node());
  }
  Tensor<T> out;
  {
    const NoGrad scope;
    out = function(inputs).value();
  }
  // Whether a captured parameter wants a gradient shows only in the recomputation, so this is
  // recorded in any case.
  auto backward = [function, values = std::move(values), generator, start](
                      const Tensor<T>& dy, const InputGrads<T>& in) {
    const detail::RecordingScope scope({true, detail::new_graph()});
    std::vector<Variable<T>> replayed;
    for (std::size_t i = 0; i < in.size(); ++i) {
      replayed.push_back(Variable<T>(values[i].get(), static_cast<bool>(in[i])));
    }
    Variable<T> result;
    {
      struct Rewound {
        Generator* generator;
        Generator now;
        ~Rewound() {
          if (generator != nullptr) {
            *generator = now;
          }
        }
      } const rewound{generator, generator != nullptr ? *generator : Generator()};
      if (generator != nullptr) {
        *generator = start;
      }
      result = function(replayed);
    }
    LDLM_CHECK_SHAPE(result.shape() == dy.shape(), "checkpoint", "the function gave ",
                     to_string(dy.shape()), " the first time and ", to_string(result.shape()),
                     " when it was repeated");
    if (!result.requires_grad()) {
      return;
    }
    result.backward({dy, false});
    for (std::size_t i = 0; i < in.size(); ++i) {
      if (in[i] && replayed[i].grad().defined()) {
        Tensor<T> grad = replayed[i].grad();
        replayed[i].zero_grad();  // so that it can be taken without a copy
        in[i].add(std::move(grad));
      }
    }
  };
  NodeRef node(new detail::FunctionNode<T, decltype(backward)>("checkpoint", nodes, out.layout(),
                                                               out.device(), std::move(backward)));
  return Variable<T>(std::move(out), std::move(node));
}

/// The same for a function of one Variable.
template <Floating T, class Function>
[[nodiscard]] Variable<T> checkpoint(Function function, const Variable<T>& input,
                                     Generator* generator = nullptr) {
  return checkpoint<T>(
      [function](const std::vector<Variable<T>>& inputs) { return function(inputs[0]); },
      std::vector<Variable<T>>{input}, generator);
}

}  // namespace ldlm
