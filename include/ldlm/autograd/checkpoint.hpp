#pragma once
// Gradient checkpointing (Chen et al., 2016): a block that keeps only its inputs, and computes the
// rest again in the backward pass.

#include <concepts>

#include <ldlm/autograd/operand.hpp>
#include <ldlm/core/random.hpp>

namespace ldlm {

namespace detail {

/// checkpoint() with a generator, or null.
template <Floating T, class Function>
[[nodiscard]] Variable<T> checkpoint(Function function, const std::vector<Variable<T>>& inputs,
                                     Generator* generator) {
  for (const Variable<T>& input : inputs) {
    static_cast<void>(input.value("checkpoint"));  // or throws
  }
  if (!grad_enabled()) {
    return function(inputs);
  }
  const Generator start = generator != nullptr ? *generator : Generator();
  // Dropout draws in the recomputation what it drew the first time.
  const Recording recorded = recording();
  const Generator training = recorded.generator != nullptr ? *recorded.generator : Generator();
  std::vector<Saved<T>> values;
  std::vector<Node*> nodes;
  for (const Variable<T>& input : inputs) {
    values.emplace_back("checkpoint", input.value());
    nodes.push_back(input.node());
  }
  Tensor<T> out;
  {
    const NoGrad scope;
    const Variable<T> result = function(inputs);
    LDLM_CHECK_STATE(result.defined(), "checkpoint", "the function gives an undefined Variable");
    out = result.value();
  }
  // Whether a captured parameter wants a gradient shows only in the recomputation, so this is
  // recorded in any case.
  auto backward = [function, values = std::move(values), generator, start, recorded, training](
                      const Tensor<T>& dy, const InputGrads<T>& in) {
    Generator replay = training;
    Recording state = recorded;
    state.graph = new_graph();
    if (state.generator != nullptr && state.generator != generator) {
      state.generator = &replay;
    }
    const RecordingScope scope(state);
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
  NodeRef node(new FunctionNode<T, decltype(backward)>("checkpoint", nodes, out.layout(),
                                                       out.device(), std::move(backward)));
  return Variable<T>(std::move(out), std::move(node));
}

/// A function of one Variable as one of several.
template <Floating T, class Function>
auto of_first(Function function) {
  return [function = std::move(function)](const std::vector<Variable<T>>& inputs) {
    return function(inputs[0]);
  };
}

}  // namespace detail

/// function(inputs), whose intermediate values are not kept but recomputed when the backward pass
/// comes to it. `function` maps `const std::vector<Variable<T>>&` to a Variable<T>; it must compute
/// the same both times. Dropout in a TrainingMode does; what else draws random numbers in it draws
/// them from a generator that is given here, too, which is rewound for the recomputation and must
/// live until then. A copy of `function`
/// is kept. Parameters (leaves) may be captured and get their gradients; results of other functions
/// must be passed as inputs, else backward throws.
template <Floating T, std::invocable<const std::vector<Variable<T>>&> Function>
[[nodiscard]] Variable<T> checkpoint(Function function, const std::vector<Variable<T>>& inputs) {
  return detail::checkpoint<T>(std::move(function), inputs, nullptr);
}
template <Floating T, std::invocable<const std::vector<Variable<T>>&> Function>
[[nodiscard]] Variable<T> checkpoint(Function function, const std::vector<Variable<T>>& inputs,
                                     Generator& generator) {
  return detail::checkpoint<T>(std::move(function), inputs, &generator);
}

/// The same for a function of one Variable, of which a Tensor is a constant one.
template <Floating T, std::invocable<const Variable<T>&> Function>
[[nodiscard]] Variable<T> checkpoint(Function function, const Variable<T>& input) {
  return detail::checkpoint<T>(detail::of_first<T>(std::move(function)), {input}, nullptr);
}
template <Floating T, std::invocable<const Variable<T>&> Function>
[[nodiscard]] Variable<T> checkpoint(Function function, const Variable<T>& input,
                                     Generator& generator) {
  return detail::checkpoint<T>(detail::of_first<T>(std::move(function)), {input}, &generator);
}
template <Floating T, std::invocable<const Variable<T>&> Function>
[[nodiscard]] Variable<T> checkpoint(Function function, const Tensor<T>& input) {
  return detail::checkpoint<T>(detail::of_first<T>(std::move(function)), {as_variable(input)},
                               nullptr);
}
template <Floating T, std::invocable<const Variable<T>&> Function>
[[nodiscard]] Variable<T> checkpoint(Function function, const Tensor<T>& input,
                                     Generator& generator) {
  return detail::checkpoint<T>(detail::of_first<T>(std::move(function)), {as_variable(input)},
                               &generator);
}

}  // namespace ldlm
