#pragma once
// Activations by their names in Hugging Face's files.

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include <ldlm/core/enumeration.hpp>
#include <ldlm/core/kernel_table.hpp>
#include <ldlm/core/linkage.hpp>
#include <ldlm/io/json.hpp>

namespace ldlm {

namespace detail {

/// Of several names of one activation, the first is the one that is written. gelu_new and those
/// beside it are the same formula, gelu's approximation by a tanh.
inline constexpr std::array<std::pair<std::string_view, Activation>, 11> activation_names{{
    {"gelu", Activation::gelu},
    {"gelu_python", Activation::gelu},
    {"gelu_new", Activation::gelu_tanh},
    {"gelu_fast", Activation::gelu_tanh},
    {"gelu_accurate", Activation::gelu_tanh},
    {"gelu_pytorch_tanh", Activation::gelu_tanh},
    {"gelu_python_tanh", Activation::gelu_tanh},
    {"relu", Activation::relu},
    {"silu", Activation::silu},
    {"swish", Activation::silu},
    {"linear", Activation::none},
}};

}  // namespace detail

namespace detail {
static_assert(std::ranges::all_of(all_ops<Activation>, [](Activation activation) {
  return std::ranges::find(activation_names, activation,
                           &std::pair<std::string_view, Activation>::second) !=
         activation_names.end();
}));
}  // namespace detail

/// The activation under a key of config.json. Throws for one that this library does not compute,
/// such as quick_gelu and gelu_10, whose values differ from gelu's.
[[nodiscard]] Activation activation_from(const JsonReader& config, std::string_view key,
                                         const char* fallback);

/// The name of an activation in Hugging Face's files. Throws for a value that is none.
[[nodiscard]] std::string activation_name(Activation activation);

}  // namespace ldlm

#ifndef LDLM_LINKED
#include <ldlm/models/impl/activation.hpp>
#endif
