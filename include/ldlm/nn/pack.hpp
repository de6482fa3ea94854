#pragma once
// Modules for inference alone: their weights are packed in few bits, or as floats that are laid out
// for products.
//
//   ldlm::pack(gpt2, ldlm::WeightFormat::int8);
//   ldlm::pack(bert, ldlm::WeightFormat::f32);   // the same results, faster
//
// What a module visits as a Weight is packed; biases, norms, positions and whatever else it visits
// as a Variable stay as they are. A packed weight is no parameter any more.

#include <ldlm/nn/module.hpp>

namespace ldlm {

namespace detail {

struct PackWeights : Handler<float> {
  WeightFormat format;

  explicit PackWeights(WeightFormat f) : format(f) {}
  void weight(const std::string& name, Weight<float>& weight) {
    if (!weight.is_packed()) {
      weight.pack(format, name);
    }
  }
};

template <Floating T>
struct CollectPacked : Handler<T> {
  std::vector<std::pair<std::string, PackedMatrix>> found{};

  void weight(const std::string& name, Weight<T>& weight) {
    if (weight.is_packed()) {
      found.emplace_back(name, weight.packed());
    }
  }
};

template <Floating T, class Read>
struct ReadPacked : Handler<T> {
  Read& read;

  explicit ReadPacked(Read& r) : read(r) {}
  void weight(const std::string& name, Weight<T>& weight) {
    weight = Weight<T>(read(name, weight.out(), weight.in()), weight.layout(), name);
  }
};

}  // namespace detail

/// Packs every weight. Throws for one with an element that is not finite, unless the format is
/// exact.
template <Module M>
void pack(M& module, WeightFormat format) {
  static_assert(std::same_as<scalar_t<M>, float>, "only modules of float can be packed");
  detail::PackWeights handler(format);
  detail::walk(module, handler);
}

/// The packed weights (N, K) with their full names, in the order of visit.
template <Module M>
[[nodiscard]] std::vector<std::pair<std::string, PackedMatrix>> packed_weights(const M& module) {
  detail::CollectPacked<scalar_t<M>> collect;
  detail::walk(module, collect);
  return std::move(collect.found);
}

/// Replaces every weight with the packed matrix (N, K) that read(full name, N, K) gives. Throws for
/// a module whose elements are not float.
template <Module M, class Read>
void replace_packed(M& module, Read&& read) {
  detail::ReadPacked<scalar_t<M>, std::remove_reference_t<Read>> handler(read);
  detail::walk(module, handler);
}

}  // namespace ldlm
